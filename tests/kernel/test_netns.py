"""Namespaces without a name."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shadow_agent.kernel import netns

if os.geteuid() != 0:
    pytest.skip("root", allow_module_level=True)


def _here() -> int:
    return Path("/proc/thread-self/ns/net").stat().st_ino


def _in_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_the_thread_alone_moves() -> None:
    """Unshared in one, entered from another; ours stays where it is."""
    before, found = _here(), []

    def make() -> None:
        found.append(netns.unshare())
        found.append(_here())

    def enter() -> None:
        netns.enter(found[0])
        found.append(_here())

    _in_thread(make)
    _in_thread(enter)
    os.close(found[0])
    assert found[1] == found[2] != before == _here()


def test_what_is_no_namespace(tmp_path: os.PathLike[str]) -> None:
    """An OSError that names the call."""
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="setns"):
        netns.enter(fd)
    os.close(fd)


def test_a_try_is_another_s(tmp_path: Path) -> None:
    """In a namespace and a process of its own; its errors are numbers, defects too."""
    here = _here()
    said = tmp_path / "namespace"

    def note() -> int:
        said.write_text(str(_here()))
        return 7

    def fail() -> int:
        raise PermissionError(errno.EPERM, "no")

    def defect() -> int:
        raise ZeroDivisionError

    assert netns.tried(note) == 7
    assert int(said.read_text()) != here
    assert netns.tried(fail) == errno.EPERM
    assert netns.tried(defect) == errno.EIO
