"""What a selftest prints."""

from __future__ import annotations

import json
from collections import Counter

from shadow_agent.selftest.report import ProgramCost, Report
from shadow_agent.selftest.truth import Verdict


def _report(*wrong: str, failed: tuple[str, ...] = ()) -> Report:
    return Report(
        *("0", "6.18", 7, "libbpf", "tcx", 1.23456, 9, {"packets": 5000, "lost": 30}),
        whole=Verdict(100, 100 - len(wrong), Counter(), list(wrong)),
        withheld=Verdict(100, 90, Counter({"request.gap": 10}), []),
        withheld_share=0.02,
        packets={"seen": 5000},
        cost=[ProgramCost("tap_ingress", 2000, 123.4)],
        failed=list(failed),
    )


def test_text() -> None:
    """Fidelity, named losses, how it is attached, cost."""
    text = "\n".join(_report().lines())
    for part in ("by tcx", "libbpf", "100 rebuilt exactly (100.00%)", "2% of the records withheld",
                 "90 rebuilt exactly (90.00%)", "10 request.gap", "123 ns per packet", "seed 7",
                 "30 lost", "wrong      0"):  # fmt: skip
        assert part in text


def test_what_is_wrong_is_shown_in_part_and_in_one_line_each() -> None:
    """Names come from the wire."""
    lines = list(_report(*(f"/a{n}\n\x1b[1m" for n in range(30))).lines())
    assert "wrong      30" in lines
    assert sum("/a" in line for line in lines) == 10
    assert all(line.isprintable() for line in lines)


def test_json() -> None:
    """One object, the same numbers."""
    report = json.loads(json.dumps(_report("/a: bad", failed=("/b: EOFError",)).as_dict()))
    assert report["fidelity"] == {"understood": 100, "exact": 99, "named": {}, "wrong": 1}
    assert report["withheld"]["share"] == 0.02
    assert report["withheld"]["named"] == {"request.gap": 10}
    assert report["cost"] == [{"program": "tap_ingress", "packets": 2000, "ns_per_packet": 123.4}]
    assert report["wrong"] == ["/b: EOFError", "/a: bad"]


def test_a_conversation_that_broke_off_is_wrong() -> None:
    """Or a wire that carries nothing would be faithful."""
    assert _report(failed=("/b: TimeoutError",)).wrong
