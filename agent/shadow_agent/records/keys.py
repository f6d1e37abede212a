"""The two keys of a data directory: one makes redaction's tokens, one opens stored evidence.

The redaction key lies in the data directory (``redaction.key``, 0600) and is made on first use.
The evidence key never lies there: who takes the directory away has nothing to open it with.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from shadow_agent.errors import UsageError

KEY_BYTES: Final = 32
REDACTION: Final = "redaction.key"
# Under $CREDENTIALS_DIRECTORY, where systemd puts what LoadCredential= names.
CREDENTIAL: Final = "shadow-agent-evidence"
_MAX_FILE: Final = 4096


def redaction_key(data_dir: Path) -> bytes:
    """Read it, or make it. Raises UsageError."""
    path = data_dir / REDACTION
    try:
        if not path.exists():
            _make(path)
        return _read(path)
    except OSError as exc:
        raise UsageError(f"{path}: {exc.strerror}", "run as root, or give --data-dir") from exc


def rotate_redaction_key(data_dir: Path) -> None:
    """From now on equal values have other tokens than before. Raises UsageError."""
    path = data_dir / REDACTION
    draft = data_dir / f".{REDACTION}-{secrets.token_hex(4)}"
    try:
        _make(draft)
        draft.replace(path)
    except OSError as exc:
        draft.unlink(missing_ok=True)
        raise UsageError(f"{path}: {exc.strerror}", "run as root, or give --data-dir") from exc


def evidence_key(key_file: Path | None, data_dir: Path) -> bytes:
    """From ``key_file``, else from systemd's credentials. Raises UsageError."""
    path = key_file or credential()
    if path is None:
        raise UsageError(
            "privacy.evidence: no key to encrypt it with",
            f"name a file of {KEY_BYTES} random bytes with privacy.key-file, or give the service "
            f"LoadCredential={CREDENTIAL}:FILE",
        )
    try:
        if path.resolve().is_relative_to(data_dir.resolve()):
            raise UsageError(
                f"{path}: the key lies in the data directory {data_dir} that it protects",
                "keep it elsewhere",
            )
        return _read(path)
    except OSError as exc:
        raise UsageError(
            f"privacy.key-file {path}: {exc.strerror}",
            f"make one: head -c {KEY_BYTES} /dev/urandom > {path}; chmod 600 {path}",
        ) from exc


def credential() -> Path | None:
    """What systemd gave the service; None: nothing, or this is no service of its."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = None if not folder else Path(folder) / CREDENTIAL
    return path if path is not None and path.exists() else None


def _make(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as out:
        out.write(secrets.token_bytes(KEY_BYTES))
        out.flush()
        os.fsync(out.fileno())


def _read(path: Path) -> bytes:
    """Raw, or in hexadecimal with or without a newline. Raises OSError and UsageError."""
    # a pipe keeps nobody waiting, and holds no key
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as source:
        found = os.fstat(source.fileno())
        data = source.read(_MAX_FILE) or b""
    if found.st_uid not in (0, os.geteuid()) or stat.S_IMODE(found.st_mode) & 0o077:
        raise UsageError(
            f"{path}: others may read or change it", f"chown root {path}; chmod 600 {path}"
        )
    if len(data) == KEY_BYTES:
        return data
    try:
        key = bytes.fromhex(data.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise UsageError(
            f"{path}: no key: neither {KEY_BYTES} bytes nor {2 * KEY_BYTES} hexadecimal digits",
            f"make one: head -c {KEY_BYTES} /dev/urandom > {path}",
        )
    return key
