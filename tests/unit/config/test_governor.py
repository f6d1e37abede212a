"""``[governor]``: defaults, and what may be written there."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.config import GovernorConfig, as_toml, load
from shadow_agent.config.governor import cores, size
from shadow_agent.errors import UsageError

FLAGS = {"iface": ["eth0"], "port": [80], "shadow": "http://s"}


def written(folder: Path, text: str) -> GovernorConfig:
    """What a file says."""
    file = folder / "a.toml"
    file.write_text(text)
    return load(FLAGS, file).governor


def test_a_file_says_it(tmp_path: Path) -> None:
    """Sizes as people write them, shares as numbers."""
    config = written(
        tmp_path,
        '[governor]\ncpu = 0.5\nmemory = "512M"\nhost-cpu = 0.5\np95-ms = 250\nhold-s = 3\n',
    )
    assert config == GovernorConfig(
        cpu=0.5, memory=512 << 20, host_cpu=0.5, p95_ms=250.0, hold_s=3.0
    )


def test_what_is_printed_loads_to_the_same(tmp_path: Path) -> None:
    """As every section."""
    file = tmp_path / "a.toml"
    file.write_text('[governor]\nmemory = "2G"\nfloor = 0.1\n')
    config = load(FLAGS, file)
    file.write_text(as_toml(config))
    assert load({}, file).governor == config.governor


@pytest.mark.parametrize(
    ("value", "found"),
    [("64M", 64 << 20), ("2GiB", 2 << 30), ("70000K", 70000 << 10), (1 << 30,) * 2],
)
def test_sizes(value: object, found: int) -> None:
    """With and without a unit."""
    assert size(value) == found


@pytest.mark.parametrize("value", ["", "512", "512m", "1T", "1.5G", 1, "63M", True, -1, None])
def test_no_sizes(value: object) -> None:
    """What is none, or too little for any agent."""
    with pytest.raises(ValueError, match=r"."):
        size(value)


@pytest.mark.parametrize("value", [0, -1, 5000, "1", True, float("nan")])
def test_no_cores(value: object) -> None:
    """Nothing at all cannot be held to."""
    with pytest.raises(ValueError, match=r"."):
        cores(value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("host-cpu = 95", r"a\.toml:2: governor\.host-cpu: 95 is out of range; give 0 to 1"),
        ("host-cpu = 0", r"a\.toml:2: governor\.host-cpu: 0 is always exceeded.*give above 0 to 1"),
        ("cpu-pressure = 0.0", r"a\.toml:2: governor\.cpu-pressure: 0 is always exceeded"),
        ("host-memory = 1", r"a\.toml:2: governor\.host-memory: 1 never holds.*give 0 \(off\)"),
        ("p95-times = 0.5", r"a\.toml:2: governor\.p95-times: 0.5 is out of range; give above 1"),
        ("p95-times = 1", "p95-times: 1 is out of range"),
        ("p95-ms = 0", r"a\.toml:2: governor\.p95-ms: 0 is out of range"),
        ("memory = 0", r"a\.toml:2: governor\.memory: 0 is out of range; give 67108864"),
        ('memory = "0M"', r"a\.toml:2: governor\.memory: 0 is out of range"),
        ("cpu = 0", r"a\.toml:2: governor\.cpu: 0 is out of range"),
        ("hold-s = 0", "hold-s: 0 is out of range"),
        ("p95-answers = 3", "p95-answers: 3 is out of range"),
        ("cpus = 1", r"unknown key cpus; did you mean cpu\?"),
        ('memory = "lots"', "memory: 'lots' is no size"),
    ],
)
def test_a_slip_names_file_line_and_key(tmp_path: Path, line: str, said: str) -> None:
    """And the fix."""
    with pytest.raises(UsageError, match=said):
        written(tmp_path, f"[governor]\n{line}\n")


NUMBERS = ["cpu", "host-cpu", "host-memory", "cpu-pressure", "memory-pressure", "ring-full",
           "p95-ms", "p95-times", "floor", "hold-s", "memory", "p95-answers"]  # fmt: skip


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", ["-0.1", "-1", "nan", "inf", "-inf", "1e300", "true"])
def test_no_number_bounds_anything_by_nonsense(tmp_path: Path, key: str, value: str) -> None:
    """Below nothing, no number, without end: file, line and key."""
    with pytest.raises(UsageError, match=rf"a\.toml:2: governor\.{key}: .*; (give|write)"):
        written(tmp_path, f"[governor]\n{key} = {value}\n")


@pytest.mark.parametrize(
    "key", ["host-cpu", "host-memory", "cpu-pressure", "memory-pressure", "ring-full", "floor"]
)
def test_shares_are_no_percentages(tmp_path: Path, key: str) -> None:
    """1 is all of it."""
    for value in ("1.01", "95", "100"):
        with pytest.raises(UsageError, match=rf"a\.toml:2: governor\.{key}: .* out of range"):
            written(tmp_path, f"[governor]\n{key} = {value}\n")


@pytest.mark.parametrize(
    "line",
    ["host-cpu = 1", "host-memory = 0", "cpu-pressure = 1", "memory-pressure = 0", "ring-full = 0",
     "p95-times = 0", "floor = 1", "ring-full = 1"],
)  # fmt: skip
def test_ends_of_a_scale(tmp_path: Path, line: str) -> None:
    """Off, or not a single one: both can be meant."""
    assert written(tmp_path, f"[governor]\n{line}\n").enabled


def test_defaults_are_safe_and_starve_nobody() -> None:
    """Watched and bounded without a word from the operator; shares are shares."""
    config = GovernorConfig()
    assert config.enabled
    assert config.floor == 0.0
    assert config.cpu is config.memory is None  # a share of the host's
    assert 0.5 <= config.host_cpu < 1
    assert 0 < config.host_memory < 0.5
