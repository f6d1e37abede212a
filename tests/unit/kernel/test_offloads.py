"""Offloads by ethtool."""

import pytest

from shadow_agent.kernel.offloads import offloads
from tests.unit.isolated import isolated, needs_root, two_interfaces

pytestmark = needs_root


def test_a_veth_has_them() -> None:
    """Each is on or off."""

    def look() -> dict[str, bool]:
        two_interfaces()
        return offloads("front")

    found = isolated(look)
    assert set(found) == {"gro", "gso", "lro", "tso"}
    assert found["tso"]
    assert not found["lro"]


def test_no_interface() -> None:
    """As the kernel says it."""
    with pytest.raises(OSError, match="No such device"):
        isolated(lambda: offloads("nope"))
