"""``observe-egress``: where production's own outgoing calls pass."""

from __future__ import annotations

from typing import Final, NamedTuple

from shadow_agent.config.parse import interface, text, whole

_MAX_PORT: Final = 65535
MAX_PORTS: Final = 64


class Egress(NamedTuple):
    """An interface, and the ports that are called through it."""

    interface: str
    ports: tuple[int, ...]

    def __str__(self) -> str:
        """As the configuration takes it: ``eth0:25,80,443``."""
        return f"{self.interface}:{','.join(map(str, self.ports))}"


def egress(value: object) -> Egress:
    """``IFACE:PORT,PORT``. Raises ValueError."""
    name, colon, numbers = text(value).rpartition(":")
    if not colon or not name:
        raise ValueError(f"{value!r} is not IFACE:PORT,...; write eth0:25,80,443")
    ports = []
    for one in numbers.split(","):
        if not (one.isascii() and one.isdigit()):
            raise ValueError(f"{one!r} is no port; write eth0:25,80,443")
        ports.append(whole(1, _MAX_PORT)(int(one)))
    if len(set(ports)) > MAX_PORTS:
        raise ValueError(f"{len(ports)} ports; {MAX_PORTS} at most")
    return Egress(interface(name), tuple(sorted(set(ports))))
