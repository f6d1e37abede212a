"""What one user's requests have in common, whichever side answers first."""

from __future__ import annotations

import pytest

from shadow_agent.daemon.sessions import Session, Sessions
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, ResponseHead, parse_request, parse_response
from shadow_agent.policy.alias import AliasLimits, Awaited
from shadow_agent.policy.alias_learn import AliasRule
from shadow_agent.policy.outgoing import Outgoing, Settings
from shadow_agent.policy.rule import Part, Place
from shadow_agent.replay.replay import Replay
from shadow_agent.replay.reply import Reply
from shadow_agent.telemetry.reasons import AliasEvent, Outcome, Uncomparable

CONNECTION = Session("connection", "")
COOKIE = Session("cookie", "sid")


class Stage:
    """Sessions, and exchanges that both sides answer when they are told to."""

    def __init__(self, key: Session = CONNECTION, *rules: AliasRule) -> None:
        self.out = Outgoing(Settings(aliases=rules), "run")
        self.sessions = Sessions(key, self.out)
        self._number = 0

    def ask(self, *fields: str, method: str = "GET", sent: bool = True) -> Exchange:
        """A request of connection c."""
        self._number += 1
        lines = "".join(f"{field}\r\n" for field in fields)
        head = parse_request(f"{method} / HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode())
        assert isinstance(head, RequestHead)
        exchange = Exchange(self._number, bytes(36), "c", head, 0, 0, 0)
        self.sessions.begin(exchange)
        if sent:
            exchange.replay = Replay(exchange, None, 0.0)  # type: ignore[arg-type]
        return exchange

    def production(self, exchange: Exchange, *fields: str, body: bytes = b"") -> None:
        """Production answers."""
        exchange.response = answer(*fields)
        exchange.answered = True
        exchange.set_response_body(len(body), body, None)
        self.sessions.production_ended(exchange)
        if exchange.replay is not None:
            exchange.replay.production_ended = True

    def shadow(self, exchange: Exchange, *fields: str, body: bytes = b"") -> None:
        """The shadow answers."""
        replay: Replay = exchange.replay
        replay.reply = Reply(head_only=False)
        replay.reply.take_head(answer(*fields))
        if body:
            replay.reply._add(body)
        replay.reply.outcome = Outcome.ANSWERED
        self.sessions.shadow_ended(replay)

    def known(self, session: str, value: bytes) -> object:
        """What that session's aliases say of a cookie."""
        found = self.out.aliases.of(session, 0)
        return None if found is None else found.find(Part.COOKIE, b"sid", value)


def answer(*fields: str) -> ResponseHead:
    """A head."""
    lines = "".join(f"{field}\r\n" for field in fields)
    made = parse_response(f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n".encode())
    assert isinstance(made, ResponseHead)
    return made


@pytest.mark.parametrize("first", ["production", "shadow"])
def test_both_answers_teach(first: str) -> None:
    """In whatever order they come; and nothing of it is kept besides."""
    stage = Stage()
    exchange = stage.ask()
    if first == "shadow":
        stage.shadow(exchange, "Set-Cookie: sid=theirs")
    stage.production(exchange, "Set-Cookie: sid=ours")
    if first == "production":
        stage.shadow(exchange, "Set-Cookie: sid=theirs")
    assert stage.known("c", b"ours") == b"theirs"
    assert exchange.handed is None
    assert stage.sessions.counts()[AliasEvent.LEARNED] == 2


def test_bodies_teach_what_was_declared() -> None:
    """They are looked into when an answer ends, and let go."""
    stage = Stage(CONNECTION, AliasRule(source=Place(Part.JSON, "$.csrf")))
    exchange = stage.ask()
    kind = "Content-Type: application/json"
    stage.production(exchange, kind, body=b'{"csrf":"ours"}')
    stage.shadow(exchange, kind, body=b'{"csrf":"theirs"}')
    assert stage.known("c", b"ours") == b"theirs"
    assert exchange.response_kept is None


@pytest.mark.parametrize("key", [CONNECTION, COOKIE])
def test_a_session_by_cookie_waits_for_the_shadow(key: Session) -> None:
    """Another connection may use a value before the shadow has answered; one's own cannot."""
    stage = Stage(key)
    exchange = stage.ask()
    exchange.replay.reply = Reply(head_only=False)
    stage.production(exchange, "Set-Cookie: sid=ours")
    names = ["c", "cookie=ours"] if key is COOKIE else ["c"]
    for name in names:
        expected = Awaited(exchange.id) if key is COOKIE else None
        assert stage.known(name, b"ours") == expected
    stage.shadow(exchange, "Set-Cookie: sid=theirs")
    for name in names:
        assert stage.known(name, b"ours") == b"theirs"
    assert stage.sessions.taught is (key is COOKIE)


@pytest.mark.parametrize("how", ["answers without", "fails", "is dropped"])
def test_nobody_waits_for_ever(how: str) -> None:
    """What the shadow does not hand out is sent as it is."""
    stage = Stage(COOKIE)
    exchange = stage.ask()
    replay = exchange.replay
    stage.production(exchange, "Set-Cookie: sid=ours")
    assert stage.known("c", b"ours") == Awaited(exchange.id)
    if how == "answers without":
        stage.shadow(exchange)
    elif how == "fails":
        replay.broken = Uncomparable.BACKLOG
        stage.sessions.shadow_ended(replay)
    else:
        stage.sessions.lose(exchange)
    assert stage.known("c", b"ours") is None
    assert stage.known("cookie=ours", b"ours") is None


def test_no_session_is_named_by_a_client_as_a_connection() -> None:
    """A cookie that says what a connection is called opens nothing."""
    stage = Stage(COOKIE)
    stage.production(one := stage.ask(), "Set-Cookie: x=ours")
    stage.shadow(one, "Set-Cookie: x=theirs")
    intruder = stage.ask("Cookie: sid=c")
    assert intruder.session == "cookie=c"
    assert stage.out.aliases.of(intruder.session, 0) is None


def test_a_login_goes_on_in_its_session() -> None:
    """What was learned before it, and what was lost, belongs to the session that it begins."""
    stage = Stage(COOKIE)
    first = stage.ask()
    stage.production(first, "Set-Cookie: csrf=ours")
    stage.shadow(first, "Set-Cookie: csrf=theirs")
    login = stage.ask(method="POST", sent=False)
    stage.sessions.lose(login)
    stage.production(login, "Set-Cookie: sid=new")
    after = stage.ask("Cookie: sid=new")
    assert after.session == "cookie=new"
    assert stage.known(after.session, b"ours") == b"theirs"
    assert stage.sessions.diverged(after)
    assert not stage.sessions.diverged(stage.ask("Cookie: sid=other"))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("outcome", [Outcome.ANSWERED, Outcome.RESET])
def test_divergence(method: str, outcome: Outcome) -> None:
    """A write that the shadow did not answer; not the write itself, nor what came before."""
    stage = Stage()
    before, exchange, after = stage.ask(), stage.ask(method=method), stage.ask()
    replay = exchange.replay
    replay.reply = Reply(head_only=False)
    replay.reply.outcome = outcome
    if outcome is Outcome.ANSWERED:
        replay.reply.take_head(answer())
    stage.sessions.shadow_ended(replay)
    lost = method == "POST" and outcome is Outcome.RESET
    assert stage.sessions.diverged(after) is lost
    assert not stage.sessions.diverged(exchange)
    assert not stage.sessions.diverged(before)


def test_without_identity() -> None:
    """Divergence is seen all the same, and forgotten sessions are counted."""
    sessions = Sessions(CONNECTION, None, AliasLimits(max_sessions=1))
    stage = Stage()
    stage.sessions = sessions
    for name in ("a", "b"):
        exchange = stage.ask(method="POST", sent=False)
        exchange.session = name
        sessions.lose(exchange)
    assert sessions.counts() == {AliasEvent.DIVERGED_FORGOTTEN: 1}
    stage.production(stage.ask(), "Set-Cookie: a=b")
