"""The vault: only the key opens it, and nothing torn or altered is shown."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_agent.records.vault import (
    MAX_RECORD,
    Damage,
    Record,
    VaultWriter,
    opens,
    read_vault,
)

KEY = b"k" * 32


class Vault:
    """A file, its writer and its reader."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC, 0o600)
        self.writer = VaultWriter(self.fd, KEY, "run")

    def read(self, key: bytes = KEY, run: str = "run") -> list[Record | Damage]:
        """All of it."""
        with self.path.open("rb") as source:
            return list(read_vault(source, key, run))

    def texts(self) -> list[bytes]:
        """Of what authenticates."""
        return [one.text for one in self.read() if isinstance(one, Record)]


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """An empty one."""
    return Vault(tmp_path / "a.vault")


def test_records(vault: Vault) -> None:
    """What was written is read, in order; the file shows nothing of it."""
    for text in (b"first", b"", b"third" * 1000):
        vault.writer.append(text)
    found = vault.read()
    assert [one.text for one in found if isinstance(one, Record)] == [
        b"first",
        b"",
        b"third" * 1000,
    ]
    assert [one.number for one in found if isinstance(one, Record)] == [1, 2, 3]
    assert b"first" not in vault.path.read_bytes()
    assert vault.writer.size() == vault.path.stat().st_size


def test_only_the_key_opens_it(vault: Vault) -> None:
    """Nor does a record pass for another run's."""
    vault.writer.append(b"first")
    assert [type(one) for one in vault.read(key=b"K" * 32)] == [Damage]
    assert [type(one) for one in vault.read(run="other")] == [Damage]


@pytest.mark.parametrize("torn", [0, 1, 20, 45, 200])
def test_a_key_that_opens_nothing(vault: Vault, torn: int) -> None:
    """Is told from a file that has no whole record."""
    vault.writer.append(b"first" * 20)
    for key, run in ((KEY, "run"), (b"K" * 32, "run"), (KEY, "other")):
        with vault.path.open("rb") as source:
            assert opens(source, key, run) is ((key, run) == (KEY, "run"))
    os.truncate(vault.path, max(vault.path.stat().st_size - torn, 0) if torn else 0)
    with vault.path.open("rb") as source:
        assert opens(source, KEY, "run")


@settings(max_examples=60)
@given(st.integers(min_value=0), st.integers(1, 255))
def test_no_altered_byte_passes(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    """Wherever it is; the other records are still read."""
    vault = Vault(tmp_path_factory.mktemp("v") / "a.vault")
    for text in (b"first", b"second", b"third"):
        vault.writer.append(text)
    data = bytearray(vault.path.read_bytes())
    data[at % len(data)] ^= bit
    vault.path.write_bytes(bytes(data))
    texts = vault.texts()
    assert set(texts) < {b"first", b"second", b"third"}
    assert len(texts) == 2


@given(st.integers(0, 400))
@settings(max_examples=40)
def test_a_torn_record(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """A crash costs the last one, also when another writer goes on behind it."""
    vault = Vault(tmp_path_factory.mktemp("v") / "a.vault")
    vault.writer.append(b"first")
    whole = vault.path.stat().st_size
    vault.writer.append(b"s" * 300)
    os.truncate(vault.path, whole + cut % (vault.path.stat().st_size - whole))
    assert vault.texts() == [b"first"]
    VaultWriter(vault.fd, KEY, "run").append(b"third")
    assert vault.texts() == [b"first", b"third"]


def test_removed_and_moved_records(vault: Vault) -> None:
    """Show by their numbers."""
    ends = [0]
    for text in (b"first", b"second", b"third"):
        vault.writer.append(text)
        ends.append(vault.writer.size())
    data = vault.path.read_bytes()
    first, second, third = (data[a:b] for a, b in pairwise(ends))
    for order in (first + third, first + third + second, first + first + second):
        vault.path.write_bytes(order)
        assert any(isinstance(one, Damage) for one in vault.read())


def test_too_large(vault: Vault) -> None:
    """Is not written."""
    with pytest.raises(ValueError, match="at most"):
        vault.writer.append(b"x" * (MAX_RECORD + 1))
    assert vault.writer.size() == 0


def test_a_full_disk(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that did not fit is an error."""
    monkeypatch.setattr(os, "write", lambda *_: 5)
    with pytest.raises(OSError, match="no space"):
        vault.writer.append(b"first")


@given(st.binary(max_size=300))
def test_hostile_files(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Raise nothing and show nothing."""
    path = tmp_path_factory.mktemp("v") / "a.vault"
    path.write_bytes(b"\xf5SHADOW\x01" + data)
    with path.open("rb") as source:
        assert all(isinstance(one, Damage) for one in read_vault(source, KEY, "run"))
