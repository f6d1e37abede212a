"""Random overlapping segments whose bytes differ, against what the kernel's receiver keeps."""

from __future__ import annotations

from random import Random

import pytest

from shadow_agent.selftest.peers import Ask
from tests.differential.compare import FILE_LIMITS, judge_talk, show
from tests.differential.conftest import Paper
from tests.differential.paper import Talk

BATCHES = 10
BODY = 60


def play(talk: Talk, random: Random, copies: int) -> list[tuple[int, int, bytes]]:
    """A body in so many random pieces, each of a letter of its own, then what is still missing."""
    ask = Ask("POST", f"/length/10/{random.random()}", bytes(BODY))
    head = ask.head()
    talk.open()
    talk.send(head)
    pieces = []
    missing = set(range(BODY))
    for letter in range(65, 65 + copies):
        start = random.randrange(1, BODY)  # the first byte comes last: the rest has to wait
        end = random.randint(start + 1, min(BODY, start + random.choice((5, 15, BODY))))
        pieces.append((start, end, b"%c" % letter))
        missing -= set(range(start, end))
    pieces += [(at, at + 1, b"z") for at in sorted(missing, reverse=random.random() < 0.5)]
    for start, end, letters in pieces:
        talk.send(letters * (end - start), at=len(head) + start)
    talk.serve()
    talk.finish()
    return pieces


def _judge(paper: Paper, conversations: int, batch: int, copies: tuple[int, int]) -> None:
    talks = []
    for number in range(max(1, conversations // BATCHES)):
        random = Random(f"{batch}.{number}")
        talk = paper.talk(ipv6=random.random() < 0.2, isn=random.choice((1000, (1 << 32) - 90)))
        talks.append((talk, play(talk, random, random.randint(*copies))))
    for limits, segments in ((None, paper.live()), (FILE_LIMITS, paper.dump.segments())):
        for talk, pieces in talks:
            verdict, made = judge_talk(talk, segments, *((limits,) if limits else ()))
            assert verdict.wrong == [], f"{pieces}\n{show(made)}\nread: {talk.read[-BODY:]!r}"
            assert verdict.exact or "request.gap" in verdict.named, f"{pieces}\n{show(made)}"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_two_copies(paper: Paper, batch: int, conversations: int) -> None:
    """Every byte that is reported is the one the server read."""
    _judge(paper, conversations, batch, (1, 2))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_many_copies(paper: Paper, batch: int, conversations: int) -> None:
    """The same; a body may be a named loss, but not another one."""
    _judge(paper, conversations, batch, (3, 12))
