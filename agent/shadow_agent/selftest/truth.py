"""What client and server understood, and whether what was rebuilt from packets says the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shadow_agent.http.counts import RequestCounts
    from shadow_agent.http.exchange import Exchange


@dataclass(slots=True)
class Understood:
    """One exchange as its two ends read it; None is what an end never got to know."""

    method: str
    # of the request's decoded body, by the server
    request_len: int | None = None
    request_sha256: bytes | None = None
    # of the final response, by the client
    status: int | None = None
    response_len: int | None = None
    response_sha256: bytes | None = None

    def request(self, body: bytes) -> None:
        """The server has the request whole."""
        self.request_len, self.request_sha256 = len(body), sha256(body).digest()

    def response(self, status: int, body: bytes) -> None:
        """The client has the response whole."""
        self.status = status
        self.response_len, self.response_sha256 = len(body), sha256(body).digest()


@dataclass(slots=True)
class Verdict:
    """How much of the truth was rebuilt. ``exact`` + ``named`` of them + absent = ``understood``.

    ``named``: by reason, what is unknown of exchanges that were rebuilt in part or not at all.
    """

    understood: int = 0
    exact: int = 0
    named: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def judge(
    truth: dict[str, Understood], exchanges: Iterable[Exchange], requests: RequestCounts
) -> Verdict:
    """Every exchange against the truth of its target, which no two exchanges share.

    Wrong is: a value that differs, an exchange nobody had, a target rebuilt twice, a value that is
    missing without a reason, an exchange that is missing while no loss was counted.
    """
    verdict = Verdict(understood=len(truth))
    absent = dict(truth)
    for exchange in exchanges:
        target = exchange.target.decode("latin-1")
        known = absent.pop(target, None)
        if known is None:
            again = "twice" if target in truth else "that nobody had"
            verdict.wrong.append(f"{exchange.method} {target}: an exchange {again}")
            continue
        reasons = [*request_unknown(exchange), *response_unknown(exchange)]
        differences = differing(known, exchange)
        verdict.wrong += [f"{exchange.method} {target}: {one}" for one in differences]
        verdict.named.update(reasons)
        verdict.exact += not reasons and not differences
    if absent:
        # Requests that were lost whole lie in gaps that no started request explains; what is lost
        # of a head is counted by how its request ended.
        if requests.unexplained_gaps or requests.started > requests.heads:
            verdict.named["request.lost"] += len(absent)
        else:
            verdict.wrong += [f"{target}: missing, and no loss counted" for target in absent]
    return verdict


def request_unknown(exchange: Exchange) -> list[str]:
    """The reason that an exchange gives for not knowing its request's body, if it does not."""
    outcome = exchange.request_outcome
    if exchange.request_body_len is not None or outcome is None:
        return []
    return [f"request.{outcome.value}"]


def response_unknown(exchange: Exchange) -> list[str]:
    """The reasons that an exchange gives for not knowing its response, or the body of it."""
    if exchange.unanswered is not None:
        return [f"unanswered.{exchange.unanswered.value}"]
    if exchange.response_body_len is not None:
        return []
    return [note for note in exchange.notes or () if note.startswith("response")]


def differing(known: Understood, exchange: Exchange) -> list[str]:
    """What is not as it was understood, or is unknown although nothing says why."""
    found = []
    request, response = request_unknown(exchange), response_unknown(exchange)
    for name, true, said, why in (
        ("method", known.method, exchange.method, ()),
        ("request body length", known.request_len, exchange.request_body_len, request),
        ("request body", known.request_sha256, exchange.request_body_sha256, request),
        ("status", known.status, exchange.status, response),
        ("response body length", known.response_len, exchange.response_body_len, response),
        ("response body", known.response_sha256, exchange.response_body_sha256, response),
    ):
        if said is None:
            if true is not None and not why:
                found.append(f"{name} unknown, and nothing says why")
        elif true is not None and said != true:
            found.append(f"{name} {_show(said)}, was {_show(true)}")
    return found


def _show(value: str | int | bytes) -> str:
    return value.hex()[:12] if isinstance(value, bytes) else str(value)
