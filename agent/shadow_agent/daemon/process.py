"""What a child of the supervisor does before it touches a byte from the wire.

Order matters: map and open what needs root, let go of every other fd (a link's fd held here would
keep the tap attached after the supervisor died), drop privileges, and only then ask to die with
the parent, because changing ids clears that wish (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pwd
import resource
import signal
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shadow_agent.errors import HostError

if TYPE_CHECKING:
    import asyncio

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
# The sets of capabilities are this wide; a kernel knows fewer, and says so.
_CAPABILITIES: Final = 64
_STANDARD: Final = (0, 1, 2)
# How a worker ends that has used up its memory: no shell and no signal uses the number.
OUT_OF_MEMORY: Final = 86

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int | bytes) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl {option}: {os.strerror(code)}")


def name_process(name: str) -> None:
    """What ps and top call it; 15 characters."""
    _prctl(_PR_SET_NAME, name.encode()[:15])


def close_all_but(keep: Collection[int]) -> None:
    """Close every fd except the standard ones and those in ``keep``."""
    wanted = sorted({*_STANDARD, *keep})
    start = 0
    for fd in wanted:
        if start < fd:  # an empty range from 0 would close everything
            os.closerange(start, fd)
        start = fd + 1
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(start, limit if limit != resource.RLIM_INFINITY else 1 << 20)


def allow_files(
    count: int,
    who: str = "limits.max-connections",
    fix: str = "lower it, or raise the hard limit (LimitNOFILE=, ulimit -Hn)",
) -> None:
    """Raise the limit on open files so that ``count`` fit, as ``who`` needs. Raises HostError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))
        except (OSError, ValueError) as exc:
            raise HostError(
                f"this process may open {hard} files, {who} needs {count}", fix
            ) from exc


def drop_privileges(user: pwd.struct_passwd) -> None:
    """Become ``user`` for good: no groups, no capabilities, none to be had by exec."""
    # A supervisor that has shed its own capabilities may take none from the set, nor needs to: its
    # children have what it kept. Those forked before still have root's, and lose all of it here.
    with contextlib.suppress(PermissionError):
        bound_capabilities()
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    no_new_privileges()


def bound_capabilities(wanted: Collection[int] = ()) -> None:
    """Programs started from here on could have no more than ``wanted``, and are left none.

    Needs CAP_SETPCAP. Raises OSError.
    """
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for bit in range(_CAPABILITIES):
        try:
            if bit not in wanted:
                _prctl(_PR_CAPBSET_DROP, bit)
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                raise
            break  # beyond the last that this kernel knows


def no_new_privileges() -> None:
    """Nothing that this process runs from here on gains a privilege."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def bound_memory(limit: int | None) -> None:
    """Be the first to go when the host, or our group, runs out; ``limit``: bytes of our own data.

    RLIMIT_DATA counts private memory that can be written. RLIMIT_AS would count rings, shared
    pages and address space that nobody touches.
    """
    with contextlib.suppress(OSError):  # a container may keep it read-only
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def end_if_out_of_memory(exc: BaseException | None) -> None:
    """What half-way ran out of memory is in no known state: end, by a code that says why."""
    if isinstance(exc, MemoryError):
        os._exit(OUT_OF_MEMORY)


def on_loop_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An event loop's handler of exceptions that nobody caught."""
    end_if_out_of_memory(context.get("exception"))
    loop.default_exception_handler(context)


def die_with_parent(parent: int) -> None:
    """Be killed when the parent dies, also when it just has."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def ignore_terminal_signals() -> None:
    """Ctrl-C reaches the whole process group; the supervisor decides what it means."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
