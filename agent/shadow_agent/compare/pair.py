"""Two answers compared: status, declared headers, body. Never an exception, whatever they say."""

from __future__ import annotations

from datetime import date
from typing import Final

from shadow_agent.compare.body import Answer, compare_bodies
from shadow_agent.compare.difference import Collector, Kind, Part, Result
from shadow_agent.compare.headers import HeaderComparer
from shadow_agent.compare.options import Options

EQUAL: Final = Result((), 0, ())


class AnswerComparer:
    """Compares one pair after the other, by options that expire."""

    __slots__ = ("_all", "_day", "_headers", "_options")

    def __init__(self, options: Options) -> None:
        self._all = options
        self._day: date | None = None
        self._options = options
        self._headers = HeaderComparer(options)

    def on(self, day: date) -> None:
        """What expired before this day no longer suppresses."""
        if day != self._day:
            self._day = day
            self._options = self._all.on(day)
            self._headers = HeaderComparer(self._options)

    def compare(self, production: Answer, shadow: Answer) -> Result:
        """What differs."""
        same_body = _same_body(production, shadow)
        heads_differ = self._headers.differ(production.headers, shadow.headers)
        if same_body and not heads_differ and production.status == shadow.status:
            return EQUAL
        into = Collector()
        if production.status != shadow.status:
            statuses = (str(production.status), str(shadow.status))
            into.add(Part.STATUS, "", Kind.VALUE, statuses, at="status")
        if heads_differ:
            self._headers.compare(into, production.headers, shadow.headers)
        if not same_body:
            compare_bodies(into, production, shadow, self._options)
        return into.result()


def _same_body(production: Answer, shadow: Answer) -> bool:
    """Also what is packed alike: the same bytes mean the same under one coding."""
    if production.body is not None and shadow.body is not None:
        return production.body == shadow.body
    return (
        production.digest is not None
        and production.length == shadow.length
        and production.digest == shadow.digest
    )
