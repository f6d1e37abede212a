"""Answer files."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.errors import UsageError
from shadow_agent.guard import answers


def _read(tmp_path: Path, text: str) -> answers.Answer:
    path = tmp_path / "answer"
    path.write_text(text)
    return answers.read(path, "--stub a:80=answer")


def test_json(tmp_path: Path) -> None:
    """Status, headers and a body that is JSON or text."""
    answer = _read(tmp_path, '{"status": 201, "headers": {"X-A": "b"}, "body": {"id": 1}}')
    assert answer.to("POST") == (
        b"HTTP/1.1 201 Created\r\nX-A: b\r\nContent-Type: application/json\r\n"
        b'Content-Length: 8\r\n\r\n{"id":1}'
    )
    assert answer.to("HEAD").endswith(b"\r\n\r\n")
    assert _read(tmp_path, "{}").to("GET") == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert b"Content-Length" not in _read(tmp_path, '{"status": 204, "body": "x"}').to("GET")


def test_raw(tmp_path: Path) -> None:
    """As it is, and then the connection ends; lines may end as an editor ends them."""
    answer = _read(tmp_path, "HTTP/1.1 200 OK\nX: y\n\nhello\n")
    assert answer.to("GET") == b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello\n"
    assert answer.closes


def test_smtp(tmp_path: Path) -> None:
    """Takes every message."""
    assert _read(tmp_path, '{"protocol": "smtp"}').mail


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "neither"),
        ("[1]", "no JSON object"),
        ('{"stauts": 1}', "unknown key stauts"),
        ('{"status": 99}', "status 99"),
        ('{"status": true}', "status"),
        ('{"headers": {"A\\r\\nB": "c"}}', "headers"),
        ('{"headers": {"A": "c\\r\\nd: e"}}', "headers"),
        ('{"headers": {"Content-Length": "3"}}', "itself"),
        ('{"headers": []}', "no object"),
        ('{"protocol": "ftp"}', "http or smtp"),
        ('{"protocol": "smtp", "status": 200}', "no other key"),
        ("HTTP/1.1 200 OK", "no whole head"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, reason: str) -> None:
    """Flag, file, what, and how to write it."""
    with pytest.raises(UsageError, match=reason) as error:
        _read(tmp_path, text)
    assert "--stub a:80=answer: " in str(error.value)
    assert str(tmp_path / "answer") in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a folder, too long."""
    (tmp_path / "long").write_bytes(b"x" * (answers.MAX_BYTES + 1))
    for name in ("none", ".", "long"):
        with pytest.raises(UsageError, match="--stub x"):
            answers.read(tmp_path / name, "--stub x")
