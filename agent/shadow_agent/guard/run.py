"""The guard: refuses what the shadow build calls out, from before it starts until it has ended.

The programs hang on the cgroup itself. When this process is killed, they stay: what COMMAND calls
is refused then without a record, stubs too (their lease runs out), until the cgroup is removed or
another guard takes its place.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from contextlib import ExitStack
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import orjson

from shadow_agent import __version__
from shadow_agent.config import endpoint, prepare_data_dir, unprivileged_user
from shadow_agent.daemon.apart import Child
from shadow_agent.daemon.listener import listen
from shadow_agent.daemon.process import allow_files
from shadow_agent.daemon.rundir import new_run_id
from shadow_agent.errors import HostError, UsageError, one_line
from shadow_agent.guard import launch
from shadow_agent.guard.cgroup import Cgroup, listening
from shadow_agent.guard.child import FINISH, Stats, read_stats, run_hello, run_stub
from shadow_agent.guard.command import Asked, watch
from shadow_agent.guard.plan import Plan
from shadow_agent.guard.record import NAMES, open_files
from shadow_agent.guard.stub import MAX_CONNECTIONS, listeners
from shadow_agent.guard.uncovered import uncovered
from shadow_agent.kernel.guard import GuardCounts, GuardPrograms, as_mapped
from shadow_agent.kernel.program import LoadError

_LEASE_NS: Final = 2_000_000_000
_GONE_S: Final = 5.0
_FILES: Final = 4 * MAX_CONNECTIONS + 2048


def run(plan: Plan) -> int:
    """Guard COMMAND until it ends; its exit code, 128 + N when signal N ended it.

    Raises OperatorError before COMMAND is started.
    """
    if os.geteuid() != 0:
        raise HostError("the guard attaches BPF programs to a cgroup", "run as root")
    with ExitStack() as stack:
        return Guard(plan, stack).run()


class Guard:
    """One guarded command. Everything it opens is undone by ``stack``."""

    def __init__(self, plan: Plan, stack: ExitStack) -> None:
        """Loads and attaches; COMMAND does not run yet."""
        options = plan.options
        launch.check_standard_files()
        self._plan = plan
        self._user = unprivileged_user(options.user or "nobody")
        allow_files(_FILES, "the stub server")
        self._folder = _folder(options.data_dir)
        self._counted, self._restarts = Stats(), 0
        self._cgroup = Cgroup.prepare(options.cgroup)
        stack.callback(self._cgroup.close)
        self._programs = _load()
        stack.callback(self._programs.close)
        self._stubs = listeners(plan.stubs)
        stands = [(one, stub) for one, stub in self._stubs if one is not None]
        for listener, _ in stands:
            stack.callback(listener.close)
        hello = None if plan.hello is None else listen(plan.hello, "--hello")
        try:
            self._fill()
            self._programs.attach(self._cgroup.fd)
        except OSError as error:
            raise HostError(
                f"--cgroup {options.cgroup}: cannot attach the guard's programs: {error}",
                "a program that tolerates no other may hang on a parent: "
                f"bpftool cgroup tree {self._cgroup.path.parent}",
            ) from error
        stack.callback(self._let_go)
        files = open_files(self._folder)
        for fd in files:
            stack.callback(os.close, fd)
        self._brokers = launch.brokers(self._user)
        self._uncovered = uncovered(self._user, self._cgroup)
        helper = unprivileged_user(None)
        ring = self._programs.ring_fd
        self._stub = Child(
            "guard-stub", helper, {ring, *files, *(one.fileno() for one, _ in stands)},
            partial(
                run_stub, listeners=stands, ring_fd=ring, files=files,
                max_bytes=options.record_bytes, key=plan.key,
            ),
        )  # fmt: skip
        stack.callback(self._stub.close)
        self._hello: Child | None = None
        if hello is not None:
            self._hello = Child(
                "guard-hello", helper, {hello.fileno(), *files},
                partial(run_hello, listener=hello, files=files, key=plan.key),
            )  # fmt: skip
            stack.callback(self._hello.close)
            stack.callback(hello.close)
        self._listening: list[int] = []

    def _fill(self) -> None:
        for one in self._plan.allowed:
            self._programs.allow(one.network, one.port)
        for listener, stub in self._stubs:
            address = as_mapped(ip_address(stub.address).packed)
            port = 0 if listener is None else listener.getsockname()[1]
            self._programs.stub(address, stub.port, port)

    def run(self) -> int:
        """Start COMMAND and stay until it ended."""
        plan, options = self._plan, self._plan.options
        for note in (*plan.notes, *self._uncovered):
            _say(f"note: {note}")
        for listener, stub in self._stubs:
            if listener is None:
                _say(
                    f"note: --stub {endpoint(stub.host, stub.port)}: {stub.address} is refused, "
                    "not answered: this host's loopback interface has no ::1"
                )
        self._renew()
        asked = Asked()
        self._pid = pid = launch.start(options.command, self._cgroup, self._user, self._brokers)
        _say(
            f"guarding {self._cgroup.path}: {options.command[0]} runs as {self._user.pw_name}, "
            f"pid {pid}; {len(plan.allowed)} places allowed, {len(plan.stubs)} stubbed, "
            f"the rest is refused; record in {self._folder / NAMES[0]}"
        )
        status = watch(pid, self._cgroup, asked, self._look, self._tick, _say)
        self._end_all()
        code = os.waitstatus_to_exitcode(status)
        self._sum_up(code if code >= 0 else 128 - code)
        return code if code >= 0 else 128 - code

    def _look(self, inside: list[int]) -> None:
        self._listening = listening(inside)
        there = launch.brokers(self._user)
        fresh = [path for path, one in there.items() if self._brokers.get(path) != one]
        self._brokers = there
        if fresh:
            done = launch.hide_again(self._pid, fresh)
            _say(f"{', '.join(map(str, fresh))} made anew: {'' if done else 'NOT '}covered")

    def _tick(self) -> None:
        self._renew()
        while packet := self._stub.heard():
            self._latest = read_stats(packet) or self._latest
        if self._stub.revive():
            self._counted, self._latest = self._counted.plus(self._latest), Stats()
            self._restarts += 1
            _say("the stub server died; another takes its place")
        if self._hello is not None:
            if self._hello.revive():
                _say("the hello listener died; another takes its place")
            self._hello.say(orjson.dumps(self._state()))

    _latest = Stats()

    def _renew(self) -> None:
        self._programs.answer_until(time.monotonic_ns() + _LEASE_NS)

    def _state(self) -> dict[str, Any]:
        """What the hello says, and what its ``active`` stands on."""
        programs = self._programs.attached(self._cgroup.fd)
        counts = self._programs.counts()
        processes = len(self._cgroup.pids())
        return {
            "active": processes > 0,
            "version": __version__,
            "cgroup": str(self._cgroup.path),
            "cgroup_id": self._cgroup.id,
            "processes": processes,
            "programs": programs,
            "listening": self._listening,
            "time": time.time(),
            "uncovered": self._uncovered,
            "counts": counts._asdict(),
            "record": {
                **self._counted.plus(self._latest)._asdict(),
                "id": self._folder.name, "untold": counts.untold, "restarts": self._restarts,
            },
        }  # fmt: skip

    def _end_all(self) -> None:
        """Nothing that COMMAND left behind goes on without its guard."""
        until = time.monotonic() + _GONE_S
        while self._cgroup.pids() and time.monotonic() < until:
            self._cgroup.kill()
            time.sleep(0.01)
        self._stub.wait(_GONE_S)
        self._stub.say(FINISH)
        while packet := self._stub.heard():
            self._latest = read_stats(packet) or self._latest

    def _let_go(self) -> None:
        """Detach, if nobody is left inside; else what is there stays guarded."""
        if left := self._cgroup.pids():
            _say(f"{len(left)} processes are still in {self._cgroup.path}: they stay guarded")
        else:
            self._programs.detach(self._cgroup.fd)

    def _sum_up(self, code: int) -> None:
        counts: GuardCounts = self._programs.counts()
        record = self._counted.plus(self._latest)
        summary = {
            "version": __version__,
            "command": self._plan.options.command[0],
            "exit_code": code,
            "counts": counts._asdict(),
            "record": record._asdict(),
            "uncovered": self._uncovered,
        }
        with contextlib.suppress(OSError):
            path = self._folder / "summary.json"
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "wb") as out:
                out.write(orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n")
        _say(
            f"{self._plan.options.command[0]} ended with {code}; {counts.refused} refused "
            f"({counts.untold} of them not recorded), {record.calls} calls to stubs, "
            f"{counts.allowed} allowed; lines lost: {record.lost}, overwritten: "
            f"{record.overwritten}; {self._folder}"
        )


def _folder(data_dir: Path) -> Path:
    prepare_data_dir(data_dir)
    path = data_dir / "guard" / new_run_id()
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(mode=0o700)
    except OSError as error:
        raise UsageError(
            f"--data-dir {data_dir}: cannot write there: {error.strerror}",
            "give a folder on a disk that is writable and has space",
        ) from error
    return path


def _load() -> GuardPrograms:
    try:
        return GuardPrograms()
    except LoadError as error:
        raise HostError(str(error)) from error
    except OSError as error:
        raise HostError(f"cannot load the guard: {error.strerror}", "run as root") from error


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"shadow-agent guard: {one_line(text)}", file=sys.stderr, flush=True)  # noqa: T201
