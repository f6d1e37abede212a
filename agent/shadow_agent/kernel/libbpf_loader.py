"""Loads the object built at install through libbpf.so.1: no compiler, no headers."""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from shadow_agent.kernel.program import MAPS, LoadedTap, Loader, LoadError

_LIBRARY = "libbpf.so.1"
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


def open_library() -> ctypes.CDLL:
    """libbpf 1.x; OSError where the host has none."""
    library = ctypes.CDLL(_LIBRARY, use_errno=True)
    for name, result, arguments in (
        ("bpf_object__open_file", ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_void_p]),
        ("bpf_object__load", ctypes.c_int, [ctypes.c_void_p]),
        ("bpf_object__close", None, [ctypes.c_void_p]),
        ("bpf_object__next_program", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_void_p]),
        ("bpf_program__name", ctypes.c_char_p, [ctypes.c_void_p]),
        ("bpf_program__fd", ctypes.c_int, [ctypes.c_void_p]),
        ("bpf_program__set_autoload", ctypes.c_int, [ctypes.c_void_p, ctypes.c_bool]),
        (
            "bpf_object__find_map_fd_by_name",
            ctypes.c_int,
            [ctypes.c_void_p, ctypes.c_char_p],
        ),
        ("libbpf_version_string", ctypes.c_char_p, []),
        ("libbpf_set_print", ctypes.c_void_p, [ctypes.c_void_p]),
    ):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def _keep(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


def load(path: Path, programs: Sequence[str], maps: Sequence[str] = MAPS) -> LoadedTap:
    """Load an object file. Raises LoadError with libbpf's or the kernel's reason."""
    if not path.exists():
        raise LoadError(f"no BPF object at {path}; build it with `make bpf`, or use --loader bcc")
    try:
        library = open_library()
    except OSError as exc:
        raise LoadError(f"{_LIBRARY} not found; install Debian's libbpf1") from exc
    library.libbpf_set_print(None)  # its log goes to stderr line by line
    handle = library.bpf_object__open_file(os.fsencode(path), None)
    if not handle:
        raise LoadError(f"{path}: not a BPF object ({os.strerror(ctypes.get_errno())})")
    try:
        found = {}
        program = library.bpf_object__next_program(handle, None)
        while program:
            name = library.bpf_program__name(program).decode()
            found[name] = program
            library.bpf_program__set_autoload(program, name in programs)
            program = library.bpf_object__next_program(handle, program)
        missing = next((name for name in programs if name not in found), None)
        if missing is not None:
            raise LoadError(
                f"{path}: no program {missing}, built from another version; rebuild it: `make bpf`"
            )
        result = library.bpf_object__load(handle)
        if result < 0:
            raise LoadError(
                f"the kernel refused {path.name}: {os.strerror(-result)}; run `shadow-agent doctor`"
            )
        return LoadedTap(
            loader=Loader.LIBBPF,
            programs={name: _keep(library.bpf_program__fd(found[name])) for name in programs},
            maps={
                name: _keep(library.bpf_object__find_map_fd_by_name(handle, name.encode()))
                for name in maps
            },
        )
    finally:
        library.bpf_object__close(handle)
