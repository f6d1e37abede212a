"""Flags and file together."""

from pathlib import Path

import pytest

from shadow_agent.config import ShadowUrl, file, load, merge
from shadow_agent.errors import UsageError

FLAGS = {"iface": ["eth0"], "port": [8080], "shadow": "http://10.0.0.9:8080"}


def test_flags_alone() -> None:
    """The shortest command line, without any file."""
    config = load({**FLAGS, "sample": None, "shadow_iface": "eth1"})
    assert config.interfaces == ("eth0",)
    assert config.ports == (8080,)
    assert config.shadow == ShadowUrl("10.0.0.9", 8080)
    assert config.shadow_interface == "eth1"
    assert config.target == "eth0-8080"
    assert config.sample == 1


def test_a_flag_that_is_given_counts_whatever_its_value() -> None:
    """Zero is given, None and an empty list are not."""
    assert load({**FLAGS, "sample": 0.0}).sample == 0
    assert load({**FLAGS, "sample": 0}).sample == 0


def test_the_file_completes_the_flags(no_system_file: Path) -> None:
    """``attach --iface eth0`` alone is enough when the system's file has the rest."""
    no_system_file.write_text('port = 80\nshadow = "http://s"\nworkers = 3\n')
    config = load({"iface": ["eth0"], "port": [], "shadow": None})
    assert (config.ports, str(config.shadow), config.workers) == ((80,), "http://s:80", 3)


def test_who_wins(tmp_path: Path) -> None:
    """Flags over the target's table over the file over the defaults; limits key by key."""
    path = tmp_path / "own.toml"
    path.write_text("""
        iface = "eth0"
        port = 1
        shadow = "http://top"
        sample = 0.1
        workers = 2
        [limits]
        max_queue = 1
        max_flows = 1
        [target.web]
        port = 2
        sample = 0.2
        [target.web.limits]
        max_queue = 2
        [target.other]
        port = 9
    """)
    config = load({"target": "web", "sample": 0.3}, path)
    assert config.target == "web"
    assert (config.ports, config.sample, config.workers) == ((2,), 0.3, 2)
    assert (config.limits.max_queue, config.limits.max_flows) == (2, 1)
    assert config.limits.max_head_bytes == 65536
    settings, _ = merge({"target": "web", "sample": 0.3}, path)
    at = settings.where
    assert str(at["ports"]).endswith(":11: target.web.port")
    assert str(at["workers"]).endswith(":6: workers")
    assert str(at["limits.max_queue"]).endswith(":14: target.web.limits.max_queue")
    assert str(at["limits.max_flows"]).endswith(":9: limits.max_flows")
    assert "sample" not in at  # a flag
    assert load({"target": "new"}, path).ports == (1,)
    assert load({}, path).target == "eth0-1"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """All of it at once, with where to put it."""
    with pytest.raises(
        UsageError, match=r"^missing --iface and --port and --shadow; .*system.toml"
    ):
        load({})
    path = tmp_path / "own.toml"
    path.write_text('[target.web]\niface = "eth0"\n')
    with pytest.raises(UsageError, match=r"^missing --shadow; .*--target: web$"):
        load({"iface": ["eth0"], "port": [1]}, path)


def test_a_bad_flag_is_named() -> None:
    """By the name it has on the command line."""
    with pytest.raises(UsageError, match=r"^--shadow-iface: 'a/b' cannot be an interface"):
        load({**FLAGS, "shadow_iface": "a/b"})


def test_merging_needs_nothing() -> None:
    """``doctor`` and ``status`` work with what is known."""
    settings, found = merge({"port": [1], "debug": None})
    assert settings.values == {"ports": (1,)}
    assert found == file.File(file.NOTHING, {})


def test_a_capture_needs_a_shadow_only(no_system_file: Path) -> None:
    """Interfaces in a file are none of its business; its name is the target's, unless given."""
    no_system_file.write_text('iface = "eth0"\n', encoding="utf-8")
    config = load({"shadow": "http://s"}, capture="a b.pcap")
    assert (config.interfaces, config.ports, config.target) == ((), (), "a_b.pcap")
    assert load({"shadow": "http://s", "target": "web"}, capture="a").target == "web"
    with pytest.raises(UsageError, match=r"^missing --shadow;"):
        load({}, capture="a")
