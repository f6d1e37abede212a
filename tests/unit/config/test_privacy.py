"""``[privacy]``."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.config import Privacy, as_toml, load
from shadow_agent.errors import UsageError

FLAGS: dict[str, object] = {"iface": ["eth0"], "port": [80], "shadow": "http://10.0.0.2:80"}


def read(path: Path, text: str) -> Privacy:
    """The section of a file."""
    path.write_text(text, encoding="utf-8")
    return load(FLAGS, path).privacy


def test_safe_by_default(tmp_path: Path) -> None:
    """Nothing is stored."""
    privacy = read(tmp_path / "c.toml", "")
    assert privacy == Privacy()
    assert not privacy.evidence


def test_all_keys(tmp_path: Path) -> None:
    """Each has its field, and what is dumped loads again."""
    text = """
[privacy]
evidence = true
key-file = "/etc/shadow-agent/evidence.key"
max-run-bytes = 1000
max-rate = 0.5
keep-bytes = 5000
keep-s = 60
redact-headers = ["X-Customer"]
redact-fields = ["surname"]
redact-json = ["$.user.name"]
redact-regex = ["CUST-[0-9]+"]
"""
    path = tmp_path / "c.toml"
    privacy = read(path, text)
    assert privacy.key_file == Path("/etc/shadow-agent/evidence.key")
    rules = privacy.rules()
    assert rules.headers == {"x-customer"}
    assert rules.fields == {"surname"}
    assert [one.text for one in rules.paths] == ["$.user.name"]
    assert rules.patterns[0].expression.search(b"CUST-7") is not None
    assert read(tmp_path / "d.toml", as_toml(load(FLAGS, path))) == privacy


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('redact-json = ["user"]', "not a JSONPath"),
        ('redact-json = "$.a"', "not a list"),
        ('redact-regex = ["("]', "write it for RE2"),
        ('redact-regex = ["(?=a)"]', "write it for RE2"),
        ('redact-regex = ["a*"]', "matches nothing at all too"),
        ('redact-headers = ["a b"]', "cannot be the name"),
        ("redact-headers = [1]", "not a printable"),
        ("max-rate = 0", "out of range"),
        ("evidence = 1", "not true or false"),
        ("redact-fields = [" + '"a",' * 101 + "]", "at most 100"),
        ("secret = 1", "unknown key secret"),
    ],
)
def test_what_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    """One line with file and line."""
    path = tmp_path / "c.toml"
    with pytest.raises(UsageError) as raised:
        read(path, f"[privacy]\n{line}\n")
    assert reason in str(raised.value)
    assert f"{path}:2" in str(raised.value)
