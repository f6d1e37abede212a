"""BudgetPage: exact over processes and over their deaths, and nobody waits for a holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from shadow_agent.daemon.budget import BudgetPage
from shadow_agent.policy.budget import COST_OF_ONE, Bucket, Spent, Terms
from shadow_agent.telemetry.reasons import Refused

NS = 1_000_000_000


@contextlib.contextmanager
def paged(terms: Terms, workers: int = 1) -> Iterator[BudgetPage]:
    """A page, closed at the end."""
    page = BudgetPage(terms, workers)
    yield page
    page.close()


def child(body: Callable[[], int]) -> int:
    """A process that runs it and exits with what it returns."""
    pid = os.fork()
    if pid == 0:
        code = 255
        with contextlib.suppress(BaseException):
            code = body()
        os._exit(code)
    return pid


def code_of(pid: int) -> int:
    """How it ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_counts_down_to_zero() -> None:
    """Not one more, and never again."""
    with paged(Terms(requests=5)) as page:
        purse = page.purse(0)
        said = [purse.take(COST_OF_ONE) for _ in range(7)]
        assert said == [None] * 5 + [Refused.REQUEST_LIMIT] * 2
        assert page.spent() == Spent(5, 5 * COST_OF_ONE, 5)


def test_shared_with_children() -> None:
    """What a child takes is gone, also when the child is; only its places come free."""
    with paged(Terms(requests=5), 3) as page:

        def two(worker: int) -> int:
            purse = page.purse(worker)
            return sum(purse.take(0) is None for _ in range(2))

        taken = [code_of(child(lambda worker=worker: two(worker))) for worker in range(3)]  # type: ignore[misc]
        assert taken == [2, 2, 1]
        assert page.purse(0).take(0) is Refused.REQUEST_LIMIT
        assert page.spent().in_flight == 5
        for worker in range(3):
            page.bury(worker)
        assert page.spent() == Spent(5, 0, 0)


def test_many_at_once_never_overdraw() -> None:
    """Four processes that take as fast as they can get what there is, and a rate holds."""
    begin = time.monotonic_ns()
    with paged(Terms(requests=4000), 4) as page, paged(Terms(bucket=Bucket.of(500, 10)), 4) as slow:
        ours, theirs = os.pipe()

        def grab(worker: int) -> int:
            purse, rated = page.purse(worker), slow.purse(worker)
            got = [0, 0]
            while (refused := purse.take(0)) is not Refused.REQUEST_LIMIT:
                got[0] += refused is None
                got[1] += rated.take(0) is None
            os.write(theirs, f"{got[0]} {got[1]}\n".encode())
            return 0

        pids = [child(lambda worker=worker: grab(worker)) for worker in range(4)]  # type: ignore[misc]
        assert [code_of(pid) for pid in pids] == [0] * 4
        took = (time.monotonic_ns() - begin) / NS
        os.close(theirs)
        with os.fdopen(ours, "rb") as said:
            got = [[int(n) for n in line.split()] for line in said]
        assert sum(one for one, _ in got) == page.spent().requests == 4000
        assert sum(one for _, one in got) == slow.spent().requests
        assert 10 <= slow.spent().requests <= 500 * took + 10


def test_a_worker_killed_in_the_middle_holds_up_nobody() -> None:
    """Its lock dies with it, and what it took stays taken."""
    with paged(Terms(requests=1_000_000), 2) as page:

        def forever() -> int:
            purse = page.purse(0)
            while True:
                purse.take(0)

        for _ in range(20):
            pid = child(forever)
            purse = page.purse(1)
            before = page.spent().requests
            while page.spent().requests < before + 50:
                pass
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            page.bury(0)
            assert purse.take(0) is None
            purse.end()
            assert page.spent().in_flight == 0


def test_nobody_waits_for_a_holder_that_stands_still() -> None:
    """It refuses by that name, and goes on when the holder does."""
    with paged(Terms(requests=10), 2) as page:
        ready, done = os.pipe(), os.pipe()

        def hold() -> int:
            fcntl.lockf(page.fd, fcntl.LOCK_EX)
            os.write(ready[1], b"x")
            os.read(done[0], 1)
            return 0

        pid = child(hold)
        os.read(ready[0], 1)
        purse = page.purse(0)
        assert purse.take(0) is Refused.BUDGET_BUSY
        assert purse.again() is Refused.BUDGET_BUSY
        os.write(done[1], b"x")
        assert code_of(pid) == 0
        assert purse.take(0) is None
        assert purse.again() is None
        for fd in (*ready, *done):
            os.close(fd)


def test_no_lock_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is out of them: nothing is sent."""

    def none(fd: int, what: int) -> None:
        raise OSError(37, "No locks available")

    with paged(Terms(requests=10), 2) as page:
        monkeypatch.setattr(fcntl, "lockf", none)
        assert page.purse(0).take(0) is Refused.BUDGET_BUSY


def test_what_is_given_back_can_be_taken_again() -> None:
    """A request that was shed after all costs nothing."""
    with paged(Terms(requests=1)) as page:
        purse = page.purse(0)
        assert purse.take(0) is None
        purse.give_back(0)
        assert purse.take(0) is None
        assert purse.take(0) is Refused.REQUEST_LIMIT


def test_bounds_that_change_under_way() -> None:
    """Each worker is told; who is forked later knows. What was taken stays taken."""
    with paged(Terms(), 2) as page:
        old = page.purse(0)
        assert [old.take(COST_OF_ONE), old.take(COST_OF_ONE), old.again()] == [None] * 3
        page.terms = Terms(concurrent=2, requests=9)
        old.change(page.terms)
        new = page.purse(1)
        assert [old.take(0), new.take(0)] == [Refused.CONCURRENT] * 2
        old.end()
        assert old.take(0) is None
        assert page.spent() == Spent(3, 2 * COST_OF_ONE, 2)
        old.change(Terms())
        assert old.take(0) is None
