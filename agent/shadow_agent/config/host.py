"""The parts of a configuration that only this host can confirm: a writable folder, a user."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from pathlib import Path
from typing import Final

from shadow_agent.errors import UsageError

# In order of preference, when none is named.
_USERS: Final = ("shadow-agent", "nobody")


def prepare_data_dir(path: Path) -> None:
    """Make the data directory and try a file in it. Raises UsageError."""
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
        _probe(path)
        found = path.stat()
    except OSError as error:
        raise _unwritable(path, error) from error
    check_owned(path, found)


def check_data_dir(path: Path) -> None:
    """Whether ``prepare_data_dir`` would succeed, with nothing left behind. Raises UsageError."""
    try:
        _probe(next(one for one in (path, *path.parents) if one.exists()))
        found = path.stat() if path.exists() else None
    except OSError as error:
        raise _unwritable(path, error) from error
    if found is not None:
        check_owned(path, found)


def check_owned(path: Path, found: os.stat_result) -> None:
    """Who may rename in it can take the audit log away, and lead us elsewhere by a link.

    A folder with the sticky bit (/tmp, a tmpfs as mount makes it) lets nobody rename what is ours.
    """
    caller = os.environ.get("SUDO_UID", "")  # who may become root may as well own the folder
    ours = found.st_uid in {0, os.geteuid()} or str(found.st_uid) == caller
    shared = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
    if not ours or shared or stat.S_ISLNK(found.st_mode):
        raise UsageError(
            f"--data-dir {path}: others may change what is in it",
            f"chown {os.geteuid()} {path}; chmod 700 {path}",
        )


def _probe(folder: Path) -> None:
    # Permission bits say too little: root may write anywhere but on a read-only mount, a full
    # disk, or below a file.
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as probe:
        probe.write(b"probe")
        probe.flush()


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"--data-dir {path}: cannot write there: {error.strerror}",
        "give a folder on a disk that is writable and has space",
    )


def unprivileged_user(name: str | None) -> pwd.struct_passwd:
    """Whom the workers run as: the user named, else ``shadow-agent``, else ``nobody``.

    Raises UsageError when there is no such user, or when it is root.
    """
    for one in _USERS if name is None else (name,):
        try:
            entry = pwd.getpwnam(one)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            raise UsageError(f"--user {one}: has user id 0", "name a user without privileges")
        return entry
    raise UsageError(
        f"--user {name or ' or '.join(_USERS)}: no such user",
        "create one: useradd --system --no-create-home shadow-agent",
    )
