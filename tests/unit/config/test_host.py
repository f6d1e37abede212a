"""What only the host can confirm."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shadow_agent.config import check_data_dir, prepare_data_dir, unprivileged_user
from shadow_agent.errors import ExitCode, UsageError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


def test_the_data_directory_is_made(tmp_path: Path) -> None:
    """With its parents, not for everybody's eyes, and without a trace of the probe."""
    folder = tmp_path / "a" / "b"
    prepare_data_dir(folder)
    prepare_data_dir(folder)
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o007 == 0
    assert list(folder.iterdir()) == []


def test_checking_leaves_nothing(tmp_path: Path) -> None:
    """Doctor changes nothing on the host."""
    check_data_dir(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("function", [prepare_data_dir, check_data_dir])
def test_a_folder_that_others_may_change(
    tmp_path: Path, function: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could take the audit log away: refused, with the fix. Who called sudo is no other."""
    monkeypatch.delenv("SUDO_UID", raising=False)
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(UsageError, match=r"others may change .*; chown .* chmod 700"):
        function(open_to_all)
    open_to_all.chmod(0o1777)  # a tmpfs as mount makes it
    function(open_to_all)
    open_to_all.chmod(0o700)
    function(open_to_all)
    if os.geteuid() == 0:
        os.chown(open_to_all, 65534, 65534)
        with pytest.raises(UsageError, match="others may change"):
            function(open_to_all)
        monkeypatch.setenv("SUDO_UID", "65534")
        function(open_to_all)


@pytest.mark.parametrize("function", [prepare_data_dir, check_data_dir])
@pytest.mark.parametrize("below", ["", "deep/er"])
def test_a_path_through_a_file(tmp_path: Path, function: object, below: str) -> None:
    """Root has every permission, and still cannot."""
    file = tmp_path / "file"
    file.touch()
    assert callable(function)
    with pytest.raises(
        UsageError, match=r"--data-dir .*: cannot write there: .*; give a"
    ) as caught:
        function(file / below)
    assert caught.value.exit_code is ExitCode.USAGE


READ_ONLY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
folder = sys.argv[1].encode()
NEWNS, REC_PRIVATE, RDONLY = 0x20000, 0x4000 | 1 << 18, 1
assert libc.unshare(NEWNS) == 0
assert libc.mount(None, b"/", None, REC_PRIVATE, None) == 0
assert libc.mount(b"none", folder, b"tmpfs", RDONLY, None) == 0
from pathlib import Path
from shadow_agent.config import check_data_dir, prepare_data_dir
from shadow_agent.errors import UsageError
for function in (prepare_data_dir, check_data_dir):
    for name in ("", "below"):
        try:
            function(Path(sys.argv[1], name))
        except UsageError as error:
            print(error)
"""


@needs_root
def test_a_read_only_mount(tmp_path: Path) -> None:
    """As on a hardened host: refused for root too."""
    found = subprocess.run(
        [sys.executable, "-c", READ_ONLY, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = found.stdout.splitlines()
    assert len(lines) == 4
    assert all("Read-only file system" in line for line in lines)


def test_the_user_of_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named one must exist and be no root; without a name the first of ours that exists."""
    assert unprivileged_user("nobody").pw_name == "nobody"
    assert unprivileged_user(None).pw_name in {"shadow-agent", "nobody"}
    with pytest.raises(UsageError, match="--user root: has user id 0"):
        unprivileged_user("root")
    with pytest.raises(UsageError, match="--user no-such-user: no such user; create one: useradd"):
        unprivileged_user("no-such-user")
