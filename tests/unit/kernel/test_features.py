"""Probes of the kernel: on this one, and on what older or poorer ones say."""

import errno
import os
from pathlib import Path

import pytest

from shadow_agent.kernel import bcc_loader, bpf, features, libbpf_loader
from tests.unit.isolated import needs_root, open_files

ALL = (1 << 41) - 1
STATUS = "Name:\tx\nCapEff:\t{:016x}\nCapBnd:\t0\n"
BPFFS = "36 29 0:32 / /sys/fs/bpf rw,nosuid shared:11 - bpf bpf rw,mode=700\n"


def refuse(code: int) -> object:
    """A function that raises this errno, whatever it is given."""

    def call(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize(
    ("release", "ok"),
    [
        ("6.18.44", True),
        ("5.10.0-30-amd64", True),
        ("10.0", True),
        ("5.9.16", False),
        ("4.19.0", False),
        ("strange", False),
    ],
)
def test_the_kernel_version(release: str, ok: bool) -> None:
    """5.10 and newer, compared as numbers."""
    found = features.kernel_version(release)
    assert found.ok is ok
    assert release in found.detail
    assert bool(found.fix) is not ok


def test_btf_is_optional(tmp_path: Path) -> None:
    """Its absence is a warning."""
    assert features.btf(tmp_path).ok is True
    assert features.btf(tmp_path / "vmlinux").ok is None


def test_missing_capabilities_are_named() -> None:
    """Only those, and CAP_SYS_ADMIN stands for the two that came out of it."""
    assert features.capabilities(STATUS.format(ALL)).ok is True
    poor = features.capabilities(STATUS.format(ALL & ~(1 << 39) & ~(1 << 12) & ~(1 << 21)))
    assert poor.ok is False
    assert poor.detail == "missing CAP_NET_ADMIN, CAP_BPF"
    assert "root" in poor.fix
    assert features.capabilities(STATUS.format(ALL & ~(1 << 39) & ~(1 << 38))).ok is True
    assert features.capabilities("").ok is False


@needs_root
def test_this_kernel_has_tcx_or_clsact() -> None:
    """One of them is needed for everything else."""
    assert features.hook().ok is True


@needs_root
def test_clsact_is_tried_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel before 6.6 answers EINVAL; the try happens in a namespace of its own."""
    monkeypatch.setattr(bpf, "query_tcx", refuse(errno.EINVAL))
    found = features.hook()
    assert found.ok is True
    assert found.detail.startswith("clsact")


@pytest.mark.parametrize(
    ("code", "ok", "words"),
    [
        (errno.ENOENT, False, "modprobe sch_ingress"),
        (errno.EPERM, None, "root"),
    ],
)
def test_neither_tcx_nor_clsact(
    monkeypatch: pytest.MonkeyPatch, code: int, ok: bool | None, words: str
) -> None:
    """What is missing, or that it could not be tried."""
    monkeypatch.setattr(bpf, "query_tcx", refuse(errno.EINVAL))
    monkeypatch.setattr(features, "_add_clsact", lambda: code)
    found = features.hook()
    assert found.ok is ok
    assert words in found.fix


def test_tcx_without_the_right_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the kernel's fault."""
    monkeypatch.setattr(bpf, "query_tcx", refuse(errno.EPERM))
    found = features.hook()
    assert (found.ok, found.fix) == (False, "run as root")


@needs_root
def test_a_ring_is_made_and_closed() -> None:
    """No descriptor stays."""
    before = open_files()
    assert features.ring_buffer().ok is True
    assert open_files() == before


@pytest.mark.parametrize(("code", "words"), [(errno.EINVAL, "5.8"), (errno.EPERM, "ulimit -l")])
def test_no_ring(monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    """An old kernel, or no right to it."""
    monkeypatch.setattr(bpf, "create_ring", refuse(code))
    found = features.ring_buffer()
    assert found.ok is False
    assert words in found.fix


def test_bpffs_is_found_in_the_mounts() -> None:
    """Wherever it is mounted; without it a warning with the command."""
    assert features.bpffs(BPFFS).detail == "mounted at /sys/fs/bpf"
    found = features.bpffs("36 29 0:32 / /proc rw - proc proc rw\n")
    assert (found.ok, found.fix) == (None, "mount -t bpf bpf /sys/fs/bpf")


@pytest.mark.parametrize(("folder", "ok"), [(Path("/usr/lib/bcc"), None), (None, False)])
def test_what_is_missing_for_libbpf_is_fatal_without_bcc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path | None, ok: bool | None
) -> None:
    """The other loader may do."""
    monkeypatch.setattr(bcc_loader, "find_bcc", lambda: folder)
    monkeypatch.setattr(libbpf_loader, "open_library", refuse(errno.ENOENT))
    missing = features.libbpf()
    assert missing.ok is ok
    assert "apt install libbpf1" in missing.fix
    unbuilt = features.bpf_object(tmp_path / "tap.bpf.o")
    assert unbuilt.ok is ok
    assert "make bpf" in unbuilt.fix
    assert features.bcc().ok is True


def test_the_object_that_was_built(tmp_path: Path) -> None:
    """Its size tells an empty build."""
    path = tmp_path / "tap.bpf.o"
    path.write_bytes(b"1234")
    assert features.bpf_object(path) == features.Finding("bpf object", True, "tap.bpf.o, 4 bytes")


@needs_root
def test_every_no_has_a_fix() -> None:
    """On this machine, whatever it lacks."""
    found = features.findings()
    assert len({one.name for one in found}) == len(found)
    assert all(one.fix for one in found if one.ok is not True)
