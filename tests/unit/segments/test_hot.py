"""Heavy hitters."""

from __future__ import annotations

import random
from collections import Counter

import orjson
import pytest

from shadow_agent.segments.hot import Hot, HotKeys, shown

SALT = b"of this run"


def traffic(seed: int, number: int) -> list[bytes]:
    """Few keys that are hot, many that are not."""
    chance = random.Random(seed)
    return [
        b"k%d" % (chance.randrange(5) if chance.random() < 0.4 else chance.randrange(10_000))
        for _ in range(number)
    ]


def counted(keys: list[bytes], capacity: int) -> HotKeys:
    """All of them."""
    hot = HotKeys(capacity)
    for key in keys:
        hot.add(key)
    return hot


def check_bounds(hot: HotKeys, keys: list[bytes], capacity: int) -> None:
    """Every true count is within its bounds, and no hot key is missing."""
    truth = Counter(keys)
    rows = {row.key.encode(): row for row in hot.top(capacity)}
    assert hot.total == len(keys)
    assert len(rows) <= capacity
    for key, row in rows.items():
        assert row.least <= truth[key] <= row.most
    assert {key for key, n in truth.items() if n > len(keys) / capacity} <= set(rows)


@pytest.mark.parametrize("seed", range(5))
def test_bounds_hold(seed: int) -> None:
    """Of one, and of several merged in any order."""
    parts = [traffic(seed * 10 + part, 3000) for part in range(4)]
    check_bounds(counted(parts[0], 30), parts[0], 30)
    whole = HotKeys(30)
    for order in (parts, parts[::-1]):
        whole = HotKeys(30)
        for part in order:
            whole.merge(counted(part, 30))
        check_bounds(whole, [key for part in parts for key in part], 30)
    whole.add(b"late")
    assert whole.total == 12_001


def test_few_keys_are_exact() -> None:
    """Below the capacity nothing is estimated."""
    hot = counted([b"a"] * 3 + [b"b"], 10)
    assert [(row.key, row.least, row.most) for row in hot.top()] == [("a", 3, 3), ("b", 1, 1)]


def test_different_keys_for_ever_stay_bounded() -> None:
    """A hundred keys, whatever comes."""
    hot = counted([b"%d" % number for number in range(20_000)], 100)
    assert len(hot._counts) == len(hot._heap) == 100
    assert len(hot._errors) <= 100


def test_it_travels() -> None:
    """From a worker to the supervisor, under names that may be shown."""
    hot = Hot()
    for number in range(300):
        hot.add(b"/users/7/reset/dQw4w9WgXcQ_9-abcDEF?user=kim&page", f"c{number % 3}")
        hot.add(b"/items/%d" % number, "c0")
    told = orjson.loads(orjson.dumps(hot.as_dict(SALT)))
    read = Hot.from_dict(told)
    assert read.as_dict(SALT)["cohorts"] == told["cohorts"]
    top = read.summary()
    assert top["paths"][0]["key"].startswith("/users/7/reset/{token}#")
    assert top["paths"][0]["share"] == 0.5
    assert {row["key"] for row in top["parameters"]} == {shown(b"?user=kim", SALT), "?page"}
    assert top["cohorts"][0]["key"] == "c0"
    read.merge(Hot.from_dict(told))
    assert read.paths.total == 1200


def test_no_value_is_shown() -> None:
    """Values are told apart by a number that no other run shares."""
    assert shown(b"?token=secret", SALT) == shown(b"?token=secret", SALT)
    assert shown(b"?token=secret", SALT) != shown(b"?token=secreT", SALT)
    assert shown(b"?token=secret", SALT) != shown(b"?token=secret", b"another")
    assert "secret" not in shown(b"?token=secret", SALT)
    assert "kim" not in shown(b"/users/kim@example.com", SALT)
    assert shown(b"/a\x1b[0m/b", SALT) == "/a%1B%5B0m/b"
    assert shown(b"*", SALT) == "*"
    assert shown(b"http://x" + b"/a" * 60, SALT).startswith("{long}#")
    assert shown(b"/" + b"\xff" * 127, SALT).startswith("/{long}#")


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"total": 1, "keys": [{}]},
        {"total": 1, "keys": [{"key": "a", "least": 2, "most": 1}]},
        {"total": 1, "keys": [{"key": "a", "least": 1, "most": 1}] * 2},
        {"total": 1, "keys": [{"key": "a" * 500, "least": 1, "most": 1}]},
        {"total": -1, "keys": []},
        {"total": 1, "keys": [{"key": str(n), "least": 1, "most": 1} for n in range(101)]},
    ],
)
def test_a_worker_that_lies(data: object) -> None:
    """In form only, or not at all."""
    with pytest.raises(ValueError, match=r"^hot"):
        HotKeys.from_dict(data, "hot")
