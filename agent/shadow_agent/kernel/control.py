"""The control page: what user space tells the running programs, in one mapped page.

Only the supervisor maps it writable, and that mapping does not survive a fork.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from shadow_agent.kernel.layout import CONTROL_SIZE, COST_SHIFT, PORT_WORDS, ControlField

ALL_FLOWS = 1 << 32
# One above it costs the kernel no time a byte, one below it 32 years for the largest packet.
MAX_BYTES_PER_S = 1_000_000_000_000
_FOREVER_NS = (1 << 64) - 1


def address_bytes(address: IPv4Address | IPv6Address) -> bytes:
    """16 bytes as the tap writes them: IPv4 as ::ffff:a.b.c.d."""
    packed = address.packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


@dataclass(frozen=True, slots=True)
class ControlState:
    """What a reader of the page needs to know, read at one go."""

    paused: bool
    tripped: bool
    sample_below: int  # a flow is mirrored when its hash is below
    salt: int
    generation: int

    @property
    def sample(self) -> float:
        """The share of flows that is mirrored, 0 to 1."""
        return self.sample_below / ALL_FLOWS


class ControlPage:
    """The mapped control map; ``writable`` only in the supervisor."""

    def __init__(self, map_fd: int, *, writable: bool) -> None:
        size = -(-CONTROL_SIZE // mmap.PAGESIZE) * mmap.PAGESIZE
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        self._page = mmap.mmap(map_fd, size, mmap.MAP_SHARED, access)
        if writable:
            self._page.madvise(mmap.MADV_DONTFORK)

    def configure(
        self,
        *,
        ports: Sequence[int],
        shadow: tuple[IPv4Address | IPv6Address, int],
        guard: bool,
        shards: int,
        salt: int,
        wake_bytes: int,
        lease_max_ns: int,
    ) -> None:
        """Write everything that does not change while attached; copies nothing until a lease."""
        words = [0] * PORT_WORDS
        for port in ports:
            words[port >> 6] |= 1 << (port & 63)
        struct.pack_into(f"={PORT_WORDS}Q", self._page, ControlField.PORTS, *words)
        self._page[ControlField.SHADOW_ADDR : ControlField.SHADOW_ADDR + 16] = address_bytes(
            shadow[0]
        )
        struct.pack_into("!H", self._page, ControlField.SHADOW_PORT, shadow[1])
        self._page[ControlField.GUARD] = guard
        self._put("I", ControlField.SHARDS, shards)
        self._put("I", ControlField.SALT, salt)
        self._put("I", ControlField.WAKE_BYTES, wake_bytes)
        self._put("Q", ControlField.LEASE_MAX_NS, lease_max_ns)

    def renew_lease(self, now_ns: int) -> None:
        """The heartbeat: without one for ``lease_max_ns`` nothing is copied."""
        self._put("Q", ControlField.LEASE_NS, now_ns)

    def set_sample(self, fraction: float) -> None:
        """Mirror this share of flows, 0 to 1, from now on."""
        self._put("Q", ControlField.SAMPLE_BELOW, round(fraction * ALL_FLOWS))
        self._advance()

    def set_byte_budget(
        self, bytes_per_s: int | None, burst: int = 0, *, joined_until_ns: int = 0
    ) -> None:
        """Copy no more payload than this in the long run, from each flow's next request on.

        What is copied is decided at a request's start and then copied whole, so that a budget makes
        no gaps: copying may run ahead by `burst` bytes (at least 1) and what is under way, and
        then pauses until that is paid for. None: no limit. Once there was one, flows are decided by
        request for good, so that none is let go in mid-message. `joined_until_ns` where the first
        comes while traffic is copied: until then (CLOCK_MONOTONIC) what is found in mid-message
        goes on. ValueError outside 1 to MAX_BYTES_PER_S.
        """
        if bytes_per_s is None:
            self._put("Q", ControlField.BUDGET_BURST_NS, _FOREVER_NS)
            self._put("Q", ControlField.BUDGET_COST, 0)
            return
        if not (1 <= bytes_per_s <= MAX_BYTES_PER_S and burst >= 1):
            raise ValueError(f"no byte budget: {bytes_per_s} bytes/s, {burst} at once")
        cost = (1_000_000_000 << COST_SHIFT) // bytes_per_s
        ahead = min(max(burst * cost >> COST_SHIFT, 1), _FOREVER_NS)
        self._put("Q", ControlField.BUDGET_COST, cost)
        # debts were counted in time, which is not what they are at another rate
        self._put("Q", ControlField.BUDGET_UNTIL_NS, 0)
        self._put("Q", ControlField.BUDGET_BURST_NS, ahead)
        if not self._page[ControlField.BY_REQUEST]:
            self._put("Q", ControlField.JOINED_UNTIL_NS, joined_until_ns)
            self._page[ControlField.BY_REQUEST] = 1

    def set_paused(self, paused: bool) -> None:
        """The off switch; takes effect with the next packet."""
        self._put("I", ControlField.PAUSED, int(paused))
        self._advance()

    def hold(self, held: bool) -> None:
        """Copy nothing of production's, in both directions at once, while the tap is taken off.

        As the off switch, but workers are not told: what they have is still to be compared.
        """
        self._put("I", ControlField.PAUSED, int(held))

    def state(self) -> ControlState:
        """The switches as the programs see them now."""
        return ControlState(
            paused=bool(self._get("I", ControlField.PAUSED)),
            tripped=bool(self._get("I", ControlField.TRIPPED)),
            sample_below=self._get("Q", ControlField.SAMPLE_BELOW),
            salt=self._get("I", ControlField.SALT),
            generation=self._get("I", ControlField.GENERATION),
        )

    def changes(self) -> tuple[int, int]:
        """Differs from before when a switch was set, by the operator or (a trip) by the kernel."""
        found: tuple[int, int] = (
            self._get("I", ControlField.GENERATION),
            self._get("I", ControlField.TRIPPED),
        )
        return found

    def lease_ns(self) -> int:
        """When the last heartbeat was, CLOCK_MONOTONIC."""
        return self._get("Q", ControlField.LEASE_NS)

    def close(self) -> None:
        """Unmap."""
        self._page.close()

    def _advance(self) -> None:
        self._put("I", ControlField.GENERATION, self._get("I", ControlField.GENERATION) + 1)

    def _put(self, kind: str, field: ControlField, value: int) -> None:
        struct.pack_into(f"={kind}", self._page, field, value)

    def _get(self, kind: str, field: ControlField) -> int:
        value: int = struct.unpack_from(f"={kind}", self._page, field)[0]
        return value
