"""The gate's child, and what the supervisor does with its word."""

from __future__ import annotations

import json
import os
import pwd
import select
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shadow_agent.config.gate import Gate, GateProvider
from shadow_agent.daemon.dial import Dial
from shadow_agent.daemon.gate import GateWatch, make_gate
from shadow_agent.daemon.seccomp import NO_SANDBOX, Sandbox
from shadow_agent.errors import UsageError
from tests.testbed.wait import eventually

NOBODY = pwd.getpwnam("nobody")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes user")


class Switches:
    """The kernel's, as set last."""

    def __init__(self) -> None:
        self.sample = 1.0
        self.paused = False

    def set_sample(self, fraction: float) -> None:
        self.sample = fraction

    def set_paused(self, paused: bool) -> None:
        self.paused = paused


class Bench:
    """A gate on a file of flags."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)  # the child is nobody
        self.path = folder / "flags.json"
        self.switches = Switches()
        self.dial = Dial(self.switches, 1.0)
        self.said: list[str] = []
        self.watch: GateWatch | None = None

    def write(self, *, enabled: bool, sample: float = 1.0) -> None:
        """Replace the file, as configuration management does."""
        flags = {
            "shadow.enabled": {"variants": {"v": enabled}, "defaultVariant": "v"},
            "shadow.sample": {"variants": {"v": sample}, "defaultVariant": "v"},
        }
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"flags": flags}), encoding="utf-8")
        new.chmod(0o644)
        new.rename(self.path)

    def start(self, keep_s: float = 300.0, sandbox: Sandbox = NO_SANDBOX, **keys: Any) -> GateWatch:
        """Ask it often."""
        provider = GateProvider("file", str(self.path))
        gate = Gate(**{"provider": provider, "poll_s": 0.02, "keep_s": keep_s, **keys})
        self.watch = GateWatch(gate, "web", NOBODY, self.dial, self.said.append, sandbox)
        return self.watch

    def until(self, true: Callable[[], bool], ahead: float = 0.0) -> None:
        """Tick until it is so; the clock is ``ahead`` of the true one, in seconds."""

        def done() -> bool:
            assert self.watch is not None
            self.watch.tick(time.monotonic() + ahead)
            return true()

        eventually(done, 10.0, f"the gate; it said {self.said}")


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Nothing started; a folder that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="gate-") as folder:
        made = Bench(Path(folder))
        yield made
        if made.watch is not None:
            made.watch.close()


@needs_root
def test_nothing_before_its_first_word(bench: Bench) -> None:
    """A gate that has not answered is no open gate; then what it says holds, and its changes."""
    bench.write(enabled=True, sample=0.5)
    bench.start()
    assert bench.switches.paused
    bench.until(lambda: not bench.switches.paused)
    assert bench.switches.sample == 0.5
    bench.write(enabled=False, sample=0.5)
    bench.until(lambda: bench.switches.paused)
    assert bench.dial.stopped == {"gate": "shadow.enabled is off"}
    bench.write(enabled=True, sample=0.25)
    bench.until(lambda: not bench.switches.paused)
    assert bench.switches.sample == 0.25


@needs_root
def test_the_last_word_is_kept_for_a_while(bench: Bench) -> None:
    """Then mirroring stands still until the gate answers again."""
    bench.write(enabled=True)
    watch = bench.start(keep_s=600.0)
    bench.until(lambda: not bench.switches.paused)
    bench.path.unlink()
    bench.until(lambda: "No such file" in watch.trouble)
    assert not bench.dial.stopped
    assert any("its last word counts for" in line for line in bench.said)
    watch.tick(time.monotonic() + 601)
    assert "silent for 600 s" in bench.dial.stopped["gate"]
    bench.write(enabled=True)
    bench.until(lambda: not bench.switches.paused)
    assert watch.trouble == ""
    assert bench.said[-1] == "gate: answers again"


@needs_root
def test_its_process_has_no_privileges(bench: Bench) -> None:
    """It talks to strangers."""
    bench.write(enabled=True)
    watch = bench.start()
    bench.until(lambda: not bench.switches.paused)
    status = Path(f"/proc/{watch.pid}/status").read_text(encoding="utf-8")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(fields["Uid"].split()) == {str(NOBODY.pw_uid)}
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    limits = Path(f"/proc/{watch.pid}/limits").read_text(encoding="utf-8")
    assert "unlimited" not in limits.partition("Max data size")[2].splitlines()[0]


@needs_root
def test_a_child_that_dies_is_replaced(bench: Bench) -> None:
    """The last word counts in between."""
    bench.write(enabled=True)
    watch = bench.start()
    bench.until(lambda: not bench.switches.paused)
    first = watch.pid
    os.kill(first, signal.SIGKILL)
    bench.until(lambda: watch.pid == 0)
    assert not bench.switches.paused
    bench.until(lambda: watch.pid not in {0, first}, ahead=2.0)
    bench.write(enabled=False)
    bench.until(lambda: bench.switches.paused)


@needs_root
def test_a_child_that_hangs_is_killed(bench: Bench) -> None:
    """A look has a deadline, and so has the child."""
    bench.write(enabled=True)
    watch = bench.start()
    bench.until(lambda: not bench.switches.paused)
    first = watch.pid
    os.kill(first, signal.SIGSTOP)
    bench.until(lambda: watch.pid != first, ahead=60.0)
    assert "gate: its process hangs" in "".join(bench.said)


@needs_root
def test_a_child_that_speaks_is_left_alone(bench: Bench) -> None:
    """However long ago it was started."""
    bench.write(enabled=True)
    watch = bench.start()
    bench.until(lambda: not bench.switches.paused)
    assert select.select([watch._channel], [], [], 10)[0]
    watch.tick(time.monotonic() + 60.0)
    assert watch.trouble == ""


@needs_root
@pytest.mark.parametrize(
    "said",
    [b"", b"{", b"[]", b'{"enabled": 1, "sample": 0.5}', b'{"enabled": true, "sample": 2.0}',
     b'{"enabled": true, "sample": "1"}', b'{"trouble": 5}'],
)  # fmt: skip
def test_what_a_child_says_is_checked(bench: Bench, said: bytes) -> None:
    """It may have been taken over: nonsense changes nothing."""
    bench.write(enabled=True)
    watch = bench.start()
    bench.until(lambda: not bench.switches.paused)
    watch._take(said, time.monotonic())
    assert watch.trouble == "its process sent nonsense"
    assert not bench.switches.paused


def test_no_gate(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off, or nobody asked for one and the default file is not there."""
    said = bench.said.append
    off = Gate(provider=GateProvider("off"))
    assert make_gate(off, "web", NOBODY, bench.dial, said) is None
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert make_gate(Gate(), "web", NOBODY, bench.dial, said) is None
    assert not bench.switches.paused


def test_a_gate_that_was_asked_for_must_work(bench: Bench) -> None:
    """A file that is not there is a mistake of the configuration."""
    gate = Gate(provider=GateProvider("file", str(bench.path)))
    with pytest.raises(UsageError, match="No such file"):
        make_gate(gate, "web", NOBODY, bench.dial, bench.said.append)
    assert not bench.switches.paused
