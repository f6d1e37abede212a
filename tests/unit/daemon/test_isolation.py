"""A namespace with a macvlan, held by a thread; and what is forked from there."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import NoReturn

import pytest

from shadow_agent.daemon.isolation import Isolation, fork_here
from shadow_agent.errors import HostError
from shadow_agent.kernel import netlink
from tests.unit.isolated import ip, isolated, needs_root, two_interfaces

pytestmark = needs_root

OWN = ip_interface("10.9.0.77/24")


def here() -> str:
    """The calling thread's network namespace."""
    return str(Path("/proc/thread-self/ns/net").readlink())


def made() -> Isolation:
    """On ``back``, in a namespace of the test's own."""
    two_interfaces()
    parent = netlink.interface("back")
    assert parent is not None
    return Isolation(parent, OWN, ip_address("10.9.0.1"))


def test_inside_and_outside() -> None:
    """What is called there happens there; here nothing has changed."""

    def work() -> list[object]:
        outside = here()
        with closing(made()) as isolation:
            inside = isolation.call(here)
            found = isolation.interface()
            route = isolation.call(netlink.route_to, "203.0.113.1")
            assert route is not None
            return [
                inside != outside == here(),
                (found.name, found.kind, found.up, "10.9.0.77" in found.addresses),
                route.gateway,
                [one.name for one in [netlink.interface("back")] if one and one.kind == "macvlan"],
            ]

    assert isolated(work) == [True, ("back", "macvlan", True, True), "10.9.0.1", []]


def test_it_forwards_nothing() -> None:
    """Whatever the host does."""

    def work() -> tuple[str, ...]:
        with closing(made()) as isolation:
            return tuple(
                isolation.call(Path(f"/proc/sys/net/{version}/conf/all/forwarding").read_text)
                for version in ("ipv4", "ipv6")
            )

    assert isolated(work) == ("0\n", "0\n")


def test_an_error_comes_out() -> None:
    """It is raised where it was asked for, and the thread goes on."""

    def work() -> str:
        with closing(made()) as isolation:
            with pytest.raises(ZeroDivisionError):
                isolation.call(lambda: 1 // 0)
            return isolation.call(str, 7)

    assert isolated(work) == "7"


def test_a_child_is_inside() -> None:
    """From its first instruction, with one thread."""

    def work() -> list[object]:
        with closing(made()) as isolation:
            inside = isolation.call(here)
            ours, theirs = os.pipe()

            def child() -> NoReturn:
                main = threading.current_thread() is threading.main_thread()
                os.write(
                    theirs,
                    f"{here()} {main} {len(list(Path('/proc/self/task').iterdir()))}".encode(),
                )
                os._exit(7)

            pid = isolation.fork(child)
            os.close(theirs)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with os.fdopen(ours) as pipe:
                return [code, pipe.read() == f"{inside} True 1"]

    assert isolated(work) == [7, True]


def test_a_child_never_comes_back() -> None:
    """Not by an exception either."""

    def child() -> NoReturn:
        raise KeyboardInterrupt

    code = os.waitstatus_to_exitcode(os.waitpid(fork_here(child), 0)[1])
    assert code == 1


def test_it_is_gone_when_it_is_closed() -> None:
    """With its macvlan: its hardware address is off the parent's list."""

    def work() -> str:
        isolation = made()
        isolation.close()
        return str(isolation)

    assert isolated(work).startswith("10.9.0.77/24 at 02:")
    assert [one for one in threading.enumerate() if one.name == "inside"] == []


def test_the_parent_goes_and_comes_back() -> None:
    """The macvlan goes with it, and is made again."""

    def work() -> list[object]:
        with closing(made()) as isolation:
            before = isolation.interface().index
            ip("link del back")
            away = isolation.find()
            with pytest.raises(HostError, match="it is gone"):
                isolation.interface()
            ip("link add back type veth peer name far")
            for name in ("back", "far"):
                ip(f"link set {name} up")
            return [away, isolation.interface().index != before]

    assert isolated(work) == [None, True]


@pytest.mark.parametrize(
    ("name", "said"),
    [("lo", "a macvlan needs an Ethernet interface"), ("tun0", "a macvlan needs an Ethernet")],
)
def test_what_has_no_macvlan(name: str, said: str) -> None:
    """Said with the fix; nothing stays behind."""

    def work() -> str:
        two_interfaces()
        ip("tuntap add tun0 mode tun")
        ip("link set tun0 up")
        parent = netlink.interface(name)
        assert parent is not None
        with pytest.raises(HostError) as refused:
            Isolation(parent, OWN, None)
        return str(refused.value)

    assert said in isolated(work)
    assert [one for one in threading.enumerate() if one.name == "inside"] == []
