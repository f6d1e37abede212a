"""Runs a function in a network namespace of its own, which ends with it: nothing to clean up."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


def isolated(function: Callable[[], T]) -> T:
    """Call it in a thread that has left our namespace; its result or its exception.

    Files of ``/proc/net`` are those of ``/proc/thread-self/net`` there, and commands started
    there run there.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _leave()
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def open_files() -> set[str]:
    """The descriptors of this process, as names and what they stand for."""
    return {
        f"{one.name} {one.readlink()}"
        for one in Path("/proc/self/fd").iterdir()
        if one.is_symlink()
    }


def _leave() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def ip(arguments: str) -> None:
    """``ip`` with these arguments, in the namespace of the calling thread."""
    subprocess.run(["ip", *arguments.split()], check=True)


def two_interfaces() -> None:
    """``front`` 10.9.1.2/24 and ``back`` 10.9.0.2/24 with their far ends, all up, and lo."""
    ip("link set lo up")
    ip("link add front type veth peer name client")
    ip("link add back type veth peer name far")
    for name in ("front", "client", "back", "far"):
        ip(f"link set {name} up")
    ip("addr add 10.9.1.2/24 dev front")
    ip("addr add fd09:1::2/64 dev front nodad")
    ip("addr add 10.9.0.2/24 dev back")
    ip("addr add fd09::2/64 dev back nodad")
