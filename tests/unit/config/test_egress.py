"""``observe-egress``."""

from __future__ import annotations

import pytest

from shadow_agent.config.egress import MAX_PORTS, Egress, egress


def test_an_interface_and_ports() -> None:
    """Sorted, each once; written as it is read."""
    found = egress("eth0:443,80,80")
    assert found == Egress("eth0", (80, 443))
    assert egress(str(found)) == found


@pytest.mark.parametrize(
    "written",
    ["eth0", "eth0:", ":80", "eth0:http", "eth0:0", "eth0:70000", "eth0:80,", "a/b:80", 80,
     "eth0:" + ",".join(map(str, range(1, MAX_PORTS + 2)))],
)  # fmt: skip
def test_bad_ones_say_how_it_is_written(written: object) -> None:
    """Or what is wrong with it."""
    with pytest.raises(ValueError, match=r"eth0:25|port|interface|out of range|printable"):
        egress(written)
