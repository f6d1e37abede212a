"""What the tap's records and the capture file's frames become, held against what was understood."""

from __future__ import annotations

from hashlib import sha256

from shadow_agent.flow.flow import FlowLimits
from shadow_agent.flow.segment import Segment
from shadow_agent.selftest.listening import Rebuilt, rebuild
from shadow_agent.selftest.truth import Understood, Verdict, judge
from tests.differential.paper import Talk

FILE_LIMITS = FlowLimits(acks_prove_loss=False)


def truth_of(talk: Talk) -> dict[str, Understood]:
    """By target: requests as the server had them, and each with the response the client had."""
    finals = [one for one in talk.responses if not 100 <= one.status < 200]
    truth = {}
    for number, request in enumerate(talk.requests):
        known = Understood(request.method)
        known.request(request.body)
        if number < len(finals):
            known.response(finals[number].status, finals[number].body)
        truth[request.target] = known
    return truth


def judge_talk(
    talk: Talk,
    segments: list[Segment],
    limits: FlowLimits = FlowLimits(),  # noqa: B008 - immutable
) -> tuple[Verdict, Rebuilt]:
    """Those segments of it that the case does not hide."""
    seen = [s for s in segments if s.key == talk.key and not talk.hide(s)]
    made = rebuild(seen, limits)
    return judge(truth_of(talk), made.exchanges, made.requests), made


def show(made: Rebuilt) -> str:
    """For a failed assertion: every exchange and the counts that are not zero."""
    lines = [
        f"{e.method} {e.target!r} {e.request_body_len} "
        f"{sha256(e.raw_head).hexdigest()[:8]} -> {e.status} {e.response_body_len} "
        f"{e.unanswered} {e.notes}"
        for e in made.exchanges[-10:]
    ]
    counts = made.segments.as_dict() | made.requests.as_dict() | made.answers.as_dict()
    return "\n".join([*lines, str({k: v for k, v in counts.items() if v})])
