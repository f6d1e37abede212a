"""Spellings of paths."""

from __future__ import annotations

import pytest

from shadow_agent.segments.endpoints import Endpoints


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (b"/a/b", "/a/b"),
        (b"/a//b", "/a/b"),
        (b"/a/./b", "/a/b"),
        (b"/x/../a/b", "/a/b"),
        (b"/../../a/b", "/a/b"),
        (b"/%61/b", "/a/b"),
        (b"/a/b;v=1", "/a/b"),
        (b"http://host.example/a/b?c", "/a/b"),
        (b"http://host.example", "/"),
        (b"/a/b#c", "/a/b"),
        (b"/a/b/", "/a/b/"),
        (b"/a/b/..", "/a/"),
        (b"/", "/"),
        (b"*", "*"),
        (b"host:443", "other"),
        (b"", "other"),
        (b"/" + b"a" * 65536, "other"),
        (b"/a" * 40, "other"),
        (b"/a%00b", "/a%00b"),
        (b"/%7Bnumber%7D", "/%7Bnumber%7D"),
        (b"/%2e%2e/a/b", "/a/b"),
        (b"/%ff\xfe", "/%FF%FE"),
        (b"/a%2fb", "/a%2Fb"),
    ],
)
def test_spellings(target: bytes, name: str) -> None:
    """Spellings of one path have one name; what is odd stays encoded, what is too much is other."""
    assert Endpoints().name(target) == name
