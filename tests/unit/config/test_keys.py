"""The table of keys."""

from dataclasses import fields

import pytest

from shadow_agent.config import Config
from shadow_agent.config.keys import KEYS, LIMITS, ROWS, SECTIONS, convert, find
from shadow_agent.errors import UsageError


def test_every_field_has_a_key() -> None:
    """Whatever can be configured can be written into a file."""
    known = {key.field for key in KEYS.values()}
    known |= {one.field for one in SECTIONS.values()} | {one.field for one in ROWS.values()}
    assert known == {one.name for one in fields(Config)}
    for section in SECTIONS.values():
        names = {one.name for one in fields(section.make)}  # type: ignore[arg-type]
        assert {key.field for key in section.keys.values()} == names


def test_dashes_and_underscores_are_the_same() -> None:
    """A file's author should not have to remember which."""
    assert find(KEYS, "shadow-iface", "f") is find(KEYS, "shadow_iface", "f")


def test_an_unknown_key_names_its_neighbour() -> None:
    """File, key and fix in one line."""
    with pytest.raises(
        UsageError, match=r"^a\.toml: unknown key shadow_ifce; did you mean shadow-"
    ):
        find(KEYS, "shadow_ifce", "a.toml")
    with pytest.raises(UsageError, match=r"unknown key zzz; the keys are connect-timeout-s"):
        find(LIMITS, "zzz", "a.toml: limits")


def test_a_wrong_value_names_its_place() -> None:
    """The reason stands behind the place."""
    with pytest.raises(UsageError, match=r"^--port: 0 is out of range; give 1 to 65535$"):
        convert(KEYS["port"], 0, "--port")
