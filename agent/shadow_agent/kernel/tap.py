"""The tap of one target: programs, rings, control page and counters, and where it is attached."""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final, ParamSpec, Protocol, TypeVar

from shadow_agent.kernel import bpf
from shadow_agent.kernel.attach import Attachment, Hook, Mechanism, attach
from shadow_agent.kernel.control import ControlPage
from shadow_agent.kernel.counters import KernelCounters
from shadow_agent.kernel.layout import Role
from shadow_agent.kernel.load import load
from shadow_agent.kernel.netlink import Interface, interface
from shadow_agent.kernel.program import LoadedTap, Loader
from shadow_agent.kernel.ring import RingView

P = ParamSpec("P")
T = TypeVar("T")

# The agent heartbeats four times a second; older than this it is dead or hangs.
LEASE_MAX_NS: Final = 2_000_000_000
# How long what is under way may go on when a byte budget comes in mid-run.
JOIN_NS: Final = 10_000_000_000
# A wake-up per eighth of the ring: the reader's own timer is what usually comes first.
_WAKES_PER_RING: Final = 8

_PREFIX: Final = {Role.PRODUCTION: "tap", Role.SHADOW: "shadow"}


class Facing(StrEnum):
    """Who is at the other end of a tapped interface."""

    CLIENTS = "clients"  # requests come in by it
    SERVICE = "service"  # requests go out by it: the host's end of a container


class Room(Protocol):
    """A network namespace that is not ours, with one interface that matters."""

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it inside; its result or its exception."""
        ...

    def find(self) -> Interface | None:
        """The interface as it is now; None while it is away."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """An interface and what it is tapped for."""

    interface: Interface
    role: Role
    facing: Facing = Facing.CLIENTS
    room: Room | None = None  # where the interface is, unless here

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it where the interface is."""
        if self.room is None:
            return function(*args, **kwargs)
        return self.room.call(function, *args, **kwargs)

    def find(self) -> Interface | None:
        """The interface of this name as it is now; None while it is away. Raises OSError."""
        return interface(self.interface.name) if self.room is None else self.room.find()

    def is_up(self) -> bool:
        """Whether this host has it up; in another room its parent here decides. Raises OSError.

        Without a carrier it is up all the same: the machine at the other end may be the one off.
        """
        here = interface(self.interface.name)
        return here is not None and here.up


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """An attachment that is closed where it was made."""

    inner: Attachment
    place: Place

    @property
    def mechanism(self) -> Mechanism:
        return self.inner.mechanism

    def close(self) -> None:
        self.place.call(self.inner.close)


def programs_for(place: Place) -> dict[Hook, str]:
    """Which entry program belongs on which hook of an interface.

    The programs are named after the hook of an interface that faces clients; where the service
    is at the other end, the same programs sit on the opposite hooks.
    """
    prefix = _PREFIX[place.role]
    if place.interface.is_loopback:
        return {Hook.INGRESS: f"{prefix}_loopback"}
    link = "l3_" if place.interface.is_l3 else ""
    swapped = place.facing is Facing.SERVICE
    opposite = {Hook.INGRESS: Hook.EGRESS, Hook.EGRESS: Hook.INGRESS}
    return {hook: f"{prefix}_{link}{opposite[hook] if swapped else hook}" for hook in Hook}


@dataclass(frozen=True, slots=True)
class ByteBudget:
    """How much payload the kernel may copy."""

    bytes_per_s: int  # in the long run
    burst: int  # bytes, at least 1: how far it may run ahead after a quiet time


@dataclass(frozen=True, slots=True)
class TapSettings:
    """What the programs are told once, before they are attached."""

    target: str
    ports: Sequence[int]
    shadow: tuple[IPv4Address | IPv6Address, int]
    guard: bool  # count packets from the shadow's address on the client-facing egress
    shards: int
    ring_bytes: int  # per shard; a power of two
    sample: float
    mechanism: Mechanism
    byte_budget: ByteBudget | None = None  # None: no limit


class Tap:
    """Loaded on construction, attached interface by interface; ``close`` undoes all of it.

    Lives in the supervisor only. Its mappings do not survive a fork; its file descriptors do, so
    a child closes them first thing: a link's fd held there would outlive the supervisor.
    """

    def __init__(self, loader: Loader, settings: TapSettings, places: Sequence[Place]) -> None:
        names = sorted({name for place in places for name in programs_for(place).values()})
        # Before Linux 5.11 maps count as locked memory; later it makes no difference.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
        self._settings = settings
        self._loaded: LoadedTap = load(loader, names)
        self._attached: dict[tuple[str, Role], list[Attachment]] = {}
        self.ring_fds = [
            bpf.create_ring(settings.ring_bytes, f"shard{shard}")
            for shard in range(settings.shards)
        ]
        self.rings = [RingView(fd, settings.ring_bytes) for fd in self.ring_fds]
        for shard, fd in enumerate(self.ring_fds):
            self.rings[shard].dont_fork()
            bpf.update(self._loaded.maps["rings"], shard, struct.pack("=I", fd))
        self.control_fd = self._loaded.maps["control"]
        self.control = ControlPage(self.control_fd, writable=True)
        self.counters = KernelCounters(self._loaded.maps["counters"])
        self.control.configure(
            ports=settings.ports,
            shadow=settings.shadow,
            guard=settings.guard,
            shards=settings.shards,
            salt=secrets.randbits(32),
            wake_bytes=max(settings.ring_bytes // _WAKES_PER_RING, 4096),
            lease_max_ns=LEASE_MAX_NS,
        )
        self.control.set_sample(settings.sample)
        self.limit(settings.byte_budget)

    @property
    def loader(self) -> Loader:
        """Which loader ran."""
        return self._loaded.loader

    @property
    def mechanisms(self) -> dict[str, str]:
        """Interface name → how it is attached."""
        return {
            name: str(attachments[0].mechanism)
            for (name, _), attachments in self._attached.items()
            if attachments
        }

    def limit(self, budget: ByteBudget | None) -> None:
        """Copy no more than this, from each flow's next request on; None: no limit."""
        if budget is None:
            self.control.set_byte_budget(None)
        else:
            until = time.monotonic_ns() + JOIN_NS if self._attached else 0
            self.control.set_byte_budget(budget.bytes_per_s, budget.burst, joined_until_ns=until)

    def programs(self) -> dict[str, bpf.ProgramInfo]:
        """What the kernel says of each loaded program, by name."""
        return {name: bpf.program_info(fd) for name, fd in self._loaded.programs.items()}

    def attach(self, place: Place) -> None:
        """Attach to an interface, again after it came back.

        Raises HostError, and then nothing of this place stays attached.
        """
        self.forget(place)
        done: list[Attachment] = []
        try:
            programs = programs_for(place).items()
            # Answers first: a request that passes before its answer could be seen would be lost
            # (exchanges.unanswered.gap); an answer without its request is only unaligned.
            for hook, name in sorted(programs, key=lambda item: item[1].endswith("_ingress")):
                attachment = place.call(
                    attach,
                    self._loaded.programs[name],
                    place.interface.index,
                    hook,
                    self._settings.mechanism,
                    self._settings.target,
                    _PREFIX[place.role],
                )
                done.append(_Elsewhere(attachment, place))
        except BaseException:
            for attachment in done:
                attachment.close()
            raise
        self._attached[place.interface.name, place.role] = done

    def forget(self, place: Place) -> None:
        """Drop the attachments of a place, whether or not its interface still exists."""
        for attachment in self._attached.pop((place.interface.name, place.role), []):
            attachment.close()

    def detach(self, role: Role | None = None) -> None:
        """Nothing (of this role) is copied from here on; rings and counters can still be read."""
        for place in [place for place in self._attached if role in (None, place[1])]:
            for attachment in self._attached.pop(place):
                attachment.close()

    def close(self) -> None:
        """Detach and free everything."""
        self.detach()
        self.control.close()
        for ring in self.rings:
            ring.close()
        for fd in self.ring_fds:
            os.close(fd)
        self._loaded.close()
