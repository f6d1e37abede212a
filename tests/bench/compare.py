"""What it costs to compare two answers: each pair waits for it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, Final

import orjson

from shadow_agent.compare.body import Answer
from shadow_agent.compare.options import Options
from shadow_agent.compare.pair import AnswerComparer
from shadow_agent.compare.selectors import Action, Tolerance
from shadow_agent.policy.jsonpath import Path
from tests.bench.figure import Figure, Target, at_most, median

_ROUNDS: Final = 5
_CALLS: Final = 4_000
_PART: Final = "compare: two answers"
_HEADERS: Final = [
    (b"Server", b"nginx"),
    (b"Date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
    (b"Content-Type", b"application/json; charset=utf-8"),
    (b"Content-Length", b"2048"),
    (b"Connection", b"keep-alive"),
    (b"Cache-Control", b"max-age=60"),
    (b"Vary", b"Accept-Encoding"),
]
_LATER: Final = [(b"Date", b"Sun, 06 Nov 1994 08:49:38 GMT") if one[0] == b"Date" else one
                 for one in _HEADERS]  # fmt: skip
_RULES: Final = (
    Tolerance(Action.IGNORE, json=Path("$.meta")),
    Tolerance(Action.ABSOLUTE, 0.01, json=Path("$..price")),
    Tolerance(Action.SECONDS, 5, json=Path("$.items[*].at")),
)


def compare() -> list[Figure]:
    """JSON of 2 KB that is the same, differs in two values, or is spelt otherwise."""
    document = _document()
    body = orjson.dumps(document)
    changed = copy.deepcopy(document)
    changed["items"][3]["price"] = 9.99
    changed["items"][7]["name"] = "another"
    other = orjson.dumps(changed)
    spelt = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    slow = at_most(150, "µs")
    return [
        _figure("identical JSON, 2 KB", body, body, at_most(5, "µs")),
        _figure("different JSON, 2 KB", body, other, slow),
        _figure("different JSON, 2 KB, three rules", body, other, slow, _RULES),
        _figure("the same JSON, spelt otherwise", body, spelt, slow),
    ]


def _document() -> dict[str, Any]:
    items = [
        {"id": n, "name": f"item {n}", "price": n * 1.5, "tags": ["a", "b"],
         "at": f"2026-01-01T00:00:{n:02d}Z"}
        for n in range(24)
    ]  # fmt: skip
    return {"items": items, "meta": {"page": 1, "of": 7}}


def _figure(
    name: str, production: bytes, shadow: bytes, target: Target, rules: tuple[Tolerance, ...] = ()
) -> Figure:
    comparer = AnswerComparer(Options(rules=rules))
    # no two answers are one object: equal bytes are found by looking at them
    ours = Answer(200, list(_HEADERS), bytes(bytearray(production)))
    theirs = Answer(200, _LATER, bytes(bytearray(shadow)))

    def once() -> None:
        comparer.compare(ours, theirs)

    return median(_PART, name, [_micros(once) for _ in range(_ROUNDS)], "µs", target)


def _micros(call: Callable[[], None]) -> float:
    began = time.process_time()
    for _ in range(_CALLS):
        call()
    return (time.process_time() - began) * 1e6 / _CALLS
