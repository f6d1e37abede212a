"""What production handed out and what the shadow did, per session and bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.policy.alias import MAX_VALUE, Aliases, AliasLimits, Awaited, Pair, Special, Where
from shadow_agent.policy.rule import Part

SID: Where = (Part.COOKIE, b"sid")
S = 1_000_000_000


def known(aliases: Aliases, session: str, value: bytes, where: Where = SID, now: int = 0) -> object:
    """What the session has for a value there."""
    found = aliases.of(session, now)
    if found is None:
        return None
    return found.find(*where, value) if where is not None else found.at(None, value)


def test_a_value_and_its_place() -> None:
    """It holds there, and nowhere else; without a place anywhere, if it is long enough."""
    aliases = Aliases(AliasLimits())
    aliases.learn("s", Pair(SID, b"1", b"2"), 0)
    aliases.learn("s", Pair(None, b"12", b"no"), 0)
    aliases.learn("s", Pair(None, b"token", b"other"), 0)
    assert known(aliases, "s", b"1") == b"2"
    assert known(aliases, "s", b"1", (Part.COOKIE, b"x")) is None
    assert known(aliases, "s", b"12") is None
    assert known(aliases, "s", b"token", (Part.HEADER, b"x")) == b"other"
    assert known(aliases, "s", b"tokens") is None
    assert known(aliases, "t", b"1") is None
    assert aliases.counts.learned == 2


def test_the_last_word_counts() -> None:
    """A value handed out again, with another or the same on the other side."""
    aliases = Aliases(AliasLimits())
    aliases.learn("s", Pair(SID, b"a", b"b"), 0)
    aliases.learn("s", Pair(SID, b"a", b"c"), 0)
    assert known(aliases, "s", b"a") == b"c"
    aliases.learn("s", Pair(SID, b"a", b"a"), 0)
    assert known(aliases, "s", b"a") is None


def test_values_that_cannot_be_sent() -> None:
    """A line end, nothing, or too much: the request that would carry it is refused, not sent."""
    aliases = Aliases(AliasLimits())
    for number, theirs in enumerate((b"a\r\nX: 1", b"", b"x" * (MAX_VALUE + 1), b"\0")):
        aliases.learn("s", Pair(SID, b"v%d" % number, theirs), 0)
        assert known(aliases, "s", b"v%d" % number) is Special.UNFIT
    aliases.learn("s", Pair(SID, b"x" * (MAX_VALUE + 1), b"b"), 0)
    assert known(aliases, "s", b"x" * (MAX_VALUE + 1)) is None
    assert aliases.counts.unfit == 5


def test_what_is_expected() -> None:
    """Pending until it is learned, or will not be; what is known already is not unknown again."""
    aliases = Aliases(AliasLimits())
    aliases.expect("s", SID, b"a", 1, 0)
    found = aliases.of("s", 0)
    assert found is not None
    assert (found.pending, known(aliases, "s", b"a")) == (1, Awaited(1))
    aliases.learn("s", Pair(SID, b"a", b"b"), 0)
    assert (found.pending, known(aliases, "s", b"a")) == (0, b"b")
    aliases.expect("s", SID, b"a", 1, 0)
    aliases.settle("s", SID, b"a")
    assert known(aliases, "s", b"a") == b"b"
    aliases.expect("s", SID, b"c", 1, 0)
    aliases.settle("s", SID, b"c")
    assert (found.pending, known(aliases, "s", b"c")) == (0, None)
    aliases.expect("s", None, b"abc", 1, 0)
    assert found.pending == 0


def test_bounds() -> None:
    """Per session, of sessions, of bytes; each counted."""
    aliases = Aliases(AliasLimits(max_sessions=2, max_per_session=2))
    for number in range(3):
        aliases.learn("s", Pair(SID, b"v%d" % number, b"w"), 0)
    assert known(aliases, "s", b"v0") is None
    assert known(aliases, "s", b"v2") == b"w"
    assert aliases.counts.evicted == 1
    aliases.learn("t", Pair(SID, b"v", b"w"), 0)
    assert known(aliases, "s", b"v2") == b"w"  # used: t is the oldest now
    aliases.learn("u", Pair(SID, b"v", b"w"), 0)
    assert (known(aliases, "t", b"v"), known(aliases, "s", b"v2")) == (None, b"w")
    assert (len(aliases), aliases.counts.forgotten) == (2, 1)
    small = Aliases(AliasLimits(max_bytes=3000))
    for number in range(10):
        small.learn(str(number), Pair(SID, b"v", b"w" * 1000), 0)
    assert small.size <= 3000
    assert small.counts.forgotten == 9


def test_expiry() -> None:
    """A session that nobody used for long is forgotten; use keeps it."""
    aliases = Aliases(AliasLimits(expiry_ns=10 * S))
    aliases.learn("s", Pair(SID, b"a", b"b"), 0)
    assert known(aliases, "s", b"a", now=9 * S) == b"b"
    assert known(aliases, "s", b"a", now=18 * S) == b"b"
    assert known(aliases, "s", b"a", now=29 * S) is None
    aliases.learn("t", Pair(SID, b"a", b"b"), 30 * S)
    aliases.learn("u", Pair(SID, b"a", b"b"), 60 * S)
    assert len(aliases) == 1
    assert aliases.counts.expired == 2
    assert aliases.size > 0


def test_going_on_under_another_name() -> None:
    """A session cookie that changes takes along what was learned before."""
    aliases = Aliases(AliasLimits())
    aliases.learn("s", Pair(SID, b"a", b"b"), 0)
    aliases.go_on("s", "t", 0)
    aliases.go_on("s", "s", 0)
    aliases.go_on("none", "u", 0)
    assert known(aliases, "t", b"a") == known(aliases, "s", b"a") == b"b"
    assert len(aliases) == 2


SESSIONS = st.sampled_from("stuv")
VALUES = st.sampled_from([b"aaaa", b"bbbb", b"cccc", b"d"])


@given(
    st.lists(st.tuples(SESSIONS, VALUES, VALUES, st.booleans()), max_size=30),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_nothing_leaks(
    said: list[tuple[str, bytes, bytes, bool]], sessions: int, each: int
) -> None:
    """A session knows the last of what it was taught itself, or nothing; the size is its sum."""
    aliases = Aliases(AliasLimits(max_sessions=sessions, max_per_session=each))
    taught: dict[tuple[str, bytes, bool], bytes] = {}
    for session, ours, theirs, anywhere in said:
        aliases.learn(session, Pair(None if anywhere else SID, ours, theirs), 0)
        taught[session, ours, anywhere] = theirs
    assert len(aliases) <= sessions
    size = 0
    for session in "stuv":
        found = aliases.of(session, 0)
        if found is None:
            continue
        size += found.size
        assert len(found) <= each
        for (where, ours), value in found.items():
            assert taught[session, ours, where is None] == value
    assert aliases.size == size
