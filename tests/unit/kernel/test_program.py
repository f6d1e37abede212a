"""File descriptors of a loaded tap; ``tests/kernel/test_loaders.py`` loads real ones."""

from __future__ import annotations

import os

import pytest

from shadow_agent.kernel.program import LoadedTap, Loader, source_folder


def test_it_owns_its_descriptors() -> None:
    """Programs and maps are closed with it."""
    fds = [os.memfd_create(name) for name in "abc"]
    LoadedTap(Loader.LIBBPF, {"a": fds[0]}, {"b": fds[1], "c": fds[2]}).close()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_the_source_is_there() -> None:
    """Beside the package in a clone, inside it once installed."""
    assert (source_folder() / "tap.bpf.c").is_file()
