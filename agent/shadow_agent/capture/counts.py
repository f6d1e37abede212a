"""Where every frame of a capture went: the ledger's `packets` line."""

from __future__ import annotations

from shadow_agent.telemetry.reasons import Unsupported


class PacketCounts:
    """seen = not_service + no_payload + unsupported + copied, always.

    Counts packets: a frame, or each packet of an 802.11 frame that carries several.
    """

    __slots__ = (
        "copied",  # gave a segment
        "no_payload",  # a pure ACK, or a fragment whose bytes came with its datagram's last one
        "not_service",  # another port or protocol, or before it is known which end is the service
        "seen",  # taken in
        "unsupported",  # by reason
    )

    def __init__(self) -> None:
        """All zero."""
        self.seen = 0
        self.not_service = 0
        self.no_payload = 0
        self.copied = 0
        self.unsupported: dict[Unsupported, int] = {}

    def count_unsupported(self, reason: Unsupported, packets: int = 1) -> None:
        """Counts packets that cannot be read."""
        self.unsupported[reason] = self.unsupported.get(reason, 0) + packets

    def as_dict(self) -> dict[str, int | dict[str, int]]:
        """The ledger's `packets` line; what only a tap in the kernel can do is zero."""
        return {
            "seen": self.seen,
            "own": 0,
            "not_service": self.not_service,
            "no_payload": self.no_payload,
            "paused": 0,
            "sampled_out": 0,
            "over_budget": 0,
            "unsupported": {str(name): n for name, n in self.unsupported.items() if n},
            "ring_full": 0,
            "copied": self.copied,
        }
