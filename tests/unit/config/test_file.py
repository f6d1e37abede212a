"""The configuration file."""

import os
from pathlib import Path

import pytest

from shadow_agent.config import file
from shadow_agent.errors import UsageError


def write(folder: Path, text: str) -> Path:
    """A file with that text."""
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_is_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's file is optional, and read when it is there."""
    monkeypatch.setattr(file, "SYSTEM_FILE", tmp_path / "config.toml")
    assert file.read(None) == file.File(file.NOTHING, {})
    write(tmp_path, "workers = 2")
    assert file.read(None).settings.values == {"workers": 2}


def test_tables_of_targets_and_limits(tmp_path: Path) -> None:
    """Top level, limits, targets, limits of targets; - and _ alike; any name a target may have."""
    path = write(
        tmp_path,
        """
        iface = "eth0"
        shadow_iface = "eth1"
        [limits]
        ring-bytes = 4096
        drain_s = 2
        [target.web]
        port = [80, 81]
        [target.web.limits]
        max-queue = 3
        [target."a.limits"]
        sample = 0.5
        [target.empty]
        """,
    )
    found = file.read(path)
    assert found.settings.values == {"interfaces": ("eth0",), "shadow_interface": "eth1"}
    assert found.settings.sections["limits"] == {"ring_bytes": 4096, "drain_s": 2.0}
    assert found.targets["web"].values == {"ports": (80, 81)}
    assert found.targets["web"].sections["limits"] == {"max_queue": 3}
    assert found.targets["a.limits"].values == {"sample": 0.5}
    assert found.targets["empty"] == file.NOTHING


def test_a_target_may_be_named_without_tables(tmp_path: Path) -> None:
    """``target = "web"`` gives the only attachment its name."""
    assert file.read(write(tmp_path, 'target = "web"')).settings.values == {"target": "web"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ifce = 'eth0'", "{}:1: unknown key ifce; did you mean iface?"),
        ("config = 'x'", "{}:1: unknown key config; the keys are allow-"),
        ("port = '80'", "{}:1: port: '80' is not a whole number; write it without quotes"),
        ("json = 1", "{}:1: json: 1 is not true or false"),
        ("sample = true", "{}:1: sample: True is not a number"),
        ("limits = 5", "{}:1: limits: not a table; write [limits]"),
        ("[rule]\npath = '/x'", "{}:1: rule: not an array of tables; write [[rule]] above each"),
        (
            "[limits]\nring_byte = 1",
            "{}:2: limits: unknown key ring_byte; did you mean ring-bytes?",
        ),
        ("[limits]\nring_bytes = 5000", "{}:2: limits.ring_bytes: 5000 is no power"),
        ("[limits]\nhold_s = 1e300", "{}:2: limits.hold_s: 1e+300 is out of range"),
        (
            f"[limits]\nmax_connections = {1 << 63}",
            "{}:2: limits.max_connections: 9223372036854775808",
        ),
        (f"requests = {1 << 64}", "{}:1: requests: 18446744073709551616 is out of range"),
        ("[limits]\ndrain_s = 0", "{}:2: limits.drain_s: 0 is out of range"),
        ("[target]\nweb = 3", "{}:2: target.web: not a table; write [target.web]"),
        ("[target.'a b']\n", "{}:1: target.a b: 'a b' cannot be a name"),
        ("[target.web]\nprt = 1", "{}:2: target.web: unknown key prt; did you mean port?"),
        ("[target.web]\ntarget = 'x'", "{}:2: target.web: unknown key target"),
        ("[target.web]\nworkers = 0", "{}:2: target.web.workers: 0 is out of range; give 1 to 16"),
        ("target = 7", "{}:1: target: 7 is not a printable"),
        ("iface eth0", "{}:1: not TOML: "),
        ("a = 1\na = 2", "{}:2: not TOML: "),
        ("[budget]\n[gate]\n[budget]\n", "{}:3: not TOML: Cannot declare"),
        ('# x\nuser = """a\nb\n', "{}:3: not TOML: Unterminated string"),
        ("# x\nport = " + "[" * 5000 + "]" * 5000, "{}:2: not TOML: nested too deep; a line"),
        ("port = {" + "a." * 3000 + "a = 1}", "{}:1: port: nested too deep"),
        ("port = " + "1" * 5000, "{}:1: not TOML: a number of thousands of digits"),
        ("# \u2028 \x85 \x0b\nprt = 1".replace("\x0b", ""), "{}:2: unknown key prt"),
        ("json = 1\n# \0", "{}:2: a NUL byte in it; save it as text"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, line: str) -> None:
    """File, key and fix, in one line, whichever table it is in."""
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        file.read(path)
    assert str(caught.value).startswith(line.format(path))
    assert "\n" not in str(caught.value)


def test_what_can_be_read_again(tmp_path: Path) -> None:
    """A file, or its absence, which is said by who reads; no pipe, that nobody may ever write."""
    path = write(tmp_path, "")
    assert file.lasting(None) is None
    assert file.lasting(path) == path
    assert file.lasting(tmp_path / "absent.toml") is not None
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="cannot be read again; detach"):
        file.lasting(tmp_path / "pipe")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Absent, a folder, not text, without an end: exit code 2 and which file."""
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "absent.toml", tmp_path, binary, Path("/dev/zero")):
        with pytest.raises(UsageError, match=str(path)):
            file.read(path)
    binary.write_bytes(b"json = true\n# \xe9\n")
    with pytest.raises(UsageError, match=r":2: not UTF-8; save it as UTF-8$"):
        file.read(binary)


def test_a_file_from_windows(tmp_path: Path) -> None:
    """Its mark at the begin and its line ends make no difference."""
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbfworkers = 2\r\n[limits]\r\ndrain-s = 2\r\n")
    assert file.read(path).settings.values == {"workers": 2}
    path.write_bytes(b"\xef\xbb\xbfworkers = 2\r\nprt = 1\r\n")
    with pytest.raises(UsageError, match=r":2: unknown key prt"):
        file.read(path)


def test_a_long_value_is_shown_in_part(tmp_path: Path) -> None:
    """An error is a line, not the file."""
    with pytest.raises(UsageError, match=r"without quotes$") as caught:
        file.read(write(tmp_path, f"port = '{'8' * 100_000}'"))
    assert len(str(caught.value)) < 2000
