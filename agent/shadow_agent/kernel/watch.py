"""Hears of interfaces that come and go."""

from __future__ import annotations

import select

from pyroute2 import IPRoute

_RTMGRP_LINK = 1


class LinkWatch:
    """A netlink socket subscribed to link changes; ``fileno`` is for a selector."""

    def __init__(self) -> None:
        """Subscribed from here on."""
        self._netlink = IPRoute()
        self._netlink.bind(groups=_RTMGRP_LINK)

    def fileno(self) -> int:
        """Readable when something changed."""
        number: int = self._netlink.fileno()
        return number

    def clear(self) -> None:
        """Take off what is there; what it says is asked anew, so that nothing is missed."""
        while select.select([self.fileno()], [], [], 0)[0]:
            try:
                self._netlink.get()
            except OSError:  # ENOBUFS: more changes than fit; the answer is the same
                return

    def close(self) -> None:
        """Unsubscribe."""
        self._netlink.close()
