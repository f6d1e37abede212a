"""``--isolate``: the side of the agent that speaks to the shadow, in a namespace of its own.

The namespace is entered by one thread, once, and never by a name: whatever must happen inside is
done by that thread, forks included, so that no capability to enter namespaces is kept. It ends
with the last process in it, which a killed agent's are at once.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import NoReturn, ParamSpec, TypeVar

from shadow_agent.errors import HostError
from shadow_agent.kernel import macvlan, netlink
from shadow_agent.kernel.macvlan import Own, Router

P = ParamSpec("P")
T = TypeVar("T")


def fork_here(child: Callable[[], NoReturn]) -> int:
    """Fork; the child's pid. The child never comes back, not even by an exception."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(1)
    return pid


class Isolation:
    """Made before capabilities are dropped; ``close`` ends it."""

    def __init__(self, parent: netlink.Interface, own: Own, router: Router | None) -> None:
        """With its macvlan, up. Raises HostError."""
        self.parent = parent.name
        self._own = own
        self._router = router
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="inside", daemon=True)
        self._thread.start()
        try:
            self._namespace = self.call(macvlan.leave)
        except HostError:
            self._end()
            raise
        try:
            self._make(parent)
        except HostError:
            self.close()
            raise

    def __str__(self) -> str:
        """For people."""
        return f"{self._own} at {macvlan.mac_of(self._own)} on {self.parent}"

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it inside, and wait; its result or its exception."""
        done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

        def job() -> None:
            try:
                done.put((function(*args, **kwargs), None))
            except BaseException as exc:  # noqa: BLE001 - raised where it was asked for
                done.put((None, exc))

        self._jobs.put(job)
        result, error = done.get()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def fork(self, child: Callable[[], NoReturn]) -> int:
        """As ``fork_here``, with the child inside from its first instruction."""
        return self.call(fork_here, child)

    def interface(self) -> netlink.Interface:
        """The macvlan. Raises HostError when its parent has just gone."""
        found = self.find()
        if found is None:
            raise HostError(
                f"--isolate on {self.parent}: it is gone", "start again when it is back"
            )
        return found

    def find(self) -> netlink.Interface | None:
        """The macvlan, made again where its parent has come back; None while that is away."""
        found = self.call(netlink.interface, self.parent)
        if found is None:
            parent = netlink.interface(self.parent)
            if parent is None:
                return None
            try:
                self._make(parent)
            except HostError:
                return None  # not ready yet: whoever asks, asks again
            found = self.call(netlink.interface, self.parent)
        return found

    def close(self) -> None:
        """Leave it; it is gone when nobody else is inside."""
        os.close(self._namespace)
        self._end()

    def _make(self, parent: netlink.Interface) -> None:
        macvlan.create(parent, self._own, self._namespace)
        self.call(macvlan.configure, self.parent, self._own, self._router)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _end(self) -> None:
        self._jobs.put(None)
        self._thread.join()
