"""``[compare]`` and ``[[tolerate]]``."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from shadow_agent.compare.difference import Part
from shadow_agent.compare.options import DECLARED
from shadow_agent.compare.selectors import Action
from shadow_agent.config import Config, as_toml, load
from shadow_agent.config.compare import Compare, options_of
from shadow_agent.errors import UsageError
from shadow_agent.policy.jsonpath import Path as JsonPath

FLAGS: dict[str, object] = {"iface": ["eth0"], "port": [80], "shadow": "http://10.0.0.2:80"}


def read(path: Path, text: str) -> Config:
    """Of a file."""
    path.write_text(text, encoding="utf-8")
    return load(FLAGS, path)


def test_by_default_the_declared_headers_are_compared(tmp_path: Path) -> None:
    """And nothing is tolerated."""
    config = read(tmp_path / "c.toml", "")
    assert config.compare == Compare()
    options = options_of(config.compare, config.tolerated)
    assert options.headers == tuple(DECLARED)
    assert options.rules == ()


def test_all_keys(tmp_path: Path) -> None:
    """Each has its meaning, and what is dumped loads again."""
    text = """
[compare]
headers = ["Vary", "X-Own"]
volatile = false
max-body-bytes = 1000
[[tolerate]]
json = "$.a"
ignore = true
until = 2026-12-31
[[tolerate]]
json = "$.b"
round = 2
[[tolerate]]
json = "$.c"
absolute = 0.5
[[tolerate]]
json = "$.d"
relative = 0.01
[[tolerate]]
json = "$.e"
seconds = 5
[[tolerate]]
json = "$.f"
sort = "id"
[[tolerate]]
json = "$.g"
set = true
[[tolerate]]
header = "X-Own"
ignore = true
[[tolerate]]
field = "Total"
absolute = 1
until = "2027-01-01"
"""
    config = read(tmp_path / "c.toml", text)
    options = options_of(config.compare, config.tolerated)
    assert (options.headers, options.volatile, options.max_body) == (("vary", "x-own"), False, 1000)
    first, *_, header, field = options.rules
    assert (first.json, first.action) == (JsonPath("$.a"), Action.IGNORE)
    assert first.until == date(2026, 12, 31)
    assert [rule.amount for rule in options.rules[1:5]] == [2, 0.5, 0.01, 5]
    assert [rule.key for rule in options.rules[5:7]] == ["id", ""]
    assert (header.part, header.name) == (Part.HEADER, "x-own")
    assert (field.part, field.name, field.until) == (Part.BODY, "total", date(2027, 1, 1))
    assert read(tmp_path / "d.toml", as_toml(config)) == config


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('[[tolerate]]\njson = "$.a["\nignore = true', 2, "not a JSONPath"),
        ('[[tolerate]]\njson = "$.a[2:1]"\nignore = true', 1, "never match"),
        ('[[tolerate]]\njson = "$.a"', 1, "not none"),
        ('[[tolerate]]\njson = "$.a"\nignore = true\nround = 1', 1, "not ignore and round"),
        ("[[tolerate]]\nignore = true", 1, "one of json, header, field"),
        ('[[tolerate]]\njson = "$.a"\nignore = false', 1, "says nothing"),
        ('[[tolerate]]\nheader = "a b"\nignore = true', 2, "header"),
        ('[[tolerate]]\nfield = "a"\nsort = ""', 1, "arrays in JSON"),
        ('[[tolerate]]\njson = "$.a"\nrelative = 2', 3, "at most 1"),
        ('[[tolerate]]\njson = "$.a"\nignore = true\nuntil = "soon"', 4, "until = 2026-12-31"),
        ('[[tolerate]]\njson = "$.a"\nignore = true\nuntil = 2026-12-31T00:00:00Z', 4, "no date"),
        ('[[tolerate]]\njson = "$.a"\nround = 1\n' * 2, 4, "row 1"),
        (
            '[[tolerate]]\njson = "$.a"\nignore = true\n[[tolerate]]\njson = "$.a.b"\nround = 1',
            4,
            "row 1 ignores",
        ),
        (
            '[compare]\nheaders = ["a"]\n[[tolerate]]\nheader = "b"\nignore = true',
            3,
            "not among the headers",
        ),
        ('[[tolerate]]\nheader = "Date"\nignore = true', 1, "not among the headers"),
        ('[compare]\nheaders = "a"', 2, "not a list"),
        ("[compare]\nmax-body-bytes = 0", 2, "out of range"),
        ("[compare]\nwhatever = 0", 2, "unknown key"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    """And the fix."""
    path = tmp_path / "c.toml"
    with pytest.raises(UsageError) as raised:
        read(path, text)
    assert str(raised.value).startswith(f"{path}:{line}: ")
    assert reason in str(raised.value)


def test_a_rule_under_one_that_expires_earlier_is_no_error(tmp_path: Path) -> None:
    """It matches when the other has gone."""
    row = '[[tolerate]]\njson = "$.a"\nignore = true\nuntil = %s\n'
    assert len(read(tmp_path / "c.toml", row % "2026-12-31" + row % "2027-12-31").tolerated) == 2
