"""A target's claim on this host: its name, and each interface and port, held by locks.

The kernel would allow a second tap on the same port; nothing good comes of it.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shadow_agent.config import Config
from shadow_agent.errors import UsageError
from shadow_agent.kernel.tap import Place


@contextmanager
def claim(config: Config, places: tuple[Place, ...]) -> Iterator[None]:
    """Hold the target's locks. Raises UsageError when another agent holds one of them."""
    with ExitStack() as held:
        _folder(config.runtime_dir)
        held.enter_context(
            _lock(
                config.runtime_dir / f"{config.target}.lock",
                f"target {config.target} is attached already",
                "`shadow-agent detach` ends it, or give this one another --target",
            )
        )
        namespace = Path("/proc/self/ns/net").stat().st_ino
        tapped = [p.interface for p in places if p.interface.name in config.interfaces]
        for interface in sorted({(i.index, i.name) for i in tapped}):
            for port in config.ports:
                index, name = interface
                held.enter_context(
                    _lock(
                        config.runtime_dir / f".tap-{namespace}-{index}-{port}.lock",
                        f"port {port} on {name} is tapped already",
                        "`shadow-agent status` names the target; detach it first",
                    )
                )
        yield


def _folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as exc:
        raise UsageError(
            f"--runtime-dir {path}: {exc.strerror}", "give a folder that can be made"
        ) from exc
    # Who may rename in it can put another socket in the place of ours, and root's `ctl` asks that.
    shared = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
    if shared or found.st_uid not in {0, os.geteuid()}:
        raise UsageError(
            f"--runtime-dir {path}: others may change what is in it",
            f"chown {os.geteuid()} {path}; chmod 700 {path}",
        )


@contextmanager
def _lock(path: Path, taken: str, fix: str) -> Iterator[None]:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise UsageError(f"{path}: {exc.strerror}", "run as root, or give --runtime-dir") from exc
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise UsageError(taken, fix) from exc
        yield
    finally:
        # The file stays: to remove it would let two agents lock two files of one name.
        os.close(fd)
