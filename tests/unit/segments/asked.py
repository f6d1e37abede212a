"""Exchanges to put into segments."""

from __future__ import annotations

from shadow_agent.flow.segment import flow_key
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, parse_request, parse_response


def asked(
    target: str = "/",
    *fields: str,
    body: bytes | None = None,
    client: str = "192.0.2.1",
    status: int | None = None,
) -> Exchange:
    """One exchange, its request ended; answered where there is a status."""
    lines = "".join(f"{field}\r\n" for field in ("Host: a", *fields))
    head = parse_request(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
    assert isinstance(head, RequestHead)
    exchange = Exchange(1, flow_key(client, 4000, "198.51.100.7", 80), "s", head, 0, 0, 0)
    if body is not None:
        exchange.set_request_body(len(body), body, None)
    if status is not None:
        answer = parse_response(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        exchange.response = answer  # type: ignore[assignment]
        exchange.answered = True
    return exchange
