"""Compiles the same source at attach time with bcc, for hosts that install without clang.

bcc is Debian's python3-bpfcc (the package of that name on PyPI is something else). It takes
130 MB, so a child compiles and hands over the file descriptors, and the memory goes with it.
"""

from __future__ import annotations

import array
import importlib.util
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from shadow_agent.kernel.program import MAPS, LoadedTap, Loader, LoadError

_PLACES = ("/usr/lib/python3/dist-packages/bcc", "/usr/local/lib/python3/dist-packages/bcc")
_REASON_MAX = 4096
_PART_MAX = 200
_LOG_MAX = 1 << 20


def find_bcc() -> Path | None:
    """The folder of the bcc module, in this Python's path or the system's."""
    spec = importlib.util.find_spec("bcc")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    return next((Path(place) for place in _PLACES if Path(place).is_dir()), None)


def _import_bcc() -> ModuleType:
    folder = find_bcc()
    if folder is None:
        raise LoadError("bcc went away")
    spec = importlib.util.spec_from_file_location(
        "bcc", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise LoadError(f"{folder}: not a Python package; reinstall python3-bpfcc")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    spec.loader.exec_module(module)
    return module


def _compile(source: Path, programs: Sequence[str]) -> list[int]:
    bcc = _import_bcc()
    # bytes, but for flags: bcc warns at every str, which a strict warnings filter makes an error
    tap = bcc.BPF(
        src_file=os.fsencode(source / "tap.bpf.c"),
        cflags=["-DSHADOW_AGENT_BCC", f"-I{source}", "-Wno-macro-redefined"],
    )
    fds = [tap.load_func(name.encode(), bcc.BPF.SCHED_CLS).fd for name in programs]
    return fds + [tap[name.encode()].map_fd for name in MAPS]


def _first_error(log: str) -> str:
    """Of the hundreds of lines that compiler and verifier print, the one that says most."""
    lines = [" ".join(line.split()) for line in log.splitlines() if line.strip()]
    for sign in ("error:", "Unable to find kernel headers"):
        for line in lines:
            if sign in line:
                return line
    return lines[-1] if lines else ""


def _child(channel: socket.socket, source: Path, programs: Sequence[str]) -> None:
    # bcc's libraries print to both
    log = os.memfd_create("bcc")
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        fds = _compile(source, programs)
    except BaseException as exc:  # noqa: BLE001 - bcc raises bare Exception; this process ends here
        reason = " ".join(str(exc).split()) or type(exc).__name__
        said = _first_error(os.pread(log, _LOG_MAX, 0).decode(errors="replace"))
        reason = ": ".join(part[:_PART_MAX] for part in (reason, said) if part)
        channel.send(reason.encode()[:_REASON_MAX])
    else:
        channel.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


def load(source: Path, programs: Sequence[str]) -> LoadedTap:
    """Compile and load. Raises LoadError with the compiler's or the kernel's reason."""
    if find_bcc() is None:
        raise LoadError("bcc not found; install Debian's python3-bpfcc, or use --loader libbpf")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            # never back into our caller's frames, whatever happens
            try:
                ours.close()
                _child(theirs, source, programs)
            finally:
                os._exit(0)
        theirs.close()
        answer, fds, _, _ = socket.recv_fds(ours, _REASON_MAX, len(programs) + len(MAPS))
        os.waitpid(pid, 0)
    for fd in fds:
        os.set_inheritable(fd, False)
    if len(fds) != len(programs) + len(MAPS):
        reason = answer.decode(errors="replace") or "the compiler died"
        raise LoadError(
            f"bcc could not load {source / 'tap.bpf.c'}: {reason}; it needs this kernel's headers "
            "(linux-headers, or BCC_KERNEL_SOURCE), else use --loader libbpf"
        )
    return LoadedTap(
        loader=Loader.BCC,
        programs=dict(zip(programs, fds, strict=False)),
        maps=dict(zip(MAPS, fds[len(programs) :], strict=True)),
    )
