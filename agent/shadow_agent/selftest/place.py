"""A private network namespace with one TUN device, for as long as this process lives."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Final, ParamSpec, Self, TypeVar

from shadow_agent.kernel import netns
from shadow_agent.kernel.tun import open_tun

P = ParamSpec("P")
T = TypeVar("T")

# The kernel waits 200 ms before it sends again; a lossy second would become a minute.
_RTO_MIN: Final = ("ipv4/tcp_rto_min_us", 5000)  # Linux 6.11


class Place:
    """Context manager. The namespace has no name: it dies with the process, whatever kills it."""

    def __init__(
        self, device: str, v4: IPv4Interface, v6: IPv6Interface, *, mtu: int = 1500
    ) -> None:
        """Makes the namespace and the device, up. Raises OSError."""
        self.device = device
        self.v4 = str(v4.ip)
        self.v6 = str(v6.ip)
        self._namespace = _in_thread(netns.unshare)
        try:
            self.tun = self.call(open_tun, device, (v4, v6), mtu)
        except BaseException:
            os.close(self._namespace)
            raise
        self.sysctl(*_RTO_MIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The device goes, and the namespace with its last socket."""
        os.close(self.tun)
        os.close(self._namespace)

    @property
    def path(self) -> str:
        """The file that ``nsenter --net=`` takes, while this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._namespace}"

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function`` inside, in a thread of its own; its result or its exception.

        Sockets made inside stay inside and may be used from anywhere.
        """

        def inside() -> T:
            netns.enter(self._namespace)
            return function(*args, **kwargs)

        return _in_thread(inside)

    def socket(self, family: int = socket.AF_INET) -> socket.socket:
        """A non-blocking TCP socket of this namespace."""
        made = self.call(socket.socket, family, socket.SOCK_STREAM)
        made.setblocking(False)
        return made

    def sysctl(self, key: str, value: int) -> bool:
        """Set a ``net.*`` sysctl (path under /proc/sys/net); False where the kernel has none."""
        path = Path("/proc/sys/net", key)
        try:
            self.call(path.write_text, str(value), encoding="ascii")
        except FileNotFoundError:
            return False
        return True


def _in_thread(function: Callable[[], T]) -> T:
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            errors.append(error)

    thread = threading.Thread(target=run, name="place")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
