"""The table of endpoints stays bounded and adds up, whatever clients ask for."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shadow_agent.telemetry.endpoints import (
    DEFAULT_LIMIT,
    LONGEST,
    OTHER_METHOD,
    OTHER_PATH,
    Endpoint,
    EndpointTable,
)


def add(table: EndpointTable, target: bytes, method: str = "GET", **changes: Any) -> None:
    """Count one pair that agrees unless changed."""
    pair: dict[str, Any] = {
        "status_differs": False,
        "body_differs": False,
        "production_us": 100.0,
        "shadow_us": 200.0,
    }
    table.add(method, target, **(pair | changes))


def rows(table: EndpointTable) -> dict[tuple[str, str], int]:
    """Pairs by name."""
    return {(row.method, row.path): row.pairs for row in table}


def test_queries_share_a_row_and_methods_do_not() -> None:
    """The path ends at the question mark."""
    table = EndpointTable()
    for target in (b"/a", b"/a?x=1", b"/a?", b"/a?x?y"):
        add(table, target)
    add(table, b"/a", "HEAD")
    assert rows(table) == {("GET", "/a"): 4, ("HEAD", "/a"): 1}


def test_what_differs_is_counted_by_kind() -> None:
    """Status, body and both sides' latency are counted apart; unknown latency is not."""
    table = EndpointTable()
    add(table, b"/", status_differs=True)
    add(table, b"/", body_differs=True, shadow_us=None)
    (row,) = table
    assert (row.pairs, row.status_mismatches, row.body_mismatches) == (2, 1, 1)
    assert (row.production.count, row.shadow.count) == (2, 1)


def test_beyond_the_limit_is_other() -> None:
    """New names go to one row, known ones keep theirs, and nothing is lost."""
    table = EndpointTable(limit=2)
    for n in range(100):
        add(table, b"/%d" % n, method=f"M{n}")
    add(table, b"/0", method="M0")
    assert rows(table) == {("M0", "/0"): 2, ("M1", "/1"): 1, (OTHER_METHOD, OTHER_PATH): 98}


def test_hostile_names_are_kept_as_sent_and_cut() -> None:
    """Bytes become latin-1; long paths share a row; an endless method is other."""
    table = EndpointTable()
    add(table, b"/\xff\x1b[0m\x00")
    add(table, b"/" + b"x" * 1000)
    add(table, b"/" + b"x" * 2000)
    add(table, b"/", method="M" * 1000)
    assert rows(table) == {
        ("GET", "/\xff\x1b[0m\x00"): 1,
        ("GET", "/" + "x" * (LONGEST - 1)): 2,
        (OTHER_METHOD, OTHER_PATH): 1,
    }


def test_merging_adds_rows_within_the_limit() -> None:
    """Rows of the same name add up; those beyond this table's limit are other."""
    one, two = EndpointTable(limit=2), EndpointTable()
    add(one, b"/a")
    for target in (b"/a", b"/b", b"/c", b"/d"):
        add(two, target, status_differs=True)
    one.merge(two)
    assert rows(one) == {("GET", "/a"): 2, ("GET", "/b"): 1, (OTHER_METHOD, OTHER_PATH): 2}
    add(one, b"/b")
    assert rows(two)["GET", "/b"] == 1
    assert sum(row.status_mismatches for row in one) == 4


def test_merging_full_tables_keeps_other_small() -> None:
    """The row for the rest is one beyond the limit and takes none of its room."""
    one, two = EndpointTable(limit=1), EndpointTable(limit=1)
    for table, first in ((one, b"/a"), (two, b"/b")):
        add(table, first)
        add(table, b"/more")
    one.merge(two)
    assert rows(one) == {("GET", "/a"): 1, (OTHER_METHOD, OTHER_PATH): 3}
    empty = EndpointTable(limit=1)
    empty.merge(one)
    assert rows(empty) == rows(one)
    assert len(empty) == 2


def test_the_wire_form_comes_back() -> None:
    """A full table survives JSON, bytes beyond ASCII included."""
    table = EndpointTable()
    for n in range(DEFAULT_LIMIT + 10):
        add(table, b"/\xe9\x80%d" % n)
    again = EndpointTable.from_list(orjson.loads(orjson.dumps(table.as_list())))
    assert rows(again) == rows(table)
    assert len(again) == DEFAULT_LIMIT + 1
    add(again, b"/\xe9\x800")
    assert rows(again)["GET", "/é\x800"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"method": 1},
        {"path": "x" * (LONGEST + 1)},
        {"path": "/→"},
        {"pairs": -1},
        {"status_mismatches": True},
        {"body_mismatches": None},
        {"production": {}},
        {"shadow": None},
        {"more": 1},
    ],
)
def test_a_forged_row_is_refused(change: dict[str, Any]) -> None:
    """Each field out of form names the row."""
    row = Endpoint("GET", "/").as_dict() | change
    with pytest.raises(ValueError, match=r"^endpoints\[0\][^\n]*$"):
        EndpointTable.from_list([row])


def test_a_forged_table_is_refused() -> None:
    """No list, too many rows, one name twice."""
    row = Endpoint("GET", "/").as_dict()
    forgeries: tuple[object, ...] = ({}, [row] * 3, [row, row])
    for forged in forgeries:
        with pytest.raises(ValueError, match=r"^endpoints[^\n]*$"):
            EndpointTable.from_list(forged, limit=1)
