"""What load the comparison has seen: known also of the time in which it looked away."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.telemetry.load import LoadRange, Totals, describe_load


class Run:
    """Windows of one second of a service that takes four packets a request."""

    def __init__(self) -> None:
        """Nothing happened."""
        self.range = LoadRange()
        self.totals = Totals(0, 0, 0, 0)

    def second(self, requests: int, share: float = 1.0) -> None:
        """So many requests, of which this share is mirrored and compared."""
        mirrored = round(requests * share)
        t = self.totals
        self.totals = Totals(
            t.packets + 4 * requests,
            t.copied + 4 * mirrored,
            t.requests + mirrored,
            t.compared + mirrored,
        )
        self.range.window(1.0, self.totals)

    @property
    def text(self) -> str:
        """As the summary says it."""
        return "; ".join(describe_load(self.range.as_dict()))


def test_all_of_it_was_seen() -> None:
    """The ranges agree, and nothing is said of blindness."""
    run = Run()
    for requests in (120, 400, 800):
        run.second(requests)
    load = run.range.as_dict()
    assert load["unit"] == "requests/s"
    assert load["packets_per_request"] == 4.0
    assert load["production"] == load["compared"] == {"least": 120.0, "most": 800.0}
    assert load["blind_above"] is None
    assert run.text == "the comparison saw 120–800 req/s; production had up to 800"


def test_a_governor_that_looked_away_at_the_peak_shows() -> None:
    """Nothing was compared above a load that production had."""
    run = Run()
    for requests in (120, 800):
        run.second(requests)
    for requests in (2000, 3100):
        run.second(requests, share=0.0)
    load = run.range.as_dict()
    assert load["compared"] == {"least": 120.0, "most": 800.0}
    assert load["blind_above"] == 800.0
    assert [row["share"] for row in load["buckets"]] == [1.0, 1.0, 0.0, 0.0]
    assert run.text == (
        "the comparison saw 120–800 req/s; production had up to 3,100; "
        "above 800 nothing was compared"
    )


def test_late_comparisons_hide_no_blindness() -> None:
    """What is compared in a window without a copied packet belongs to the one before."""
    run = Run()
    run.second(100)
    t = run.totals
    run.totals = t._replace(packets=t.packets + 40_000, compared=t.compared + 30)
    run.range.window(1.0, run.totals)
    assert run.range.as_dict()["blind_above"] == 100.0


def test_a_peak_that_was_seen_in_part() -> None:
    """A smaller sample at the peak is said with its share."""
    run = Run()
    run.second(100)
    run.second(1000, share=0.25)
    assert run.text.endswith("production had up to 1,000; at that peak 25% was mirrored")


def test_nothing_was_compared() -> None:
    """Without a request in sight load is in packets."""
    run = Run()
    run.second(1000, share=0.0)
    load = run.range.as_dict()
    assert (load["unit"], load["compared"], load["blind_above"]) == ("packets/s", None, 0.0)
    assert run.text == "production had up to 4,000 packets/s; nothing was compared"


def test_nothing_happened() -> None:
    """An idle run has no range."""
    run = Run()
    run.second(0)
    load = run.range.as_dict()
    assert (load["production"], load["compared"], load["blind_above"]) == (None, None, None)
    assert load["idle_s"] == 1.0
    assert run.text == ""


@given(
    st.lists(
        st.tuples(
            st.floats(1e-3, 100),
            st.integers(0, 10**12), st.integers(0, 10**12),
            st.integers(0, 10**9), st.integers(0, 10**9),
        ),
        max_size=300,
    )
)  # fmt: skip
def test_it_stays_bounded(windows: list[tuple[float, int, int, int, int]]) -> None:
    """Whatever is counted: few buckets, shares of at most 1, and numbers that JSON has."""
    found = LoadRange()
    for seconds, *counts in windows:
        found.window(seconds, Totals(*counts))
    load = found.as_dict()
    assert len(load["buckets"]) <= 81
    assert all(0 <= row["share"] <= 1 for row in load["buckets"])
    assert orjson.loads(orjson.dumps(load)) == load
    list(describe_load(load))
