"""What a target may mean to a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.policy.readings import MAX_ODD_BYTES, MAX_READINGS, fold, read_target


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", b"/"),
        (b"/a/b?c=/../d", b"/a/b"),
        (b"/a/", b"/a/"),
        (b"/a%20b", b"/a b"),
        (b"/%61dmin", b"/admin"),
        (b"/caf%C3%A9", "/caf\u00e9".encode()),
        (b"/a|b", b"/a|b"),
        (b"http://h.example:80/a?b", b"/a"),
        (b"HTTP://h.example", b"/"),
    ],
)
def test_most_have_one_reading(target: bytes, path: bytes) -> None:
    """Decoded, without query and authority."""
    found = read_target(target)
    assert found.paths == (path,)
    assert not found.ambiguous


@pytest.mark.parametrize(
    ("target", "readings"),
    [
        (b"/x/../a", {b"/x/../a", b"/a"}),
        (b"//a", {b"//a", b"/a", b"/"}),
        (b"//h/a", {b"//h/a", b"/h/a", b"/a"}),
        (b"/a;v=1/b", {b"/a;v=1/b", b"/a/b"}),
        (b"/x\\a", {b"/x\\a", b"/x/a"}),
        (b"/%2561", {b"/%61", b"/a"}),
        (b"/x%2fa", {b"/x\x00a", b"/x/a"}),
        (b"/a%00.png", {b"/a\x00.png", b"/a"}),
        (b"/a%3fx", {b"/a?x", b"/a"}),
        (b"/a#x", {b"/a#x", b"/a"}),
        (b"/./a", {b"/./a", b"/a"}),
        (b"/a/..", {b"/a/..", b"/"}),
        (b"/x/..;/a", {b"/x/..;/a", b"/x/../a", b"/a"}),
        (b"/x/%2e%2e/a", {b"/x/../a", b"/a"}),
    ],
)
def test_odd_ones_have_several(target: bytes, readings: set[bytes]) -> None:
    """Each step is taken by some server and not by another."""
    assert set(read_target(target).paths) == readings


@pytest.mark.parametrize(
    "target",
    [
        b"/a;/..%2f%5c%252e/./b//c",
        b"/;" + b"a" * MAX_ODD_BYTES,
        b"admin",
        b"http://h\\admin",
        b"http://h#a",
    ],
)
def test_too_many_readings(target: bytes) -> None:
    """Then it is ambiguous, and costs no more."""
    assert read_target(target) == ((), read_target(target).authority, True)


def test_no_path() -> None:
    """OPTIONS's asterisk; an authority is told, without whom it is for."""
    assert read_target(b"*") == ((), None, False)
    assert read_target(b"http://u:p@h:8080/a").authority == b"h:8080"


@pytest.mark.parametrize(
    ("path", "folded"),
    [
        (b"/ADMIN/", b"/admin"),
        (b"/", b""),
        (b"/admin\n", b"/admin"),  # $ of most regular expressions takes it
        (b"/admin /", b"/admin"),
        ("/\uff41\u212a\u00df".encode(), b"/akss"),
        (b"/\xff", "/\ufffd".encode()),
    ],
)
def test_fold(path: bytes, folded: bytes) -> None:
    """Case, compatibility forms, and a slash or white space at the end make no difference."""
    assert fold(path) == folded


@given(st.binary(max_size=200))
def test_whatever_the_bytes(rest: bytes) -> None:
    """Bounded, and every reading is a path."""
    found = read_target(b"/" + rest)
    assert len(found.paths) <= MAX_READINGS
    assert bool(found.paths) != found.ambiguous
    assert all(path.startswith(b"/") for path in found.paths)
