"""One direction cut into messages: whole, byte by byte, with trailing data."""

import pytest

from shadow_agent.flow.items import Data, End, EndKind, Gap
from shadow_agent.http.exchange import Limits
from shadow_agent.http.head import CHUNKED
from shadow_agent.http.messages import REJECTED, Cause, MessageStream, Phase


class Script(MessageStream):
    """Writes down what it is told; a head `L5` has a body of 5 bytes, `C` chunks, `X` none."""

    def __init__(self, limits: Limits) -> None:
        """Nothing was told."""
        super().__init__(limits)
        self.told: list[str] = []
        self.head_bytes = 0

    def _resume(self, item: Data) -> bool:
        if not item.payload.startswith(b"L"):
            return False
        self._phase = Phase.START
        return True

    def _begin(self, item: Data, seq: int) -> bool:
        self.told.append(f"begin {seq}")
        return True

    def _take_head(self, raw: bytes, item: Data) -> int:
        kind = raw[:1]
        if kind == b"R":
            self._phase = Phase.LOST
            return REJECTED
        return int(raw.split()[0][1:]) if kind == b"L" else CHUNKED

    def _take_body(self, raw: bytes, ts: int) -> None:
        pass

    def _take_end(self, ts: int | None) -> None:
        self.told.append(f"end {self._length}{' damaged' if self._damaged else ''}")

    def _body_damaged(self) -> None:
        self.told.append("damaged")

    def _break(self, cause: Cause) -> None:
        self.told.append(cause.value)
        self._phase = Phase.LOST
        self._drop()

    def _hold_head(self, before: int, after: int, ts: int) -> None:
        self.head_bytes += after - before

    def _finish(self, item: End) -> None:
        self.told.append(f"finish {self._phase.value}")


def tell(*pieces: bytes, limits: Limits | None = None) -> list[str]:
    """What a stream is told of these bytes, from sequence number 0."""
    stream = Script(limits or Limits())
    seq = 0
    for piece in pieces:
        stream.data(Data(0, piece, 1, seq, 0))
        seq += len(piece)
        assert stream.head_bytes == len(stream._head)
    return stream.told


@pytest.mark.parametrize(
    ("wire", "told"),
    [
        (b"L0\r\n\r\n", ["begin 0", "end 0"]),
        (b"\r\n\nL3\n\nabc", ["begin 3", "end 3"]),
        (b"L3\r\nA: b\r\n\r\nabcL0\n\r\n", ["begin 0", "end 3", "begin 15", "end 0"]),
        (b"C\r\n\r\n2\r\nab\r\n0\r\n\r\nL1\r\n\r\nx", ["begin 0", "end 2", "begin 17", "end 1"]),
    ],
)
def test_messages_end_where_they_end(wire: bytes, told: list[str]) -> None:
    """However the bytes come, the same messages at the same places."""
    single = [bytes([byte]) for byte in wire]
    assert tell(wire) == told
    assert tell(*single) == told
    after = [f"begin {len(wire)}", "end 0"]
    assert tell(wire + b"L0\r\n\r\n") == told + after
    assert tell(*single, b"L0\r\n\r\n") == told + after
    for cut in range(1, len(wire)):
        assert tell(wire[:cut], wire[cut:]) == told


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_head_over_the_limit_is_oversize(size: int) -> None:
    """Whether or not its end has come, and no more than the limit is held."""
    limits = Limits(max_head=50)
    wire = b"L0\r\nA: " + b"x" * 60 + b"\r\n\r\n"
    pieces = [wire[i : i + size] for i in range(0, len(wire), size)]
    assert tell(*pieces, limits=limits)[1] == "oversize"


def test_a_head_at_the_limit_is_fine() -> None:
    """The limit is inclusive."""
    wire = b"L0\r\nA: b\r\n\r\n"
    assert tell(wire, limits=Limits(max_head=len(wire))) == ["begin 0", "end 0"]
    assert tell(*[bytes([b]) for b in wire], limits=Limits(max_head=len(wire)))[1] == "end 0"


def test_large_bodies_are_hashed_as_they_stream() -> None:
    """Over max_kept_body nothing is kept."""
    stream = Script(Limits(max_kept_body=10))
    stream.data(Data(0, b"L20\r\n\r\n" + b"x" * 12, 1, 0, 0))
    assert stream._whole is None
    assert stream._hash is not None
    stream.data(Data(0, b"x" * 8, 1, 0, 0))
    assert stream.told[-1] == "end 20"


def test_broken_chunks_break_the_stream() -> None:
    """And nothing after them is read until a message begins."""
    assert tell(b"C\r\n\r\nzz\r\n", b"more", b"L0\r\n\r\n") == [
        "begin 0",
        "malformed",
        "begin 13",
        "end 0",
    ]


def test_gaps_and_ends() -> None:
    """A gap inside a body of known length damages it; elsewhere it breaks the stream."""
    stream = Script(Limits())
    stream.data(Data(0, b"L9\r\n\r\nabc", 1, 0, 0))
    stream.gap(Gap(0, 2, 1))
    stream.gap(Gap(0, 2, 1))
    stream.data(Data(0, b"hiL4\r\n\r\n", 1, 0, 0))
    stream.gap(Gap(0, 4, 1))
    stream.gap(Gap(0, 1, 1))
    stream.end(End(0, EndKind.FIN, 1, 0))
    stream.data(Data(0, b"L0\r\n\r\n", 1, 0, 0))
    assert stream.told == [
        "begin 0",
        "damaged",
        "end 3 damaged",
        "begin 2",
        "damaged",
        "end 0 damaged",
        "gap",
        "finish lost",
    ]


def test_a_rejected_head_ends_the_reading() -> None:
    """The subclass has set the phase itself."""
    assert tell(b"R\r\n\r\nL0\r\n\r\n") == ["begin 0"]
