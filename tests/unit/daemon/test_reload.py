"""A changed configuration: applied whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.config import Config, load
from shadow_agent.daemon.reload import LIVE, Reload, changed
from shadow_agent.errors import UsageError

FLAGS = {"iface": ["eth0"], "port": [80], "shadow": "http://10.0.0.9:8080"}
RULE = '[[rule]]\nname = "a"\naction = "drop"\npath = "/a"\n'


def config(folder: Path, text: str) -> Config:
    """As a file of that text says."""
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return load(FLAGS, path)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", []),
        ("sample = 0.5", ["sample"]),
        ('methods = "GET"', ["methods"]),
        (RULE, ["rule"]),
        ("workers = 2", ["workers"]),
        ('[governor]\ncpu = 0.5\nmemory = "1G"\n', ["governor.cpu", "governor.memory"]),
        ('[gate]\nprovider = "ofrep:http://us:a@h"', ["gate.provider"]),
        ("[limits]\nmax-queue = 3\nring-bytes = 4096", ["limits.max-queue", "limits.ring-bytes"]),
    ],
)
def test_what_differs(tmp_path: Path, text: str, keys: list[str]) -> None:
    """By the names that the file has for them."""
    assert changed(config(tmp_path, ""), config(tmp_path, text)) == keys


def test_another_password_differs(tmp_path: Path) -> None:
    """Though none is shown: who changed it must not be told that nothing has."""
    old, new = (
        config(tmp_path, f'[gate]\nprovider = "ofrep:http://us:{one}@h"') for one in ("a", "b")
    )
    assert changed(old, new) == ["gate.provider"]


def test_live_keys_exist(tmp_path: Path) -> None:
    """A key that was renamed would silently need a restart."""
    base = config(tmp_path, "")
    text = (
        f'sample = 0.5\nrequests = 3\nduration = 3\nmethods = "GET"\n{RULE}[limits]\n'
        "connect-timeout-s = 9.0\n"
        "first-byte-timeout-s = 9.0\nwhole-timeout-s = 9.0\nidle-close-s = 9.0\nmax-queue = 9\n"
        "max-queue-age-s = 9.0\nmax-backlog-bytes = 9\ndrain-s = 9.0\n"
        "[budget]\nbytes-per-s = 9\nbytes-burst = 9\nrequests-per-s = 9\nburst = 9\n"
        "concurrent = 9\nrequests = 9\nwall-s = 9\ncost = 9\n"
        "[breaker]\nbehind-s = 9\nenabled = false\nlongest-pause-s = 9.5\nmin-requests = 9\n"
        "pause-s = 9.0\nprobes = 9\nshare = 0.9\nwindow-s = 9.0\n"
        "[governor]\nenabled = false\nhost-cpu = 0.9\nhost-memory = 0.1\ncpu-pressure = 0.9\n"
        "memory-pressure = 0.9\nring-full = 0.9\np95-ms = 9\np95-times = 9\np95-answers = 99\n"
        "floor = 0.9\nhold-s = 9.0\n"
    )
    assert set(changed(base, config(tmp_path, text))) == LIVE


def test_all_or_nothing(tmp_path: Path) -> None:
    """What cannot change is named, and what could does not change either."""
    applied: list[Config] = []
    texts = ["sample = 0.5\nworkers = 2\n", "sample = 0.5\n", "sample = 0.5\n", "worker = 1"]
    reload = Reload(config(tmp_path, ""), lambda: config(tmp_path, texts.pop(0)), applied.append)
    refused = reload.run()
    assert (refused["ok"], refused["restart"], applied) == (False, ["workers"], [])
    assert "workers cannot change under way; detach and attach again" in refused["error"]
    assert reload.run() == {"ok": True, "applied": ["sample"]}
    assert [one.sample for one in applied] == [0.5]
    assert reload.run() == {"ok": True, "applied": []}
    broken = reload.run()
    assert (broken["ok"], len(applied)) == (False, 1)
    assert "own.toml:1: unknown key worker; did you mean workers?" in broken["error"]


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    """The reason, not a traceback."""

    def read() -> Config:
        raise UsageError("--config a.toml: No such file", "name a file")

    answer = Reload(config(tmp_path, ""), read, lambda _: None).run()
    assert answer == {"ok": False, "error": "--config a.toml: No such file; name a file"}
