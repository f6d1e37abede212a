"""Network namespaces without a name: they end with the last process and file that hold them.

`unshare` and `enter` change the calling *thread* only, so a caller gives them a thread of its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def unshare() -> int:
    """Put this thread into a new namespace; returns an fd that keeps it. Raises OSError."""
    if _libc.unshare(_CLONE_NEWNET) != 0:
        _fail("unshare")
    # "self" would be the process, that is its main thread
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter(fd: int) -> None:
    """Put this thread into the namespace of the fd. Raises OSError."""
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        _fail("setns")


def tried(function: Callable[[], int]) -> int:
    """What it returns (0 to 255) in a child and a namespace that end with the try.

    The errno of an OSError, EIO for whatever else goes wrong.
    """
    pid = os.fork()
    if pid == 0:
        code = errno.EIO  # never back into our caller's frames
        try:
            unshare()
            code = function()
        except OSError as exc:
            code = exc.errno or errno.EIO
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _fail(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")
