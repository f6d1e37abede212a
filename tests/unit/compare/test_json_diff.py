"""JSON compared by structure and type."""

from __future__ import annotations

from shadow_agent.compare.difference import Collector, Difference, Kind, Result
from shadow_agent.compare.json_diff import compare_json, concrete, template
from shadow_agent.compare.selectors import Action, Tolerance
from shadow_agent.policy.jsonpath import Path


def diff(production: bytes, shadow: bytes, *rules: Tolerance) -> Result:
    """Of two texts."""
    into = Collector()
    compare_json(into, production, shadow, rules)
    return into.result()


def only(production: bytes, shadow: bytes, *rules: Tolerance) -> Difference:
    """The one difference."""
    (found,) = diff(production, shadow, *rules).differences
    return found


def test_every_type_is_told_apart() -> None:
    """1, 1.0, "1", true, null, [] and {} are seven things."""
    values = [b"1", b"1.0", b'"1"', b"true", b"null", b"[]", b"{}"]
    for one in values:
        for other in values:
            found = diff(b'{"a":%b}' % one, b'{"a":%b}' % other)
            kinds = [each.kind for each in found.differences]
            assert kinds == ([] if one is other else [Kind.TYPE])


def test_a_difference_has_a_template_a_place_and_both_values() -> None:
    """Indexes are generalised in the name, not in the example."""
    found = only(b'{"items":[{"p":1},{"p":2}]}', b'{"items":[{"p":1},{"p":3}]}')
    assert found.name == "body $.items[*].p value"
    assert (found.at, found.production, found.shadow) == ("$.items[1].p", "2", "3")


def test_members_that_one_side_lacks() -> None:
    """Missing is not null, and is seen from both sides."""
    assert only(b'{"a":null}', b"{}").kind is Kind.MISSING
    assert only(b"{}", b'{"a":null}').kind is Kind.ADDED


def test_arrays_of_other_lengths_are_compared_as_far_as_they_go() -> None:
    """The length is a difference by itself."""
    found = diff(b"[1,2,3]", b"[1,9]").differences
    assert {(one.kind, one.at) for one in found} == {(Kind.LENGTH, "$"), (Kind.VALUE, "$[1]")}


def test_large_numbers_that_differ_in_the_last_digit() -> None:
    """No double in between."""
    assert only(b"[12345678901234567891]", b"[12345678901234567892]").kind is Kind.VALUE
    assert diff(b"[1.10000000000000000000]", b"[1.1]").equal


def test_an_array_as_a_set() -> None:
    """Order and repetition are a suppressed difference; other items count."""
    rule = Tolerance(Action.SET, json=Path("$.t"))
    found = only(b'{"t":[1,2,2,3]}', b'{"t":[3,1,2]}', rule)
    assert (found.kind, found.suppressed) == (Kind.ORDER, "set $.t")
    result = diff(b'{"t":[1,2]}', b'{"t":[2,4]}', rule)
    assert {one.kind for one in result.differences if not one.suppressed} == {
        Kind.MISSING,
        Kind.ADDED,
    }


def test_an_array_sorted_by_a_member() -> None:
    """Items are compared with those of the same key, in whatever order they came."""
    rule = Tolerance(Action.SORT, key="id", json=Path("$"))
    one, other = b'[{"id":1,"v":5},{"id":2,"v":6}]', b'[{"id":2,"v":7},{"id":1,"v":5}]'
    counted = [each for each in diff(one, other, rule).differences if not each.suppressed]
    assert [each.name for each in counted] == ["body $[*].v value"]


def test_volatile_values_are_marked_with_their_shape() -> None:
    """Both values stay as the evidence; the same time hours later counts."""
    found = only(b'{"at":"2026-01-02T10:00:00Z"}', b'{"at":"2026-01-02T10:00:03Z"}')
    assert found.suppressed == "volatile time"
    assert found.shadow == '"2026-01-02T10:00:03Z"'
    assert not only(b'{"at":"2026-01-02T10:00:00Z"}', b'{"at":"2026-01-02T15:00:00Z"}').suppressed


def test_a_selector_not_followed_to_its_end_is_said() -> None:
    """A filter in a document deeper than selectors go."""
    deep = b'{"x":%b}' % (b"[" * 80 + b"%d" + b"]" * 80)
    rule = Tolerance(Action.IGNORE, json=Path("$..[?@.a == 1]"))
    result = diff(deep % 1, deep % 2, rule)
    assert not result.equal
    assert "selector" in result.notes[0]


def test_thousands_of_differences_end() -> None:
    """Of 100,000 items that differ, as many are looked at as the limit says."""
    result = diff(b"[" + b"1," * 100_000 + b"1]", b"[" + b"2," * 100_000 + b"1]")
    assert result.differences[0].places == 10_000
    assert not result.equal


def test_paths_are_written_as_rfc_9535_reads_them() -> None:
    """Names that are data become ``*`` in a template; quotes are escaped."""
    location = ("a", 3, "it's", "3f2504e0-4f89-11d3-9a0c-0305e82c3301")
    assert template(location) == "$.a[*]['it\\'s'].*"
    assert concrete(location).endswith("['3f2504e0-4f89-11d3-9a0c-0305e82c3301']")
    Path(concrete(location))
