"""``replay``, less the loop: which shadow, what is said of a run. A whole one is in tests/net."""

from __future__ import annotations

import io
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from rich.console import Console

from shadow_agent.capture.file import CaptureFile, open_capture
from shadow_agent.config import Config, ShadowUrl
from shadow_agent.errors import HostError, ShadowUnreachable, UsageError
from shadow_agent.flow.segment import Segment
from shadow_agent.offline.input import open_input
from shadow_agent.offline.replay import Replaying, find_shadow
from tests.unit.isolated import ip, isolated, needs_root, two_interfaces
from tests.unit.offline.captures import conversation, pcap
from tests.unit.replay.bed import at


def config(host: str = "127.0.0.1", port: int = 1, **changed: Any) -> Config:
    """To replay flat out."""
    made = {"speed": float("inf"), **changed}
    return Config(interfaces=(), ports=(), shadow=ShadowUrl(host, port), target="t", **made)


def replaying(settings: Config, capture: bytes, path: str = "f.pcap") -> tuple[Replaying, Console]:
    """One that is about to begin."""
    console = Console(file=io.StringIO())
    opened = open_capture(io.BytesIO(capture))
    return Replaying(settings, path, opened, console), console


def said(console: Console) -> str:
    """On standard error so far."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@needs_root
@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.9.1.2", True),
        ("fd09::2", True),
        ("10.9.0.9", False),
        ("fd09::9", False),
        ("203.0.113.1", False),
    ],
)
def test_whether_the_shadow_is_on_this_host(host: str, ours: bool) -> None:
    """Then client and shadow may well have one address."""

    def work() -> tuple[Any, bool]:
        two_interfaces()
        return find_shadow(config(host))

    endpoint, local = isolated(work)
    assert local == ours
    assert endpoint.interface is None
    assert endpoint.key == (
        socket.inet_pton(socket.AF_INET6, host)
        if ":" in host
        else bytes(10) + b"\xff\xff" + socket.inet_aton(host)
    )


@needs_root
def test_the_interface_must_exist() -> None:
    """Exit code 3 with the fix, before anything is read."""

    def work() -> str | None:
        ip("link add back type veth peer name far")
        return find_shadow(config(shadow_interface="back"))[0].interface

    assert isolated(work) == "back"
    with pytest.raises(HostError, match=r"--shadow-iface absent0: no such interface here"):
        find_shadow(config(shadow_interface="absent0"))


def test_a_shadow_must_resolve() -> None:
    """Exit code 2."""
    with pytest.raises(UsageError, match="does not resolve"):
        find_shadow(config("nowhere.invalid"))


def test_a_shadow_that_does_not_answer() -> None:
    """A line, or the end if it was required."""
    one, console = replaying(config(), pcap([]))
    one.try_shadow(at(1))
    assert "does not answer yet: Connection refused" in said(console)
    one, _ = replaying(config(require_shadow=True), pcap([]))
    with pytest.raises(ShadowUnreachable, match=r"http://127\.0\.0\.1:1: Connection refused"):
        one.try_shadow(at(1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one.try_shadow(at(listener.getsockname()[1]))


def test_the_summary_of_a_run() -> None:
    """As attach has it, balanced from the file's packets on, and where its clock was."""
    data = pcap(conversation(2)) + b"cut"
    one, console = replaying(config(), data, "f\udcff.pcap")
    loop = uvloop.new_event_loop()
    try:
        one.play(at(1), b"", loop)
    finally:
        loop.close()
    summary = one.summary(drained=True)
    assert summary["imbalances"] == []
    assert summary["clock"] == "user"
    assert summary["loader"] == "file"
    assert summary["outcomes"] == {"refused": 2}
    packets = summary["ledger"]["packets"]
    assert packets["seen"] == packets["copied"] == 8
    assert summary["capture"]["speed"] == "max"
    assert summary["capture"]["file"] == "f\ufffd.pcap"
    assert summary["capture"]["damage"] in said(console).replace("\n", " ")
    assert "damaged, read up to there" in said(console)


def test_packets_that_nobody_took() -> None:
    """Decoded and not handled when the run was stopped: they have a name."""
    one, _ = replaying(config(speed=1e-6, duration_s=0.01), pcap(conversation(5)))
    loop = uvloop.new_event_loop()
    try:
        one.play(at(1), b"", loop)
    finally:
        loop.close()
    summary = one.summary(drained=True)
    assert summary["imbalances"] == []
    assert summary["ledger"]["packets"]["paused"] > 0
    assert summary["capture"]["speed"] == 1e-6


def test_signals_before_the_loop_runs(tmp_path: Path) -> None:
    """None is lost; the second ends the file too, and handlers are what they were before."""
    path = tmp_path / "f.pcap"
    path.write_bytes(pcap(conversation(2)))
    source = open_input(str(path), regular=True)
    console = Console(file=io.StringIO())
    one = Replaying(config(speed=1.0), str(path), open_capture(io.BufferedReader(source)), console)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    segments = one._decoder.segments
    ended: list[bool] = []

    def first_is_far(frames: CaptureFile) -> Iterator[Segment]:
        signal.raise_signal(signal.SIGTERM)
        ended.append(source.stopped)
        signal.raise_signal(signal.SIGINT)
        ended.append(source.stopped)
        yield from segments(frames)

    one._decoder.segments = first_is_far  # type: ignore[method-assign, assignment]
    loop = uvloop.new_event_loop()
    try:
        one.play(at(1), b"", loop, source)
    finally:
        loop.close()
        source.close()
    assert ended == [False, True]
    assert "SIGTERM: waiting for what is under way" in said(console)
    summary = one.summary(drained=True)
    assert (summary["imbalances"], summary["capture"]["damage"]) == ([], None)
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
