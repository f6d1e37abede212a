"""Random conversations between two real stacks, over a wire that a seeded plan perturbs.

What client and server logged, the tap's records and tcpdump's file must tell the same story; with
some of the records withheld, the same story or a named loss.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from shadow_agent.flow.flow import FlowLimits
from shadow_agent.selftest import traffic
from shadow_agent.selftest.listening import rebuild
from shadow_agent.selftest.relay import Plan
from shadow_agent.selftest.run import withhold
from shadow_agent.selftest.traffic import PORT, Bed, Outcome
from shadow_agent.selftest.truth import Verdict, judge
from tests.differential.compare import FILE_LIMITS
from tests.differential.conftest import Dump

QUIET = Plan(0, 0, 0, 0, 0)
PLANS = {
    "quiet": QUIET,
    "lost": QUIET._replace(lost=0.05),
    "reordered": QUIET._replace(delayed=0.3, delay_s=0.005),
    "doubled": QUIET._replace(doubled=0.3),
    "cut": QUIET._replace(cut=0.5),
    "overlapped": QUIET._replace(overlapped=0.5),
    "everything": Plan(0.04, 0.15, 0.1, 0.15, 0.15),
}
WITHHELD = (0.003, 0.01, 0.03, 0.1)
LIVE_LIMITS = FlowLimits()


def _show(verdict: Verdict) -> str:
    return f"{verdict.exact} of {verdict.understood}, {dict(verdict.named)}: {verdict.wrong[:10]}"


@pytest.mark.parametrize("name", PLANS)
def test_relayed(name: str, conversations: int, tmp_path: Path) -> None:
    """Exact whatever the wire does: both kernels mend it, and so do we."""
    seed = sum(name.encode())
    with Bed() as bed:
        dump = Dump(bed.server, tmp_path, frozenset({PORT}))
        talks = list(traffic.conversations(max(20, conversations // 2), seed))
        outcome: Outcome = asyncio.run(bed.run(talks, PLANS[name], seed))
        live, file = bed.listener.segments, dump.segments()
        dump.stop()
    assert outcome.failed == []
    sources = (("live", live, LIVE_LIMITS), ("file", file, FILE_LIMITS))
    for source, segments, limits in sources:
        made = rebuild(segments, limits)
        verdict = judge(outcome.truth, made.exchanges, made.requests)
        assert verdict.wrong == [], f"{source}: {_show(verdict)}"
        assert verdict.exact == verdict.understood, f"{source}: {_show(verdict)}"
    judged = 2 * len(outcome.truth)
    for source, segments, limits in sources:
        for share in WITHHELD:
            kept = withhold(segments, share, Random(f"{seed}{share}").randrange(1 << 30))
            made = rebuild(kept, limits)
            verdict = judge(outcome.truth, made.exchanges, made.requests)
            assert verdict.wrong == [], f"{source} without {share:.1%}: {_show(verdict)}"
            judged += verdict.understood
    print(
        f"relay {name}: {len(talks)} conversations, {outcome.relayed['packets']} packets, "
        f"{judged} exchanges judged"
    )
