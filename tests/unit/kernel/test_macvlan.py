"""A macvlan's hardware address, and what is said where there can be none.

The rest is in tests/unit/daemon/test_isolation.py and tests/net/test_isolate.py.
"""

from __future__ import annotations

import errno
from ipaddress import ip_interface

import pytest
from pyroute2 import NetlinkError

from shadow_agent.errors import HostError
from shadow_agent.kernel import macvlan


def test_the_hardware_address_goes_with_the_address() -> None:
    """Locally administered, for one host, the same each time, another for another address."""
    one = macvlan.mac_of(ip_interface("10.0.0.77/24"))
    assert one == macvlan.mac_of(ip_interface("10.0.0.77/16"))
    assert one != macvlan.mac_of(ip_interface("10.0.0.78/24"))
    assert int(one[:2], 16) & 3 == 2
    assert len(one) == 17


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        (errno.ENETDOWN, "ip link set eth1 up"),
        (errno.EOPNOTSUPP, "CONFIG_MACVLAN"),
        (errno.EINVAL, "needs an Ethernet interface"),
        (errno.EADDRINUSE, "another --isolate here has that address"),
        (errno.EBUSY, "a bridge's or a bond's"),
        (errno.EPERM, "run as root"),
    ],
)
def test_errors_have_a_fix(code: int, fix: str) -> None:
    """Each of the kernel's."""
    with pytest.raises(HostError, match=f"--isolate on eth1: .*{fix}"), macvlan._explained("eth1"):
        raise NetlinkError(code)
