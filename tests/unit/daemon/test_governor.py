"""The governor at work: readings on paper, a fake clock, the real dial and books."""

from __future__ import annotations

import pytest

from shadow_agent.config import GovernorConfig
from shadow_agent.daemon.books import Books
from shadow_agent.daemon.dial import Dial
from shadow_agent.daemon.governor import GovernorWatch, describe, governor_limits
from shadow_agent.daemon.vitals import Host, Vitals
from shadow_agent.kernel.layout import Counter
from shadow_agent.policy.governor import Cause, Change
from shadow_agent.telemetry.ledger import Ledger, Pairs, Requests
from shadow_agent.telemetry.snapshot import Snapshot, encode


class _Host(Host):
    def __init__(self) -> None:
        """Idle, with half of its memory free."""
        super().__init__()
        self.vitals = Vitals(0.1, 0.5, 0.0, 0.0)

    def look(self, now: float) -> Vitals:
        """As the test says."""
        del now
        return self.vitals


class Stage:
    """A host, a kernel and one worker's reports; time goes by in ticks."""

    def __init__(self, config: GovernorConfig | None = None, sample: float = 1.0) -> None:
        """Nothing happened yet."""
        self.samples: list[float] = []
        self.host = _Host()
        self.kernel = dict.fromkeys(Counter, 0)
        self.books = Books(1)
        self.reported = Snapshot()
        self.dial = Dial(self, sample)
        self.now = 0.0
        self.watch = GovernorWatch(
            config or GovernorConfig(), 64.0, self.dial, self.books, lambda: dict(self.kernel),
            list, self.host,
        )  # fmt: skip
        self.seconds(1)

    def set_sample(self, fraction: float) -> None:
        """As the control page's."""
        self.samples.append(fraction)

    def set_paused(self, paused: bool) -> None:
        """As the control page's."""
        raise AssertionError(paused)

    def seconds(self, n: int) -> None:
        """Four ticks each."""
        for _ in range(4 * n):
            self.watch.tick(self.now)
            self.now += 0.25

    def answers(self, n: int, us: float) -> None:
        """Production's, all compared."""
        for _ in range(n):
            self.reported.production_first.add(us)
        compared = self.reported.ledger.pairs.compared + n
        self.reported.ledger = Ledger(
            requests=Requests(started=compared, complete=compared, heads=compared),
            pairs=Pairs(replayed=compared, compared=compared),
        )
        self.books.report(0, encode(self.reported))


@pytest.fixture
def stage() -> Stage:
    """With the defaults."""
    return Stage()


def test_an_idle_host_changes_nothing(stage: Stage) -> None:
    """The configured sample stays; nothing is written into the kernel."""
    stage.seconds(30)
    assert stage.samples == []
    facts = stage.watch.facts()
    assert (facts["factor"], facts["cause"], facts["changes"]) == (1.0, "none", [])


def test_a_busy_host_lowers_and_recovers(stage: Stage) -> None:
    """Ten busy seconds halve it, then every further one; calm raises it, told from end to end."""
    told: list[Change] = []
    stage.watch.on_change.append(told.append)
    stage.host.vitals = Vitals(1.0, 0.5, 0.0, 0.0)
    stage.seconds(9)
    assert stage.samples == []
    stage.seconds(1)
    assert stage.samples == [0.5]
    stage.seconds(10)
    assert stage.samples[-1] == 0.0
    stage.host.vitals = Vitals(0.1, 0.5, 0.0, 0.0)
    stage.seconds(60)
    assert stage.samples[-1] == 1.0
    facts = stage.watch.facts()
    assert (facts["factor"], facts["cause"], facts["min_factor"]) == (1.0, "none", 0.0)
    assert facts["lowered_s"] > 30
    assert [change["cause"] for change in facts["changes"]] == ["host_cpu"] * 7 + ["recovering"]
    assert [change.after for change in told] == stage.samples


def test_the_factor_is_on_what_the_operator_configured() -> None:
    """Half of a tenth is a twentieth; a new ceiling keeps the factor."""
    stage = Stage(sample=0.1)
    stage.host.vitals = Vitals(None, 0.03, None, None)
    stage.seconds(1)
    assert stage.samples == [pytest.approx(0.05)]
    assert stage.watch.facts()["ceiling"] == 0.1


def test_a_full_ring_lowers_at_once_where_it_is_asked_for() -> None:
    """One second in which a tenth of the records found no room."""
    stage = Stage(GovernorConfig(ring_full=0.02))
    stage.kernel[Counter.COPIED] += 900
    stage.kernel[Counter.RING_FULL] += 100
    stage.seconds(1)
    assert stage.watch.cause is Cause.RING_FULL
    assert stage.samples == [pytest.approx(0.2)]


def test_few_records_prove_nothing() -> None:
    """One of two lost is no rate."""
    stage = Stage(GovernorConfig(ring_full=0.02))
    stage.kernel[Counter.COPIED] += 1
    stage.kernel[Counter.RING_FULL] += 1
    stage.seconds(5)
    assert stage.samples == []


def test_production_that_became_slow(stage: Stage) -> None:
    """Its p95 against its own past, of a hundred answers at least."""
    for _ in range(12):
        stage.answers(100, 20_000)
        stage.seconds(1)
    assert stage.watch.facts()["production_p95_usual_us"] == pytest.approx(20_000, rel=0.02)
    stage.answers(99, 500_000)
    stage.seconds(1)
    assert stage.samples == []
    stage.answers(1, 500_000)
    stage.seconds(1)
    assert stage.watch.cause is Cause.PRODUCTION_P95
    after = list(stage.samples)
    # what was asked before is not held against it twice
    stage.answers(150, 500_000)
    stage.seconds(1)
    assert stage.samples == after


def test_switched_off_it_only_watches() -> None:
    """The range of load is reported all the same."""
    stage = Stage(GovernorConfig(enabled=False))
    stage.host.vitals = Vitals(1.0, 0.0, 1.0, 1.0)
    stage.kernel[Counter.COPIED] += 40
    stage.answers(10, 100)
    stage.seconds(5)
    assert stage.samples == []
    load = stage.watch.load()
    assert (load["unit"], load["packets_per_request"]) == ("requests/s", 4.0)
    assert load["compared"] is not None


def test_the_load_it_looked_away_from_shows(stage: Stage) -> None:
    """The kernel counts what it samples out; so the peak is in the report without a copy of it."""
    stage.kernel[Counter.COPIED] += 400
    stage.answers(100, 100)
    stage.seconds(1)
    stage.host.vitals = Vitals(None, 0.0, None, None)
    stage.seconds(1)
    assert stage.samples == [0.0]
    stage.kernel[Counter.SAMPLED_OUT] += 8000
    stage.seconds(1)
    load = stage.watch.load()
    assert load["production"]["most"] == pytest.approx(2000)
    assert load["blind_above"] == pytest.approx(100)
    assert stage.watch.facts()["sampled_out_estimate"] == 8000


def test_stopped_it_turns_nothing(stage: Stage) -> None:
    """While a run drains, what is under way is let be."""
    stage.watch.stop()
    stage.host.vitals = Vitals(1.0, 0.0, 1.0, 1.0)
    stage.seconds(10)
    assert stage.samples == []


def test_ends_of_scales_are_off() -> None:
    """What can never be exceeded is never looked at."""
    limits = governor_limits(
        GovernorConfig(
            host_cpu=1.0, host_memory=0.0, memory_pressure=1.0, ring_full=1.0, p95_times=0.0
        ),
        2.0,
    )
    off = (limits.host_cpu, limits.host_memory, limits.memory_pressure, limits.ring_full)
    assert off == (None,) * 4
    assert (limits.cpu_pressure, limits.p95_times, limits.p95_us) == (None,) * 3
    assert limits.agent_cpu == pytest.approx(1.8)
    assert governor_limits(GovernorConfig(p95_ms=250), 1.0).p95_us == 250_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Change(1, 0.5, Cause.HOST_CPU, 0.987, 0.95), "host_cpu at 99%, limit 95%: 0.5 of"),
        (Change(1, 0.5, Cause.PRODUCTION_P95, 2e5, 5e4), "at 200.0 ms, limit 50.0 ms: 0.5 of"),
        (Change(1, 0.0, Cause.AGENT_CPU, 0.7, 0.45), "at 0.70 processors, limit 0.45: 0 of"),
        (Change(0, 0.05, Cause.RECOVERING, None, None), "all is well again: 5% of"),
    ],
)
def test_changes_in_words(change: Change, said: str) -> None:
    """Cause, value and limit in their own units."""
    assert said in describe(change)


def test_other_limits_under_way() -> None:
    """What it lowered rises when nobody looks any more, and that is on record like any change."""
    stage = Stage()
    stage.host.vitals = Vitals(1.0, 0.5, 0.0, 0.0)
    stage.seconds(11)
    assert stage.samples[-1] < 1
    told: list[Change] = []
    stage.watch.on_change.append(told.append)
    stage.watch.change(GovernorConfig(enabled=False))
    assert stage.samples[-1] == 1.0
    assert [change.after for change in told] == [1.0]
    assert stage.watch.facts()["enabled"] is False
    stage.seconds(20)
    assert stage.samples[-1] == 1.0
    stage.watch.change(GovernorConfig(host_cpu=0.5))
    stage.seconds(12)
    assert stage.samples[-1] < 1
