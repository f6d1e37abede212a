"""Keys: made once, refused where they protect nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.errors import UsageError
from shadow_agent.records.keys import (
    CREDENTIAL,
    REDACTION,
    evidence_key,
    redaction_key,
    rotate_redaction_key,
)


def test_the_redaction_key(tmp_path: Path) -> None:
    """Made on first use, 0600, the same ever after, until it is rotated."""
    key = redaction_key(tmp_path)
    assert len(key) == 32
    assert redaction_key(tmp_path) == key
    assert (tmp_path / REDACTION).stat().st_mode & 0o777 == 0o600
    rotate_redaction_key(tmp_path)
    assert redaction_key(tmp_path) != key
    assert (tmp_path / REDACTION).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [REDACTION]
    with pytest.raises(UsageError):
        redaction_key(tmp_path / "gone")
    with pytest.raises(UsageError):
        rotate_redaction_key(tmp_path / "gone")


def keep(path: Path, data: bytes, mode: int = 0o600) -> Path:
    """A key file."""
    path.touch()
    path.chmod(mode)
    path.write_bytes(data)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_the_evidence_key(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raw or in hexadecimal, from the file named or from systemd."""
    raw = keep(tmp_path / "raw", b"k" * 32)
    assert evidence_key(raw, data) == b"k" * 32
    keep(tmp_path / CREDENTIAL, b"6b" * 32 + b"\n")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(UsageError, match="no key"):
        evidence_key(None, data)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert evidence_key(None, data) == b"k" * 32


@pytest.mark.parametrize(
    ("name", "content", "mode", "reason"),
    [
        ("data/key", b"k" * 32, 0o600, "lies in the data directory"),
        ("data/../data/key", b"k" * 32, 0o600, "lies in the data directory"),
        ("key", b"k" * 32, 0o640, "others may read"),
        ("key", b"k" * 31, 0o600, "no key"),
        ("key", b"", 0o600, "no key"),
        ("key", b"zz" * 32, 0o600, "no key"),
        ("gone/key", None, 0o600, "No such file"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, data: Path, name: str, content: bytes | None, mode: int, reason: str
) -> None:
    """In one line that says what to do."""
    path = tmp_path / name
    if content is not None:
        keep(path, content, mode)
    with pytest.raises(UsageError, match=reason):
        evidence_key(path, data)


def test_a_link_into_the_data_directory(tmp_path: Path, data: Path) -> None:
    """Is followed before it is judged."""
    keep(data / "key", b"k" * 32)
    (tmp_path / "link").symlink_to(data / "key")
    with pytest.raises(UsageError, match="lies in the data directory"):
        evidence_key(tmp_path / "link", data)
