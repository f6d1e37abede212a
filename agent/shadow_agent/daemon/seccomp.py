"""A filter on system calls, through libseccomp.so.2: what a child may still ask of the kernel.

What is not named is refused with EPERM, or ENOSYS where libc or libuv then takes another way.
What no honest child ever asks for ends the process (SIGSYS): the supervisor raises an alert and
starts another. Names are resolved for the machine's own architecture; every other one is deadly.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import termios
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from shadow_agent.errors import HostError

_LIBRARY: Final = "libseccomp.so.2"
# seccomp.h
_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000
_MASKED_EQ: Final = 7
_UNKNOWN: Final = -1  # __NR_SCMP_ERROR
_ACT_BADARCH, _CTL_TSYNC, _CTL_SSB, _CTL_OPTIMIZE = 2, 4, 7, 8

_INT: Final = 0xFFFFFFFF  # the kernel looks at the lower half of an int, and so do we


class Is(NamedTuple):
    """Argument number ``argument`` has ``value`` in the bits of ``mask``."""

    argument: int
    value: int
    mask: int = _INT


class Call(NamedTuple):
    """A system call under conditions that must all hold."""

    name: str
    conditions: tuple[Is, ...] = ()


def _calls(names: str) -> tuple[Call, ...]:
    return tuple(Call(name) for name in names.split())


_PROT_EXEC: Final = 4
_TO_WRITE: Final = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC
_CLONE_THREAD: Final = 0x10000
_PR_SET_NAME: Final = 15
_KIND_BITS: Final = ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) & _INT
# Not among them TIOCSTI, which types into the operator's terminal.
_IOCTLS: Final = (
    *(termios.FIONBIO, termios.FIONREAD, termios.FIONCLEX, termios.FIOCLEX),
    *(termios.TCGETS, 0x802C542A, termios.TIOCGWINSZ),  # TCGETS2: isatty of glibc 2.42
)

# What an interpreter with an event loop does after everything is opened and imported.
_BASE: Final = (
    *_calls("read readv pread64 preadv write writev close lseek dup dup3 fcntl fcntl64 _llseek"),
    *_calls("fstat fstat64 newfstatat fstatat64 stat stat64 lstat statx access faccessat"),
    *_calls("readlink readlinkat getcwd getdents64 statfs fstatfs fadvise64 uname sysinfo"),
    *_calls("brk munmap mremap madvise membarrier futex rseq set_robust_list get_robust_list"),
    *_calls("sched_yield sched_getaffinity getcpu getrandom getrusage times restart_syscall"),
    *_calls("getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid getgroups"),
    *_calls("clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time"),
    *_calls("rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait sigaltstack sigreturn"),
    *_calls("exit exit_group pipe2 pipe eventfd2 poll ppoll select pselect6"),
    *_calls("epoll_create1 epoll_create epoll_ctl epoll_wait epoll_pwait set_tid_address"),
    *_calls("getsockname getpeername getsockopt setsockopt shutdown"),
    *_calls("sendto recvfrom sendmsg recvmsg"),
    *(Call(name, (Is(2, 0, _PROT_EXEC),)) for name in ("mmap", "mmap2", "mprotect")),
    *(Call("ioctl", (Is(1, request),)) for request in _IOCTLS),
    Call("open", (Is(1, os.O_RDONLY, _TO_WRITE),)),
    Call("openat", (Is(2, os.O_RDONLY, _TO_WRITE),)),
    Call("clone", (Is(0, _CLONE_THREAD, _CLONE_THREAD),)),
    Call("prctl", (Is(0, _PR_SET_NAME),)),
    Call("prlimit64", (Is(2, 0, 0xFFFFFFFF_FFFFFFFF),)),  # to ask, not to set
    # a connected pair of streams cannot be connected anywhere else
    Call("socketpair", (Is(0, socket.AF_UNIX), Is(1, socket.SOCK_STREAM, _KIND_BITS))),
)
_CONNECTING: Final = (
    *(
        Call("socket", (Is(0, family), Is(1, socket.SOCK_STREAM, _KIND_BITS), Is(2, protocol)))
        for family in (socket.AF_INET, socket.AF_INET6)
        for protocol in (0, socket.IPPROTO_TCP)
    ),
    *_calls("bind connect"),
)
_SERVING: Final = _calls("accept accept4 listen")

# A client of somebody else's libraries, which load more of themselves and resolve names.
_ASKING: Final = (
    *_CONNECTING,
    *_calls("sendmmsg mmap mmap2 mprotect"),
    *_calls("sched_getparam sched_getscheduler"),  # a mutex of gRPC's; it complains on stderr
    *(
        Call("socket", (Is(0, family), Is(1, socket.SOCK_DGRAM, _KIND_BITS)))
        for family in (socket.AF_INET, socket.AF_INET6)
    ),
    Call("socket", (Is(0, socket.AF_NETLINK), Is(2, 0))),  # NETLINK_ROUTE: getaddrinfo
)

# Refused so that the caller takes its older way. io_uring would go around this filter: libuv
# uses it for epoll_ctl in bulk where it is allowed.
_ABSENT: Final = (
    *("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "openat2"),
    *("faccessat2", "epoll_pwait2", "close_range", "preadv2", "pwritev2", "copy_file_range"),
    *("futex_waitv", "map_shadow_stack", "fchmodat2", "statmount", "listmount"),
)
_DEADLY: Final = (
    *("execve", "execveat", "vfork", "ptrace", "process_vm_readv", "process_vm_writev"),
    *("process_madvise", "pidfd_getfd", "kcmp", "bpf", "perf_event_open", "userfaultfd"),
    *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen"),
    *("fsmount", "fsconfig", "fspick", "mount_setattr", "open_by_handle_at", "setns", "unshare"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot"),
    *("swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "iopl", "ioperm", "modify_ldt"),
    *("add_key", "request_key", "keyctl", "personality", "sethostname", "setdomainname"),
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups"),
    *("setfsuid", "setfsgid", "capset", "settimeofday", "clock_settime", "adjtimex"),
)


class Profile(Enum):
    """What a process is for."""

    WORKER = (*_BASE, *_CONNECTING)  # reads its ring, connects to the shadow
    METRICS = (*_BASE, *_SERVING)  # answers on a listener that it was given
    ASKER = (*_BASE, *_ASKING)  # asks the feature gate
    READER = _BASE  # reads a file that is open, and prints


class _Compare(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


class Filter:
    """Made before privileges are dropped, loaded after it, for good, in every thread."""

    def __init__(self, profile: Profile) -> None:
        """Raises OSError: no libseccomp, or one that is too old."""
        self._library = _open()
        self._context = self._library.seccomp_init(_ERRNO | errno.EPERM)
        if not self._context:
            raise OSError(errno.ENOMEM, "seccomp_init")
        self._set(_ACT_BADARCH, _KILL_PROCESS)
        self._set(_CTL_TSYNC, 1)
        # Before Linux 5.16 a filter switches speculation off, for the sake of foreign code that is
        # compiled at run time: a fifth of Python's speed, and there is none here.
        self._set(_CTL_SSB, 1, must=False)
        self._set(_CTL_OPTIMIZE, 2, must=False)
        for call in profile.value:
            self._add(_ALLOW, call)
        for name in _ABSENT:
            self._add(_ERRNO | errno.ENOSYS, Call(name))
        for name in _DEADLY:
            self._add(_KILL_PROCESS, Call(name))

    def load(self) -> None:
        """From here on. Raises OSError where the kernel has no filters."""
        _check(self._library.seccomp_load(self._context), "seccomp_load")

    def _set(self, attribute: int, value: int, *, must: bool = True) -> None:
        code = self._library.seccomp_attr_set(self._context, attribute, value)
        if must:
            _check(code, f"seccomp_attr_set {attribute}")

    def _add(self, action: int, call: Call) -> None:
        number = self._library.seccomp_syscall_resolve_name(call.name.encode())
        if number == _UNKNOWN:  # newer than this libseccomp
            return
        comparisons = (_Compare * len(call.conditions))(
            *(_Compare(is_.argument, _MASKED_EQ, is_.mask, is_.value) for is_ in call.conditions)
        )
        # a negative number is a call that this architecture does not have; libseccomp skips it
        _check(
            self._library.seccomp_rule_add_array(
                self._context, action, number, len(comparisons), comparisons
            ),
            call.name,
        )


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Whether there are filters, and which; ``state`` is what status and doctor say."""

    state: str
    filters: tuple[tuple[Profile, Filter], ...] = ()

    @property
    def on(self) -> bool:
        """Whether ``load`` does anything."""
        return bool(self.filters)

    def load(self, profile: Profile) -> None:
        """In a child, when its privileges are dropped. Raises OSError, and then it must end."""
        for one, made in self.filters:
            if one is profile:
                made.load()


NO_SANDBOX: Final = Sandbox("off (not asked for)")


def open_sandbox(wanted: str, profiles: Iterable[Profile] = tuple(Profile)) -> Sandbox:
    """``wanted``: auto (without filters where there can be none), require, or off.

    Each filter is tried in a child of its own. Raises HostError for ``require``.
    """
    if wanted == "off":
        return NO_SANDBOX
    try:
        made = tuple((profile, Filter(profile)) for profile in profiles)
        _try([one for _, one in made])
    except OSError as exc:
        why = exc.strerror or str(exc)
        if wanted == "require":
            raise HostError(
                f"no filter on system calls: {why}", "apt install libseccomp2, or --seccomp auto"
            ) from exc
        return Sandbox(f"off ({why})")
    return Sandbox("on", made)


def _try(filters: Iterable[Filter]) -> None:
    """All at once: the kernel takes 10 ms for one."""
    pids = [_loaded(one) for one in filters]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    code = next((code for code in codes if code), 0)
    if code:
        why = os.strerror(code) if code > 0 else signal.Signals(-code).name
        raise OSError(code, f"the kernel takes none: {why}")


def _loaded(one: Filter) -> int:
    """A child that ends with what became of it."""
    pid = os.fork()
    if pid == 0:
        code = errno.EIO
        try:
            one.load()
            code = 0
        except OSError as exc:
            code = exc.errno or errno.EIO
        finally:
            os._exit(code)
    return pid


def _open() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY, use_errno=True)
        library.seccomp_init.restype = ctypes.c_void_p
        library.seccomp_init.argtypes = [ctypes.c_uint32]
        library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
        library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
        library.seccomp_rule_add_array.argtypes = [
            ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint,
            ctypes.POINTER(_Compare),
        ]  # fmt: skip
        library.seccomp_load.argtypes = [ctypes.c_void_p]
    except (OSError, AttributeError) as exc:
        raise OSError(errno.ENOENT, f"no {_LIBRARY}; apt install libseccomp2") from exc
    return library


def _check(code: int, what: str) -> None:
    if code < 0:
        raise OSError(-code, f"{what}: {os.strerror(-code)}")
