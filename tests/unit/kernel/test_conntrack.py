"""How full conntrack is, and whether connections can be kept out of it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from shadow_agent.kernel import conntrack
from shadow_agent.kernel.conntrack import Usage
from tests.unit.isolated import needs_root


def table(tmp_path: Path, count: int, limit: int) -> Path:
    """A folder as /proc/sys/net/netfilter."""
    (tmp_path / "nf_conntrack_count").write_text(f"{count}\n")
    (tmp_path / "nf_conntrack_max").write_text(f"{limit}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("count", "ok", "said"),
    [(0, True, "0 of 1000 entries (0%)"), (799, True, "799 of"), (800, None, "(80%): when it is")],
)
def test_headroom(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int, ok: bool | None, said: str
) -> None:
    """A table that is nearly full is a warning, with the fix."""
    monkeypatch.setattr(conntrack, "_SYSCTL", table(tmp_path, count, 1000))
    found = conntrack.headroom()
    assert conntrack.usage() == Usage(count, 1000)
    assert found.ok is ok
    assert said in found.detail
    assert (found.fix != "") == (ok is None)


def test_not_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then nothing is tracked, and nothing is wrong."""
    monkeypatch.setattr(conntrack, "_SYSCTL", tmp_path / "nowhere")
    assert conntrack.usage() is None
    assert conntrack.headroom().ok is True
    assert "not loaded" in conntrack.headroom().detail


@needs_root
def test_it_is_tried() -> None:
    """In a namespace that ends with the try."""
    found = conntrack.notrack()
    assert found.ok is True
    assert "nftables" in found.detail


@pytest.mark.parametrize(
    ("code", "ok", "said"),
    [
        (conntrack._UNOWNED, True, "after kill -9"),
        (errno.EPERM, None, "could not be tried"),
        (errno.EPROTONOSUPPORT, None, "no nftables (Protocol not supported)"),
    ],
)
def test_where_it_is_not_so(
    monkeypatch: pytest.MonkeyPatch, code: int, ok: bool | None, said: str
) -> None:
    """Each with what it means."""
    monkeypatch.setattr(conntrack, "_try", lambda: code)
    assert conntrack.notrack().ok is ok
    assert said in conntrack.notrack().detail
