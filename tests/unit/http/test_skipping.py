"""What the kernel skipped on purpose, as a conversation sees it: absent, and nothing beside it."""

from __future__ import annotations

from shadow_agent.flow.resume import SURE
from shadow_agent.http.assembler import Assembler
from shadow_agent.http.exchange import Exchange
from shadow_agent.telemetry.reasons import Unanswered
from tests.property.wire import GET, Wire, assembler, begun, check_balance, ended, response


class Tapped:
    """A connection of which some is copied."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.target: Assembler = assembler()
        self.counts = [0, 0]
        self.epoch = 0
        self.exchanges: list[Exchange] = []
        self.ended: list[Exchange] = []
        for way in (0, 1):
            self.counts[way] += 1
        for segment in self.wire.open():
            self.target.follow(segment, self.number(1))

    def number(self, count: int) -> int:
        """Of a record."""
        return 7 << 24 | self.epoch << 16 | count

    def copy(self, direction: int, payload: bytes, *, sure: bool = False) -> None:
        """The next bytes, copied."""
        self.counts[direction] += 1
        number = self.number(self.counts[direction]) | (SURE if sure else 0)
        events = self.target.follow(self.wire.segment(direction, payload), number)
        check_balance(self.target)
        self.exchanges += begun(events)
        self.ended += ended(events)

    def skip(self, number: int = 1) -> None:
        """Exchanges that are not."""
        for _ in range(number):
            self.wire.client(GET % 0)
            self.wire.server(response(b"skipped"))
        self.epoch += 1


def test_the_next_pair_is_whole() -> None:
    """Also where the client pipelines: nothing else is open, the kernel says."""
    tapped = Tapped()
    tapped.copy(0, GET % 1, sure=True)
    tapped.copy(1, response(b"one"))
    tapped.skip(3)
    tapped.copy(0, GET % 2 + GET % 3, sure=True)
    tapped.copy(1, response(b"two") + response(b"three"))
    assert [one.response_body for one in tapped.ended] == [b"one", b"two", b"three"]
    assert not any(one.notes for one in tapped.ended)
    assert tapped.target.requests.unexplained_gaps == 0


def test_an_open_response_is_cut_by_name() -> None:
    """Its rest was lost: it does not end in another's bytes."""
    tapped = Tapped()
    tapped.copy(0, GET % 1, sure=True)
    tapped.copy(1, response(b"x" * 100)[:60])
    tapped.wire.server(b"x" * 40)
    tapped.skip()
    tapped.copy(0, GET % 2, sure=True)
    first, second = tapped.exchanges
    assert first.answered
    assert first.response_body_len is None
    assert first.notes
    tapped.copy(1, response(b"two"))
    assert second.response_body == b"two"


def test_an_unanswered_request_stays_so() -> None:
    """Its response was lost: the next one is not its own."""
    tapped = Tapped()
    tapped.copy(0, GET % 1, sure=True)
    tapped.wire.server(response(b"lost"))
    tapped.skip()
    tapped.copy(0, GET % 2, sure=True)
    tapped.copy(1, response(b"two"))
    first, second = tapped.exchanges
    assert first.unanswered is Unanswered.GAP
    assert second.response_body == b"two"


def test_an_open_request_is_gapped() -> None:
    """Its body was lost."""
    tapped = Tapped()
    tapped.copy(0, b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1234", sure=True)
    tapped.wire.client(b"56789")
    tapped.wire.server(response(b"lost"))
    tapped.skip()
    tapped.copy(0, GET % 2, sure=True)
    assert tapped.target.requests.gap == 1
    assert [one.method for one in tapped.exchanges] == ["POST", "GET"]


def test_who_the_client_is_stays_known() -> None:
    """A PROXY preamble is said once, at the start."""
    tapped = Tapped()
    tapped.copy(0, b"PROXY TCP4 192.0.2.77 192.0.2.4 5 80\r\n")
    tapped.copy(0, GET % 1, sure=True)
    tapped.copy(1, response(b"one"))
    tapped.skip()
    tapped.copy(0, GET % 2, sure=True)
    one, two = tapped.exchanges
    assert one.client == two.client
    assert two.preamble


def test_unsure_it_needs_proof() -> None:
    """The kernel had forgotten the flow: a pipelining client's answers cannot be told apart."""
    tapped = Tapped()
    tapped.copy(0, GET % 1, sure=True)
    tapped.copy(1, response(b"one"))
    tapped.skip()
    tapped.copy(0, GET % 2)
    tapped.copy(1, response(b"two"))
    tapped.skip()
    tapped.copy(0, GET % 3 + GET % 4)
    tapped.copy(1, response(b"three") + response(b"four"))
    assert [one.response_body for one in tapped.ended] == [b"one", b"two", None, None]
    assert tapped.target.exchanges.unanswered[Unanswered.GAP] == 2


def test_a_response_behind_a_lost_request_is_nobodys() -> None:
    """Its records come, the request's found the ring full."""
    tapped = Tapped()
    tapped.copy(0, GET % 1, sure=True)
    tapped.copy(1, response(b"one"))
    tapped.skip()
    tapped.wire.client(GET % 2)
    tapped.counts[0] += 1
    tapped.copy(1, response(b"lost"))
    tapped.copy(0, GET % 3, sure=True)
    tapped.copy(1, response(b"three"))
    assert [int(one.target[1:]) for one in tapped.ended] == [1, 3]
    assert [one.response_body for one in tapped.ended] in (
        [b"one", b"three"],
        [b"one", None],
    )
