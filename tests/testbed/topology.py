"""The testbed: client, production host and shadow host as three network namespaces.

::

    client eth0 ─────── eth0 prod eth1 ─────── eth0 shadow
    10.0.1.1/24   10.0.1.2/24 10.0.0.2/24   10.0.0.9/24
    fd00:1::1/64  fd00:1::2   fd00::2       fd00::9/64

Options, each off unless asked for:

* ``container``: the service lives in a fourth namespace behind ``vethsvc`` of prod, which forwards:
  ``prod vethsvc 10.0.2.1/24 ─ eth0 10.0.2.2 service`` (fd00:2::1, fd00:2::2).
* ``one_armed``: prod has no eth1; it reaches the shadow through eth0, the client forwarding.
* ``forwarding``: prod forwards between shadow and client, so that the shadow *could* answer one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.testbed import links
from tests.testbed.host import Host
from tests.testbed.names import RunName
from tests.testbed.ns import Namespace
from tests.testbed.signals import Deferred, TerminationAsInterrupt
from tests.testbed.sweep import sweep
from tests.testbed.wait import eventually

CLIENT_V4, CLIENT_V6 = "10.0.1.1", "fd00:1::1"
PROD_V4, PROD_V6 = "10.0.1.2", "fd00:1::2"
PROD_SHADOW_V4, PROD_SHADOW_V6 = "10.0.0.2", "fd00::2"
SHADOW_V4, SHADOW_V6 = "10.0.0.9", "fd00::9"
ROUTER_V4, ROUTER_V6 = "10.0.0.1", "fd00::1"  # one-armed: the client's second interface
BRIDGE_V4, BRIDGE_V6 = "10.0.2.1", "fd00:2::1"  # container: prod's end
SERVICE_V4, SERVICE_V6 = "10.0.2.2", "fd00:2::2"
CLIENT_NET = ("10.0.1.0/24", "fd00:1::/64")
SHADOW_NET = ("10.0.0.0/24", "fd00::/64")
SERVICE_NET = ("10.0.2.0/24", "fd00:2::/64")

KEEP = "TESTBED_KEEP"  # environment: leave the run's directory (logs, pcaps) behind
_STOP_S = 3.0  # for all processes together to end by SIGTERM before they are killed


class Testbed:
    """Context manager: builds the hosts on entry, leaves nothing behind on exit, however it ends.

    SIGTERM and SIGHUP arrive as ``signals.Terminated`` (a KeyboardInterrupt) while it is open in
    the main thread, and signals that come while it is being closed wait until it is closed.
    Raises OSError on entry without root.
    """

    __test__ = False  # not a pytest class

    def __init__(
        self, *, container: bool = False, one_armed: bool = False, forwarding: bool = False
    ) -> None:
        if one_armed and forwarding:
            raise ValueError("one_armed has no second interface to forward from")
        self.run = RunName.new()
        self.container = container
        self.one_armed = one_armed
        self.forwarding = forwarding
        self.directory = Path(tempfile.gettempdir(), self.run.of("files"))
        self.client = self._host("client", CLIENT_V4, CLIENT_V6)
        self.prod = self._host("prod", PROD_V4, PROD_V6)
        self.shadow = self._host("shadow", SHADOW_V4, SHADOW_V6)
        self.service = self._host("service", SERVICE_V4, SERVICE_V6) if container else self.prod
        """Where the production service runs and listens: ``prod``, or the container."""
        self.service_iface = "vethsvc" if container else "eth0"
        """Interface of prod that all of the service's traffic passes."""
        self.shadow_iface = "eth0" if one_armed else "eth1"
        """Interface of prod that leads to the shadow."""
        self._signals = TerminationAsInterrupt()

    @property
    def hosts(self) -> list[Host]:
        """All hosts, the container last."""
        return [self.client, self.prod, self.shadow] + [self.service] * self.container

    def __enter__(self) -> Self:
        try:
            self._signals.install()
            sweep()
            self.directory.mkdir(mode=0o755)  # nginx workers must be able to pass
            for host in self.hosts:
                host.create()
                links.prepare(host)
            self._connect()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process, remove namespaces and files; harmless when repeated."""
        if os.getpid() != self.run.pid:
            return  # a forked child that unwinds must not take its parent's testbed down
        try:
            with Deferred():
                self._stop_processes()
                for host in self.hosts:
                    with contextlib.suppress(TimeoutError):
                        host.kill_all()
                    host.remove()
                if KEEP not in os.environ:
                    shutil.rmtree(self.directory, ignore_errors=True)
        finally:
            self._signals.restore()

    def vanish_container(self) -> None:
        """The container's veth goes, as when its runtime takes it down; its processes live on."""
        links.delete(self.prod, self.service_iface)

    def return_container(self) -> None:
        """A new veth (new ifindex) of the same name and addresses; returns when it carries."""
        links.veth(self.prod, self.service_iface, self.service, "eth0")
        links.up(self.service, "eth0", f"{SERVICE_V4}/24", f"{SERVICE_V6}/64")
        links.up(self.prod, self.service_iface, f"{BRIDGE_V4}/24", f"{BRIDGE_V6}/64")
        for gateway, network in zip((BRIDGE_V4, BRIDGE_V6), CLIENT_NET, strict=True):
            links.route(self.service, network, gateway)
        self._wait_reachable(self.client, self.service)

    def _host(self, role: str, v4: str, v6: str) -> Host:
        return Host(self.run.of(role), role, v4, v6, self.directory)

    def _connect(self) -> None:
        client, prod, shadow = self.client, self.prod, self.shadow
        links.veth(client, "eth0", prod, "eth0", number=8)
        links.up(client, "eth0", f"{CLIENT_V4}/24", f"{CLIENT_V6}/64")
        links.up(prod, "eth0", f"{PROD_V4}/24", f"{PROD_V6}/64")
        if self.one_armed:
            links.veth(client, "eth1", shadow, "eth0", number=9)
            links.up(client, "eth1", f"{ROUTER_V4}/24", f"{ROUTER_V6}/64")
            links.forward(client)
            _route_both(prod, SHADOW_NET, (CLIENT_V4, CLIENT_V6))
        else:
            links.veth(prod, "eth1", shadow, "eth0")
            links.up(prod, "eth1", f"{PROD_SHADOW_V4}/24", f"{PROD_SHADOW_V6}/64")
        links.up(shadow, "eth0", f"{SHADOW_V4}/24", f"{SHADOW_V6}/64")
        if self.one_armed:
            _route_both(shadow, CLIENT_NET, (ROUTER_V4, ROUTER_V6))
        if self.forwarding:
            links.forward(prod)
            _route_both(shadow, CLIENT_NET, (PROD_SHADOW_V4, PROD_SHADOW_V6))
            _route_both(client, SHADOW_NET, (PROD_V4, PROD_V6))
        self._wait_reachable(client, prod)
        self._wait_reachable(prod, shadow)
        if self.forwarding:
            self._wait_reachable(shadow, client)
        if self.container:
            links.forward(prod)
            _route_both(client, SERVICE_NET, (PROD_V4, PROD_V6))
            self.return_container()
        for host in self.hosts:
            eventually(partial(links.all_up, host), 5.0, f"{host.name}: interfaces up")

    def _wait_reachable(self, source: Namespace, target: Host) -> None:
        for family, address in ((socket.AF_INET, target.v4), (socket.AF_INET6, target.v6)):
            what = f"{source.name} reaches {address}"
            eventually(partial(_answers, source, family, address), 5.0, what)

    def _stop_processes(self) -> None:
        processes = [process for host in self.hosts for process in host.processes]
        for process in reversed(processes):
            if process.running:
                process.terminate()
        deadline = time.monotonic() + _STOP_S
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.stop(timeout=max(0.0, deadline - time.monotonic()))


def _route_both(host: Host, networks: tuple[str, str], gateways: tuple[str, str]) -> None:
    for network, gateway in zip(networks, gateways, strict=True):
        links.route(host, network, gateway)


def _answers(source: Namespace, family: int, address: str) -> bool:
    """Whether the host at ``address`` answers a connection to a port where nobody listens."""
    with source.socket(family) as probe:
        probe.settimeout(0.2)
        try:
            probe.connect((address, 1))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return True
