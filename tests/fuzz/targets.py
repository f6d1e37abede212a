"""What is fuzzed: each target takes one input and raises when a promise is broken."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

from shadow_agent.capture.counts import PacketCounts
from shadow_agent.capture.decoder import Decoder, DecoderLimits
from shadow_agent.capture.file import NotACapture, open_capture
from shadow_agent.capture.frame import Frame
from shadow_agent.flow.flow import FlowLimits
from shadow_agent.flow.segment import ACK, FIN, RST, SYN, Segment
from shadow_agent.http.assembler import Assembler
from shadow_agent.http.exchange import Exchange
from shadow_agent.telemetry.reasons import Unanswered
from tests.fuzz.source import Source
from tests.property.wire import Wire, assembler, begun, check_balance, drive

_SECOND: Final = 1_000_000_000
# Small, so that a short input reaches every limit.
_TIGHT: Final = FlowLimits(
    max_flows=3, max_held_bytes_per_flow=2_000, max_held_bytes_total=4_000, acks_prove_loss=True
)
_FLAGS: Final = (ACK, ACK, ACK, ACK | 8, SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, 0x30, 0, 0xFF)
_MOST_SEGMENTS: Final = 200
# Link types by their number in the tcpdump.org registry.
LINKS: Final = (0, 1, 9, 12, 101, 105, 108, 113, 127, 228, 229, 239, 276, 6, 7, 10, 50, 51, 104)


def segments(data: bytes) -> None:
    """Arbitrary segments of three flows: nothing is raised, kept or unaccounted for."""
    source = Source(data)
    limits = _TIGHT._replace(acks_prove_loss=source.flag())
    target = assembler(limits)
    now = 0
    for number in range(1, _MOST_SEGMENTS):
        if source.spent:
            break
        now += source.below(256) * 40_000_000
        payload = source.some()
        segment = Segment(
            now,
            Wire(source.below(5)).key,
            source.below(2),
            (source.below(1 << 16) - 20) & 0xFFFF_FFFF,
            (source.below(1 << 16) - 20) & 0xFFFF_FFFF,
            _FLAGS[source.below(len(_FLAGS))],
            payload,
            len(payload) + (source.below(64) if source.below(16) == 0 else 0),
            True,
        )
        target.push(segment)
        check_balance(target)
        _expect(target.segments.read == number, "a segment is unaccounted for")
        _expect(target.table.held_bytes <= limits.max_held_bytes_total, "too much is held")
        if source.below(8) == 0:
            target.expire(now)
    _close(target, now)


def messages(data: bytes) -> None:
    """One conversation, in whole turns and then cut, copied and shuffled: the same exchanges."""
    source = Source(data)
    turns = [(source.below(2), source.some()) for _ in range(source.below(8) + 1)]
    whole, first = Wire(), assembler()
    drive(first, whole.open())
    events = []
    said = []
    for side, payload in turns:
        if not payload or (side and not first.exchanges.open):
            continue  # a server that speaks unasked cannot be paired for sure
        said.append((side, payload))
        events += drive(first, [whole.segment(side, payload)])
        if _lost(first):
            return  # what follows is found by where segments begin
    expected = _meaning(events, first, whole.now)
    wire = Wire()
    moved = wire.open()
    for side, payload in said:
        pieces = []
        start = 0
        while start < len(payload):
            size = source.below(40) + 1 if source.flag() else len(payload)
            pieces.append(wire.segment(side, payload[start : start + size]))
            start += size
        if len(pieces) > 1 and source.flag():
            place = source.below(len(pieces) - 1)
            pieces[place : place + 2] = reversed(pieces[place : place + 2])
        if source.flag():
            pieces.append(pieces[source.below(len(pieces))])
        moved += pieces
    second = assembler()
    events = drive(second, moved)
    if not _lost(second):
        found = _meaning(events, second, wire.now)
        _expect(found == expected, f"{expected} became {found}")


def files(data: bytes) -> None:
    """Arbitrary bytes as a capture file: exchanges, damage in one line, or no capture."""
    try:
        capture = open_capture(io.BytesIO(data))
    except NotACapture as error:
        _expect("\n" not in str(error), "the reason is one line")
        return
    decoder = Decoder(frozenset(), DecoderLimits(), PacketCounts())
    _read(decoder, capture)
    _expect("\n" not in (capture.damage or ""), "the damage is one line")


def frames(data: bytes) -> None:
    """Arbitrary frames of every link type."""
    source = Source(data)
    decoder = Decoder(frozenset(), DecoderLimits(), PacketCounts())
    found = []
    for number in range(_MOST_SEGMENTS):
        if source.spent:
            break
        payload = source.some()
        link = LINKS[source.below(len(LINKS))]
        found.append(Frame(number, link, payload, len(payload) + source.below(4)))
    _read(decoder, found)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "segments": segments,
    "messages": messages,
    "files": files,
    "frames": frames,
}


def _expect(holds: bool, otherwise: str) -> None:
    """An assertion that `python -O` keeps."""
    if not holds:
        raise AssertionError(otherwise)


def _read(decoder: Decoder, found: object) -> None:
    target = assembler(FlowLimits(acks_prove_loss=False))
    for segment in decoder.segments(found):  # type: ignore[arg-type] # any iterable of frames
        target.push(segment)
    check_balance(target)
    _close(target, decoder.now)


def _close(target: Assembler, now: int) -> None:
    target.expire(now + 10 * _SECOND)
    target.close(Unanswered.DRAINED, now + 10 * _SECOND)
    check_balance(target)
    _expect(target.exchanges.open == target.requests.open == 0, "something is still open")
    _expect(target.table.held_bytes == len(target.table) == target.segments.held == 0, "kept")


def _lost(target: Assembler) -> bool:
    """Whether framing or pairing was lost in the one flow there is."""
    requests, segments = target.requests, target.segments
    if requests.malformed or requests.oversize or segments.not_http_other or segments.not_http_h2:
        return True
    if (
        requests.unexplained_gaps or requests.aborted
    ):  # a body that was refused and a next request are told by first bytes too
        return True
    lost = target.exchanges.unanswered
    conversation = next(iter(target.table._flows.values())).conversation
    pairing = None if conversation is None else conversation.pairing
    return bool(lost[Unanswered.GAP] + lost[Unanswered.MALFORMED]) or (
        pairing is not None and pairing.lost
    )


def _meaning(events: list, target: Assembler, now: int) -> list[tuple[object, ...]]:
    events = events + target.close(Unanswered.DRAINED, now)
    return [_facts(exchange) for exchange in begun(events)]


def _facts(exchange: Exchange) -> tuple[object, ...]:
    return (
        exchange.method,
        exchange.target,
        exchange.request_body_len,
        exchange.request_body_sha256,
        exchange.status,
        exchange.response_body_len,
        exchange.response_body_sha256,
        exchange.unanswered,
    )
