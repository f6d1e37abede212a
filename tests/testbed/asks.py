"""What the generator asks for: one kind of request of a mix, and its bytes."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

_SPELLING = re.compile(r"^(?P<method>[A-Z]+) (?P<target>\S+)(?: (?P<body>\d+)(?P<chunked>c?))?"
                       r"(?: \*(?P<weight>\d+))?$")  # fmt: skip
_CHUNK = 1000


class Ask(NamedTuple):
    """One kind of request; ``weight`` is its share of the mix.

    ``{n}`` in the target becomes the request's number, so that every request can be told apart.
    ``body`` is in bytes; a chunked body goes in chunks of 1000.
    """

    method: str = "GET"
    target: str = "/"
    body: int = 0
    chunked: bool = False
    weight: int = 1

    def __str__(self) -> str:
        body = f" {self.body}{'c' * self.chunked}" if self.body or self.chunked else ""
        weight = f" *{self.weight}" if self.weight != 1 else ""
        return f"{self.method} {self.target}{body}{weight}"

    @property
    def name(self) -> str:
        """Method and target, the key of the generator's counts."""
        return f"{self.method} {self.target}"


def parse(text: str) -> Ask:
    """Read ``METHOD TARGET [BYTES[c]] [*WEIGHT]``, e.g. ``POST /api/orders 4096c *3``.

    Raises ValueError when it is spelt otherwise.
    """
    found = _SPELLING.match(text)
    if found is None:
        raise ValueError(f"{text!r}: not METHOD TARGET [BYTES[c]] [*WEIGHT]")
    return Ask(
        found["method"],
        found["target"],
        int(found["body"] or 0),
        found["chunked"] == "c",
        int(found["weight"] or 1),
    )


def cycle(asks: list[Ask], seed: int = 1) -> list[int]:
    """Indices of ``asks`` in a fixed shuffled order, each as often as its weight says.

    Whole turns of the cycle have the mix's exact shares.
    """
    order = [number for number, ask in enumerate(asks) for _ in range(ask.weight)]
    random.Random(seed).shuffle(order)
    return order


def wire(ask: Ask, host: str, *, keep_alive: bool) -> tuple[bytes, bytes]:
    """The request's bytes before and after its number; the second part is empty without ``{n}``."""
    before, numbered, after = ask.target.partition("{n}")
    fields = [f"Host: {host}", "User-Agent: testbed"]
    body = random.Random(ask.body).randbytes(ask.body)
    if ask.chunked:
        fields.append("Transfer-Encoding: chunked")
        pieces = [body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    elif body or ask.method in {"POST", "PUT", "PATCH"}:
        fields.append(f"Content-Length: {len(body)}")
    if not keep_alive:
        fields.append("Connection: close")
    rest = "\r\n".join([" HTTP/1.1", *fields, "", ""]).encode() + body
    if not numbered:
        return f"{ask.method} {ask.target}".encode() + rest, b""
    return f"{ask.method} {before}".encode(), after.encode() + rest
