"""Snapshots survive the way to the supervisor, add up there, and forgeries are refused."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.telemetry import snapshot as module
from shadow_agent.telemetry.check import MAX_COUNT
from shadow_agent.telemetry.snapshot import MAX_BYTES, Snapshot, decode, encode, merge
from shadow_agent.telemetry.tally import Tally

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_the_wire_form_comes_back(snapshot: Snapshot) -> None:
    """Encoding and decoding changes nothing."""
    again = decode(encode(snapshot))
    assert again.as_dict() == snapshot.as_dict()
    assert encode(again) == encode(snapshot)
    assert decode(encode(Snapshot())).as_dict() == Snapshot().as_dict()


def test_endpoints_not_sent_are_carried_over(snapshot: Snapshot, tally: Tally) -> None:
    """A snapshot without its endpoints takes those of the one before; the first has none."""
    full = decode(encode(snapshot))
    light = encode(tally.snapshot(snapshot.ledger, with_endpoints=False))
    assert orjson.loads(light)["endpoints"] is None
    assert decode(light, full).as_dict() == full.as_dict()
    assert len(decode(light).endpoints) == 0


def test_merging_adds_up(snapshot: Snapshot) -> None:
    """Twice the same is twice as much of everything, and the parts stay as they were."""
    before = encode(snapshot)
    both = merge([snapshot, snapshot])
    assert encode(snapshot) == before
    assert both.ledger.pairs.compared == 180
    assert both.production_first.count == 168
    assert both.dispatch_lag.count == 2
    assert both.status_pairs["200→500"] == 8
    assert both.body["unknown"] == 14
    assert both.outcomes["answered"] == 174
    assert both.latency_unknown == {"no_syn": 2}
    assert (both.different, both.eligible) == (20, 180)
    assert sum(row.pairs for row in both.endpoints) == 180


def test_rules_add_up_by_name() -> None:
    """Workers may know different rules, after a change."""
    one = Snapshot(rules={"a": {"passed": 1, "rule": 2}, "b": {"passed": 3}})
    other = decode(encode(Snapshot(rules={"a": {"passed": 10}, "c": {"unguarded": 4}})))
    assert merge([one, other, one]).rules == {
        "a": {"passed": 12, "rule": 4},
        "b": {"passed": 6},
        "c": {"unguarded": 4},
    }
    assert one.rules["a"]["passed"] == 1


def test_merging_shares_nothing(snapshot: Snapshot, tally: Tally) -> None:
    """A worker that goes on counting does not change what was merged."""
    merged = merge([snapshot])
    before = encode(merged)
    tally.add("GET", b"/a", 200, 200, production_first_us=1.0)
    assert encode(merged) == before
    assert encode(snapshot) != before


def test_merging_none_is_empty() -> None:
    """No worker, nothing counted."""
    assert merge([]).as_dict() == Snapshot().as_dict()


def test_the_smallest_round_trip_wins() -> None:
    """Workers that know none do not count."""
    parts = [Snapshot(network_rtt_us=us) for us in (None, 90, 70, None)]
    assert merge(parts).network_rtt_us == 70
    assert merge(parts[:1]).network_rtt_us is None


def test_the_largest_lies_still_serialise() -> None:
    """Counts at their limit from many workers stay within what JSON carries."""
    data = Snapshot().as_dict() | {"outcomes": {"reset": MAX_COUNT}, "different": MAX_COUNT}
    data["histograms"]["shadow_first"] = {"sum": 1e18, "buckets": [5, MAX_COUNT, 6, MAX_COUNT]}
    liar = Snapshot.from_dict(data)
    merged = merge([liar] * 256)
    assert encode(merged)
    assert merged.shadow_first.percentile(50.0) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"ledger": NaN}',
        b"[" * 100_000,
        b'"' + b"x" * MAX_BYTES + b'"',
    ],
)
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    """Whatever the bytes, one line says that it is none."""
    with pytest.raises(ValueError, match=r"^snapshot: [^\n]*$"):
        decode(data)


@pytest.mark.parametrize(
    "change",
    [
        {"ledger": None},
        {"histograms": {}},
        {"histograms": None},
        {"timing": {}},
        {"timing": {"dispatch_lag": None}},
        {"latency_unknown": {"made_up": 1}},
        {"status_pairs": []},
        {"status_pairs": {"200→500": -1}},
        {"status_pairs": {"200→500": True}},
        {"status_pairs": {"200→500\n": 1}},
        {"status_pairs": {"200→\x1b[0m": 1}},
        {"status_pairs": {"\u0662\u0660\u0660→200": 1}},
        {"status_pairs": {"200→made_up": 1}},
        {"status_pairs": {f"{p}→{s}": 1 for p in (100, 101, 102) for s in range(100, 1000)}},
        {"body": {"maybe": 1}},
        {"outcomes": {"reset": 1.0}},
        {"outcomes": {"reset": 2**51}},
        {"endpoints": {}},
        {"endpoints": [{}]},
        {"network_rtt_us": -1},
        {"network_rtt_us": 1.5},
        {"network_rtt_us": 2**40},
        {"different": None},
        {"eligible": "1"},
        {"rules": []},
        {"rules": {"a": 1}},
        {"rules": {"a": {"made_up": 1}}},
        {"rules": {"a": {"rule": -1}}},
        {"rules": {"\u20ac": {}}},
        {"rules": {"a" * 65: {}}},
        {"rules": {str(number): {} for number in range(1001)}},
        {"with_endpoints": True},
        {"differences": []},
        {"differences": {"status": -1}},
        {"differences": {"\x1b[0m": 1}},
        {"suppressed": {"a" * 1025: 1}},
        {"suppressed": {str(number): 1 for number in range(502)}},
    ],
)
def test_a_forged_field_is_refused(snapshot: Snapshot, change: dict[str, Any]) -> None:
    """Wrong type, range, name or size of any field is a ValueError of one line."""
    with pytest.raises(ValueError, match=r"^[a-z][^\n]*$"):
        decode(orjson.dumps(snapshot.as_dict() | change))


@given(data=st.data())
def test_any_value_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    """Replace any part by any JSON: what is accepted merges and encodes, the rest is one line."""
    tally = Tally()
    tally.add("GET", b"/", 200, 500, production_first_us=5.0)
    forged = deepcopy(tally.snapshot(Snapshot().ledger).as_dict())
    place: Any = forged
    while True:
        key = data.draw(st.sampled_from(sorted(place)) if isinstance(place, dict) else st.just(0))
        inner = place[key]
        if not inner or not isinstance(inner, dict | list) or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(json_values)
    problem = ""
    try:
        read = Snapshot.from_dict(forged)
    except ValueError as refused:
        problem = str(refused)
    else:
        assert encode(merge([read, read]))
    assert "\n" not in problem


def test_keys_follow_the_fields() -> None:
    """Every field travels, but for the flag that only says whether endpoints do."""
    fields = set(Snapshot.__slots__) - {"with_endpoints"}
    assert (
        fields - set(module.HISTOGRAMS) - {"dispatch_lag"}
        | {
            "histograms",
            "timing",
        }
        == module._KEYS
    )
