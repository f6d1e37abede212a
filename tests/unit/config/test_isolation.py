"""The keys of --isolate."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.config import isolation, load

BASE = {"iface": ["eth0"], "port": [80], "shadow": "http://10.0.0.9:80"}


@pytest.fixture(autouse=True)
def no_system_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever this machine has configured."""
    monkeypatch.setattr("shadow_agent.config.file.SYSTEM_FILE", tmp_path / "none.toml")


@pytest.mark.parametrize("written", ["10.0.0.77/24", "fd00::77/64", "10.0.0.1/31", "10.0.0.7/32"])
def test_an_address(written: str) -> None:
    """One host, with its prefix length."""
    assert str(isolation.own_address(written)) == written


@pytest.mark.parametrize(
    "written", ["10.0.0.77", "10.0.0.0/24", "10.0.0.255/24", "10.0.0.300/24", "eth1", "", 7]
)
def test_no_address(written: object) -> None:
    """A network, a broadcast address, or none at all."""
    with pytest.raises(ValueError, match=r"write it as in|not a printable"):
        isolation.own_address(written)


def test_a_gateway() -> None:
    """An address without a length."""
    assert str(isolation.gateway("10.0.0.1")) == "10.0.0.1"
    with pytest.raises(ValueError, match="no address"):
        isolation.gateway("10.0.0.1/24")


def test_what_fits_together() -> None:
    """Address and gateway arrive as what they are."""
    found = load(
        {**BASE, "isolate": True, "isolate_address": "10.0.0.77/24", "isolate_gateway": "10.0.0.1"}
    )
    assert (str(found.isolate_address), str(found.isolate_gateway)) == ("10.0.0.77/24", "10.0.0.1")
