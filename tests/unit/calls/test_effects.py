"""Calls by one and not the other."""

from __future__ import annotations

import json
from typing import Any

from shadow_agent.calls.effects import MAX_ROWS, Effects, side_effects


def _call(**more: Any) -> dict[str, Any]:
    return {
        "event": "call", "protocol": "http", "method": "POST", "host": "pay.example",
        "path": "/v1/charges/42", "address": "10.0.0.1", "port": 80, **more,
    }  # fmt: skip


def _effects(*records: dict[str, Any]) -> Effects:
    effects = Effects()
    for one in records:
        effects.add(one)
    return effects


def test_the_same_calls_are_no_difference() -> None:
    """Paths compare as templates; counts may differ."""
    shown = side_effects(
        _effects(_call(), _call(path="/v1/charges/43")), _effects(_call(path="/v1/charges/9"))
    )
    assert shown["only_production"] == shown["only_shadow"] == []
    assert (shown["production"][0]["count"], shown["shadow"][0]["count"]) == (2, 1)
    assert shown["production"][0]["path"] == "/v1/charges/{id}"


def test_a_call_of_one_side_is_listed() -> None:
    """With where to."""
    hook = _call(host="hook.example", path="/new")
    shown = side_effects(_effects(_call()), _effects(_call(), hook))
    assert shown["only_production"] == []
    (row,) = shown["only_shadow"]
    assert (row["host"], row["path"], row["count"]) == ("hook.example", "/new", 1)


def test_a_refused_connection_stands_for_calls_to_its_place() -> None:
    """It never came to say what it wanted."""
    refused = {"event": "refused", "protocol": "tcp", "address": "10.0.0.1", "port": 80}
    shown = side_effects(_effects(_call()), _effects(refused))
    assert shown["only_production"] == shown["only_shadow"] == []
    assert shown["shadow"][0]["refused"] is True
    elsewhere = {**refused, "port": 81}
    shown = side_effects(_effects(_call()), _effects(elsewhere))
    assert [row["port"] for row in shown["only_production"]] == [80]
    assert [row["port"] for row in shown["only_shadow"]] == [81]


def test_a_side_that_was_not_watched_is_null() -> None:
    """And nothing is said about the difference: no false all-green."""
    shown = side_effects(None, _effects(_call()))
    assert shown["production"] is shown["only_shadow"] is shown["only_production"] is None


def test_rows_are_bounded() -> None:
    """What is over it is summed under one name; nothing is lost."""
    effects = Effects()
    for number in range(2 * MAX_ROWS):
        effects.add(_call(path=f"/{'x' * number}"))
    rows = effects.rows()
    assert len(rows) <= MAX_ROWS + 1
    assert sum(row["count"] for row in rows) == effects.calls == 2 * MAX_ROWS


def test_a_dump_loads() -> None:
    """As another process has it."""
    refused = {"event": "refused", "protocol": "tcp", "address": "10.0.0.1", "port": 80}
    effects = _effects(_call(), _call(), refused)
    again = Effects.load(json.loads(json.dumps(effects.dump())))
    assert again.rows() == effects.rows()
    assert again.places(refused=True) == effects.places(refused=True) == {("10.0.0.1", 80)}
    assert again.calls == 3


def test_odd_records_are_survived() -> None:
    """Whatever a file holds."""
    effects = _effects(
        {}, {"event": "call"}, {"event": "call", "port": "80", "path": 7, "host": None},
        {"event": "refused_socket"},
    )  # fmt: skip
    assert effects.calls == 2
