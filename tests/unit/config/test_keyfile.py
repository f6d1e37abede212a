"""``config check`` and the key files that tables name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shadow_agent.config import Config, check, keyfile
from shadow_agent.errors import UsageError
from shadow_agent.records.keys import CREDENTIAL

FLAGS: dict[str, object] = {"iface": ["eth0"], "port": [80], "shadow": "http://10.0.0.2:80"}


def checked(folder: Path, text: str) -> tuple[Config, list[str]]:
    """Of a file that says this, KEY being one in a folder."""
    path = folder / "c.toml"
    path.write_text(text.replace("KEY", str(folder / "key")), encoding="utf-8")
    return check(FLAGS, path)


def keep(path: Path, size: int, mode: int = 0o600) -> None:
    """A key file."""
    path.write_bytes(b"k" * size)
    path.chmod(mode)


@pytest.fixture(autouse=True)
def no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def test_a_key_that_opens(tmp_path: Path) -> None:
    """Says nothing; without one there is nothing to look at."""
    keep(tmp_path / "key", 32)
    assert checked(tmp_path, '[privacy]\nevidence = true\nkey-file = "KEY"\n')[1] == []
    assert checked(tmp_path, "")[1] == []


@pytest.mark.parametrize(
    ("size", "mode", "reason"),
    [
        (None, 0, "No such file or directory; make one: head -c 32"),
        (32, 0o644, "others may read or change it; chown root"),
        (31, 0o600, "no key: neither 32 bytes nor 64 hexadecimal digits; make one"),
    ],
)
@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[privacy]\nkey-file = "KEY"\n', "2: privacy.key-file: "),
        ('[privacy]\nevidence = true\nkey_file = "KEY"\n', "3: privacy.key_file: "),
        ('\n\n[target.a.privacy]\nkey-file = "KEY"\n', "4: target.a.privacy.key-file: "),
    ],
)
def test_one_that_does_not(
    tmp_path: Path, text: str, where: str, size: int | None, mode: int, reason: str
) -> None:
    """One line with file, line, key and fix, also for a target that nobody chose."""
    if size is not None:
        keep(tmp_path / "key", size, mode)
    with pytest.raises(UsageError) as raised:
        checked(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path / 'c.toml'}:{where}{tmp_path / 'key'}: ")
    assert reason in str(raised.value)


def test_in_the_data_directory(tmp_path: Path) -> None:
    """That of its own table."""
    keep(tmp_path / "key", 32)
    with pytest.raises(UsageError, match=r"4: target\.a\.privacy\.key-file: .* lies in"):
        checked(
            tmp_path,
            f'[target.a]\ndata-dir = "{tmp_path}"\n[target.a.privacy]\nkey-file = "KEY"\n',
        )


def test_a_pipe(tmp_path: Path) -> None:
    """Is no key, and not waited for."""
    os.mkfifo(tmp_path / "key", 0o600)
    with pytest.raises(UsageError, match="no key"):
        checked(tmp_path, '[privacy]\nkey-file = "KEY"\n')


def test_what_only_the_service_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note while it does not run; once it is there it is looked at."""
    (note,) = checked(tmp_path, "[privacy]\nevidence = true\n")[1]
    assert f"no credential {CREDENTIAL} here" in note
    monkeypatch.setattr(keyfile, "_CREDENTIALS", tmp_path)
    (note,) = checked(tmp_path, '[privacy]\nkey-file = "KEY"\n')[1]
    assert note.startswith(f"{tmp_path / 'c.toml'}:2: privacy.key-file: ")
    assert "not here now" in note
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    keep(tmp_path / CREDENTIAL, 31)
    with pytest.raises(UsageError, match="no key"):
        checked(tmp_path, "[privacy]\nevidence = true\n")
    keep(tmp_path / CREDENTIAL, 32)
    assert checked(tmp_path, "[privacy]\nevidence = true\n")[1] == []
