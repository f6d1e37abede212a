"""Interfaces that come and go, in a real namespace."""

from __future__ import annotations

import select

from shadow_agent.kernel.watch import LinkWatch
from tests.unit.isolated import ip, isolated, needs_root

pytestmark = needs_root


def test_a_change_is_heard() -> None:
    """Each one, until it has been taken off; silence otherwise."""

    def work() -> list[bool]:
        watch = LinkWatch()
        heard = [ready(watch)]
        ip("link add front type veth peer name client")
        heard.append(ready(watch))
        watch.clear()
        heard.append(ready(watch))
        ip("link del front")
        heard.append(ready(watch))
        watch.clear()
        watch.clear()
        watch.close()
        return heard

    assert isolated(work) == [False, True, False, True]


def ready(watch: LinkWatch) -> bool:
    """Whether a selector would say so."""
    return bool(select.select([watch.fileno()], [], [], 0)[0])
