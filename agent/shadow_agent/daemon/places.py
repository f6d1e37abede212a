"""Keeps the tap on its interfaces while they come and go (containers, tunnels)."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from shadow_agent.errors import HostError
from shadow_agent.kernel.layout import Role
from shadow_agent.kernel.tap import Facing, Place, Tap
from shadow_agent.kernel.watch import LinkWatch
from shadow_agent.telemetry.run import Interruption

_LOOK_S: Final = 0.2


@dataclass(slots=True)
class _Watched:
    place: Place
    attached: bool = True
    away_at: float | None = None  # monotonic; not attached, or the shadow's and down
    away_clock: float = 0.0  # epoch


class Places:
    """Attaches, and attaches again what vanished and came back; each absence is reported."""

    def __init__(
        self, tap: Tap, places: tuple[Place, ...], selector: selectors.BaseSelector,
        say: Callable[[str], None], on_link: Callable[[bool], None],
    ) -> None:  # fmt: skip
        """Watching; nothing is attached yet. ``on_link`` hears whether the shadow's is up."""
        self._on_link = on_link
        self._tap = tap
        self._watched = [_Watched(place) for place in places]
        self._selector = selector
        self._say = say
        self._over: list[Interruption] = []
        self._active = False
        self._unseen = False  # something changed since the last look
        self._changed_at: tuple[float, float] | None = None  # monotonic and epoch, the first time
        self._looked_at = float("-inf")
        self._watch = LinkWatch()
        selector.register(self._watch, selectors.EVENT_READ, self._changed)

    def attach_all(self) -> None:
        """Attach everywhere. Raises HostError, and then nothing is attached."""
        self._active = True
        # The shadow's side first: a worker replays as soon as production is tapped, and latency
        # on a connection whose SYN was missed stays unknown for as long as it lives.
        for watched in sorted(self._watched, key=lambda w: w.place.role is not Role.SHADOW):
            self._tap.attach(watched.place)
        self._changed()  # whatever happened since the plan was made

    def describe(self) -> str:
        """Where and how, in one line."""
        mechanisms = self._tap.mechanisms
        return ", ".join(
            f"{w.place.interface.name} ({mechanisms.get(w.place.interface.name, 'away')}"
            + (", the service is behind it)" if w.place.facing is Facing.SERVICE else ")")
            for w in self._watched
        )

    def tick(self, _now: float) -> None:
        """Try again what could not be attached, and look once more after a burst of changes."""
        if self._unseen or not all(watched.attached for watched in self._watched):
            self._look()

    def stop(self) -> None:
        """Attach nothing any more."""
        self._active = False

    def interruptions(self) -> list[Interruption]:
        """Times in which an interface was away or down, the open ones last."""
        now = time.monotonic()
        still = [
            Interruption(w.place.interface.name, w.away_clock, None, now - w.away_at)
            for w in self._watched
            if w.away_at is not None
        ]
        return [*self._over, *still]

    def close(self) -> None:
        """Stop watching."""
        self._active = False
        self._selector.unregister(self._watch)
        self._watch.close()

    def _changed(self) -> None:
        self._watch.clear()
        self._changed_at = self._changed_at or (time.monotonic(), time.time())
        # A host that starts a hundred containers has hundreds of changes: a look costs 10 ms.
        if time.monotonic() - self._looked_at >= _LOOK_S:
            self._look()
        else:
            self._unseen = True

    def _look(self) -> None:
        if not self._active:
            return
        self._unseen = False
        self._looked_at = time.monotonic()
        changed_at = self._changed_at or (self._looked_at, time.time())
        self._changed_at = None
        for watched in self._watched:
            found = watched.place.find()
            there = found is not None and found.index == watched.place.interface.index
            if watched.attached and not there:
                watched.attached = False
                self._tap.forget(watched.place)
                self._leave(watched, "gone", changed_at)
            if found is not None and not watched.attached:
                self._attach_again(watched, replace(watched.place, interface=found))
            if not watched.attached:
                continue
            # Production's may be down: then there is nothing to mirror, and nothing is missed.
            if watched.place.role is Role.SHADOW and not watched.place.is_up():
                self._leave(watched, "down", changed_at)
            elif watched.away_at is not None:
                self._return(watched)

    def _attach_again(self, watched: _Watched, place: Place) -> None:
        try:
            self._tap.attach(place)
        except HostError:
            return  # not ready yet: the next tick tries again
        watched.place, watched.attached = place, True

    def _leave(self, watched: _Watched, how: str, changed_at: tuple[float, float]) -> None:
        if watched.away_at is not None:
            return
        # it went when we heard of a change, not when we came to look
        watched.away_at, watched.away_clock = changed_at
        if watched.place.role is Role.SHADOW:
            self._on_link(False)
        self._say(f"interface {watched.place.interface.name} is {how}; waiting for it")

    def _return(self, watched: _Watched) -> None:
        seconds = time.monotonic() - (watched.away_at or time.monotonic())
        watched.away_at = None
        name = watched.place.interface.name
        self._over.append(Interruption(name, watched.away_clock, time.time(), seconds))
        if watched.place.role is Role.SHADOW:
            self._on_link(True)
        self._say(f"interface {name} is back after {seconds:.1f} s")
