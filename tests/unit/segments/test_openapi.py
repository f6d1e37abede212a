"""Paths of OpenAPI documents."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shadow_agent.segments.openapi import templates_of


def document(**members: Any) -> bytes:
    """One with two paths."""
    whole = {"openapi": "3.1.0", "paths": {"/users": {}, "/users/{id}": {"get": {}}}, **members}
    return orjson.dumps(whole)


def test_paths() -> None:
    """As they are written; extensions are none."""
    assert templates_of(document()) == ("/users", "/users/{id}")
    assert templates_of(document(paths={"/a": {}, "x-note": "b"})) == ("/a",)


def test_servers() -> None:
    """Their paths stand in front, variables at their defaults; a path's own win."""
    servers = [
        {"url": "https://api.example.com/{base}/", "variables": {"base": {"default": "v2"}}},
        {"url": "/v2"},
        {"url": "https://old.example.com"},
    ]
    assert templates_of(document(servers=servers, paths={"/a": {}})) == ("/v2/a", "/a")
    own = {"/a": {"servers": [{"url": "/own"}]}}
    assert templates_of(document(servers=servers, paths=own)) == ("/own/a",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"openapi: 3.1.0\npaths: {}\n", "not JSON in line 1: .*YAML is not read"),
        (b'{"openapi": "3.0.0",\n "paths": {,}}', "not JSON in line 2"),
        (b"[]", "no OpenAPI 3 document"),
        (b'{"swagger": "2.0", "paths": {"/a": {}}}', "no OpenAPI 3 document"),
        (document(paths={}), "without paths"),
        (document(paths=[]), "without paths"),
        (document(paths={"/{a": {}}), "a brace without its other"),
        (document(paths={f"/{n}": {} for n in range(10_001)}), "more than 10000"),
    ],
)
def test_mistakes(text: bytes, reason: str) -> None:
    """One line with the fix."""
    with pytest.raises(ValueError, match=reason) as caught:
        templates_of(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "servers", [None, {}, [None], [{}], [{"url": 1}], [{"url": "http://[::1"}], [{"url": "/"}]]
)
def test_odd_servers_are_none(servers: Any) -> None:
    """What cannot be read puts nothing in front."""
    assert templates_of(document(servers=servers, paths={"/a": {}})) == ("/a",)
