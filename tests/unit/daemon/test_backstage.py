"""Work behind a worker's back: bounded, counted, and it stops at the first failure of the disk."""

from __future__ import annotations

import threading

import pytest

from shadow_agent.daemon.backstage import Backstage, EvidencePage
from shadow_agent.telemetry.reasons import EvidenceLost


def store(one: object) -> EvidenceLost | None:
    """As it is told."""
    if isinstance(one, Exception):
        raise one
    return one  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("work", "counts"),
    [
        ([None, None], {"stored": 2, "lost": {}}),
        ([None, EvidenceLost.FULL], {"stored": 1, "lost": {"full": 1}}),
        ([ValueError("x"), None], {"stored": 1, "lost": {"internal": 1}}),
        ([OSError(28, "full"), None, None], {"stored": 0, "lost": {"disk": 3}}),
    ],
)
def test_counts(work: list[object], counts: dict[str, object]) -> None:
    """Stored or lost by name; what does not count is not counted, wherever it ends."""
    page = EvidencePage(1)
    complaints: list[Exception] = []
    backstage: Backstage[object] = Backstage("t", 20, store, page, 0, complaints.append)
    for one in work:
        backstage.put(one)
        backstage.put(None, counts=False)
    backstage.close()
    backstage.put(None, counts=False)
    assert page.as_dict() == counts
    assert len(complaints) == sum(isinstance(one, ValueError) for one in work)


def test_nobody_waits() -> None:
    """While the disk does not answer, what finds no room is lost at once."""
    go, page = threading.Event(), EvidencePage(1)

    def slow(_: int) -> None:
        go.wait()

    backstage: Backstage[int] = Backstage("t", 2, slow, page, 0, print)
    for one in range(10):
        backstage.put(one)
    assert page.as_dict()["lost"]["slow"] >= 7
    go.set()
    backstage.close()
    counts = page.as_dict()
    assert counts["stored"] + counts["lost"]["slow"] == 10
