"""Metrics: well named, in base units, balancing like the ledger they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from shadow_agent.telemetry.exporter import render_metrics
from shadow_agent.telemetry.exposition import Exposition
from shadow_agent.telemetry.ledger import LINES, Ledger
from shadow_agent.telemetry.run import Cost, Interruption, Run, State
from shadow_agent.telemetry.snapshot import Snapshot, merge

UNITS = ("seconds", "bytes", "ratio", "total", "info")
GAUGES_WITHOUT_UNIT = {
    "shadow_agent_records_in_ring",
    "shadow_agent_segments_held",
    "shadow_agent_requests_open",
    "shadow_agent_exchanges_open",
    "shadow_agent_replay_queued",
    "shadow_agent_pairs_open",
    "shadow_agent_paused",
    "shadow_agent_attached",
    "shadow_agent_breaker_workers",
    "shadow_agent_sample_factor",
    "shadow_agent_governor_cause",
}


@pytest.fixture
def shown(run: Run, ledger: Ledger, snapshot: Snapshot) -> Exposition:
    """One target with everything set."""
    return Exposition(
        run,
        ledger,
        snapshot,
        State(sample=0.25, paused=True),
        interruptions=(Interruption("eth0", 1.0, 3.0, 2.0), Interruption("eth0", 5.0, 6.0, 1.5)),
        alerts=2,
        untracked=7,
        cost=Cost(1.5, 4096),
    )


def samples(*shown: Exposition) -> Iterator[Sample]:
    """Every sample of the text, read back by Prometheus' own parser."""
    for family in text_string_to_metric_families(render_metrics(*shown).decode()):
        yield from family.samples


def value(found: list[Sample], name: str, **labels: str) -> float:
    """The one sample with this name and these labels."""
    (sample,) = (
        sample
        for sample in found
        if sample.name == f"shadow_agent_{name}" and labels.items() <= sample.labels.items()
    )
    return sample.value


def test_names_and_units(shown: Exposition) -> None:
    """Our prefix, base units, _total on counters only, help on all, the target on each sample."""
    for family in text_string_to_metric_families(render_metrics(shown).decode()):
        assert family.name.startswith("shadow_agent_")
        assert family.documentation
        assert "\n" not in family.documentation
        for sample in family.samples:
            assert sample.labels["target"] == "eth0-8080"
            assert sample.name.endswith("_total") == (family.type == "counter")
            if family.type == "gauge":
                assert family.name.endswith(UNITS) or family.name in GAUGES_WITHOUT_UNIT
            if family.type == "histogram":
                assert family.name.endswith("_seconds")


@pytest.mark.parametrize("line", LINES)
def test_every_line_balances_in_the_metrics(shown: Exposition, line: str) -> None:
    """What came in is the sum over states and reasons, plus what is still held."""
    found = list(samples(shown))
    came = value(found, f"{line}_{LINES[line].LEFT}_total")
    became = sum(s.value for s in found if s.name == f"shadow_agent_{line}_total")
    held = sum(value(found, f"{line}_{gauge}") for gauge in LINES[line].GAUGES)
    assert came == became + held
    assert came == getattr(shown.ledger, line).left


def test_reasons_are_labels_and_zeros_are_there(shown: Exposition) -> None:
    """Each member of a closed set has its series from the first scrape."""
    found = list(samples(shown))
    assert value(found, "replay_total", state="shed", reason="queue_full") == 5
    assert value(found, "replay_total", state="shed", reason="age") == 0
    assert value(found, "replay_total", state="replayed", reason="") == 91
    assert value(found, "requests_lost_total") == 2
    assert value(found, "outcomes_total", outcome="timeout_first_byte") == 3
    assert value(found, "outcomes_total", outcome="reset") == 0
    assert value(found, "bodies_total", result="mismatched") == 3
    assert value(found, "latency_unknown_total", reason="no_syn") == 1


def test_statuses_are_classes(shown: Exposition) -> None:
    """A hostile shadow cannot make a series per status."""
    snapshot = replace(
        shown.snapshot,
        status_pairs={"200→200": 1, "200→500": 2, "200→503": 3, "404→reset": 4, "other": 5},
    )
    found = list(samples(shown._replace(snapshot=snapshot)))
    assert value(found, "statuses_total", production="2xx", shadow="2xx", equal="true") == 1
    assert value(found, "statuses_total", production="2xx", shadow="5xx", equal="false") == 5
    assert value(found, "statuses_total", production="4xx", shadow="reset") == 4
    assert value(found, "statuses_total", production="other", shadow="other") == 5


def test_latency_histograms(shown: Exposition) -> None:
    """Seconds, cumulative, with a sum and a count that agree with the snapshot."""
    found = list(samples(shown))
    first = "first_byte_seconds"
    assert value(found, f"{first}_bucket", side="production", le="0.0005") == 84
    assert value(found, f"{first}_bucket", side="shadow", le="0.0005") == 0
    assert value(found, f"{first}_bucket", side="shadow", le="0.001") == 80
    assert value(found, f"{first}_bucket", side="shadow", le="+Inf") == 80
    assert value(found, f"{first}_count", side="shadow") == 80
    assert value(found, f"{first}_sum", side="shadow") == pytest.approx(80 * 800e-6)
    assert value(found, "last_byte_seconds_count", side="production") == 80
    assert value(found, "dispatch_lag_seconds_count") == 1


def test_state_and_shares(shown: Exposition) -> None:
    """Coverage, reach, sampling, pause, interruptions, alerts and own cost are there."""
    found = list(samples(shown))
    assert value(found, "coverage_ratio") == 0.9
    assert value(found, "reach_ratio") == pytest.approx(90 / 118)
    assert value(found, "sample_ratio") == 0.25
    assert value(found, "paused") == 1
    assert value(found, "network_rtt_seconds") == pytest.approx(130e-6)
    assert value(found, "interrupted_seconds_total", iface="eth0") == 3.5
    assert value(found, "alerts_total") == 2
    assert value(found, "untracked_packets_total") == 7
    assert value(found, "cpu_seconds_total") == 1.5
    assert value(found, "max_resident_memory_bytes") == 4096
    assert value(found, "attached", iface="eth0", mechanism="tcx") == 1
    assert value(found, "build_info", version="0.1.0", production="v1", shadow="v2") == 1


def test_unknown_shares_are_absent(run: Run) -> None:
    """Nothing to divide by gives no sample, rather than a zero that would alert."""
    found = list(samples(Exposition(run, Ledger(), Snapshot())))
    names = {sample.name for sample in found}
    assert "shadow_agent_coverage_ratio" not in names
    assert "shadow_agent_network_rtt_seconds" not in names
    assert value(found, "pairs_total", state="compared") == 0


def test_counters_never_fall(shown: Exposition) -> None:
    """With more counted, no counter or bucket is smaller."""
    more = shown._replace(snapshot=merge([shown.snapshot, shown.snapshot]))
    before = {(s.name, tuple(s.labels.items())): s.value for s in samples(shown)}
    after = {(s.name, tuple(s.labels.items())): s.value for s in samples(more)}
    assert before.keys() <= after.keys()
    falling = [k for k, v in before.items() if after[k] < v and not k[0].endswith("_ratio")]
    assert falling == []


def test_several_targets_share_their_families(shown: Exposition) -> None:
    """Each family is declared once, with a sample for each target."""
    other = shown._replace(run=replace(shown.run, target="two"))
    text = render_metrics(shown, other).decode()
    assert text.count("# TYPE shadow_agent_paused gauge") == 1
    assert 'shadow_agent_paused{target="two"} 1.0' in text
    assert 'shadow_agent_paused{target="eth0-8080"} 1.0' in text


def test_labels_are_escaped(shown: Exposition) -> None:
    """A build id with quotes and line breaks stays within its label."""
    evil = replace(shown.run, builds={"production": 'a"\n\\b'})
    found = list(samples(shown._replace(run=evil)))
    assert value(found, "build_info", production='a"\n\\b') == 1
