"""Lines of a TOML file."""

import tomllib
from pathlib import Path

import pytest

from shadow_agent.config.position import Position, line_of, why_unparsed

TEXT = '''# a comment
iface = "eth0"

port = [
  80,  # one
  81,
]
[limits]
drain-s = 1
text = """
drain-s = 2
[limits]
"""
[[rule]]
path = "/a"
[[rule]]

path = "/b"
rewrite = [{ header = "X" }]
[target."a b".limits]
drain-s = 3
'''


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("iface",), 2),
        (("port",), 4),
        (("limits",), 8),
        (("limits", "drain-s"), 9),
        (("limits", "text"), 10),
        (("rule",), 14),
        (("rule", 0, "path"), 15),
        (("rule", 1), 16),
        (("rule", 1, "path"), 18),
        (("rule", 1, "rewrite", 0, "header"), 19),
        (("target", "a b", "limits", "drain-s"), 21),
        ((), None),
        (("absent",), None),
        (("rule", 2), None),
        (("iface", "deeper"), None),
    ],
)
def test_line_of(keys: tuple[str | int, ...], line: int | None) -> None:
    """Whatever stands around it, a value of several lines included."""
    assert line_of(TEXT, keys) == line


def test_as_text() -> None:
    """File, line and key; rows are counted from 1, as people do."""
    position = Position(Path("a.toml"), TEXT)
    assert str(position) == "a.toml"
    assert str(position / "limits" / "drain-s") == "a.toml:9: limits.drain-s"
    assert str(position / "rule" / 1 / "path") == "a.toml:18: rule 2.path"
    assert str(position.of("iface")) == "a.toml:2"
    assert str((position / "limits").of("drain-s")) == "a.toml:9: limits"


def test_why_unparsed() -> None:
    """The line that tomllib names, else the first with which it fails."""
    for text, line in (
        ("a = 1\nb = \n", 2),
        ("a = 1\nb = [\n", 2),
        (f"\n\na = {'[' * 3000}\n#", 3),
    ):
        found = None
        try:
            tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            found = why_unparsed(text, error)[0]
        assert found == line


def test_a_long_file_takes_few_readings() -> None:
    """It is halved, not read line by line: the last key of 20,000."""
    text = "".join(f"k{n} = {n}\n" for n in range(20_000))
    assert line_of(text, ("k19999",)) == 20_000
    assert line_of(text, ("k0",)) == 1
