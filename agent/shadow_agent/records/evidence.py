"""One pair that differs, as it is stored: after redaction, in JSON."""

from __future__ import annotations

from typing import Any

import orjson

from shadow_agent.compare.comparison import Comparison
from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.redact import Message, Redactor
from shadow_agent.replay.reply import Reply
from shadow_agent.telemetry.reasons import Outcome


def differs(seen: Comparison) -> bool:
    """Whether a pair is worth keeping: a bad outcome, another status, another body."""
    return (
        seen.outcome is not Outcome.ANSWERED
        or seen.shadow_status != seen.production_status
        or seen.bodies_equal is False
    )


def evidence(
    redactor: Redactor, exchange: Exchange, reply: Reply, seen: Comparison, at: str
) -> bytes:
    """A record's text. The client is a token, its address is not in it."""
    found: dict[str, Any] = {
        "at": at,
        "id": exchange.id,
        "client": redactor.token("client", exchange.client[0]).decode(),
        "outcome": seen.outcome.value,
        "bodies_equal": seen.bodies_equal,
        "request": _message(redactor.request(exchange.request, exchange.request_body)),
        "production": None,
        "shadow": None,
    }
    if exchange.response is not None:
        found["production"] = _message(redactor.response(exchange.response, exchange.response_body))
        found["production"]["body_len"] = exchange.response_body_len
    if reply.head is not None:
        whole = reply.outcome is Outcome.ANSWERED
        found["shadow"] = _message(redactor.response(reply.head, reply.body, whole=whole))
        found["shadow"]["body_len"] = reply.body_len
    return orjson.dumps(found)


def _message(message: Message) -> dict[str, Any]:
    return {
        "start": message.start.decode("utf-8", "backslashreplace"),
        "headers": [
            [name.decode("latin-1"), value.decode("utf-8", "backslashreplace")]
            for name, value in message.headers
        ],
        "body": message.body.decode("utf-8", "backslashreplace"),
        "withheld": None if message.withheld is None else message.withheld.value,
        "unpacked": message.unpacked,
    }
