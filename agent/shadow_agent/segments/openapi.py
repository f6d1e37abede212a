"""The paths of an OpenAPI 3 document, as templates."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from shadow_agent.segments.given import MAX_GIVEN, Given

# Of a document: the largest public ones have 12 MB.
MAX_BYTES: Final = 32 << 20
_MAX_SERVERS: Final = 16


def templates_of(document: bytes) -> tuple[str, ...]:
    """Every path, behind the path of every server. Raises ValueError with one line and the fix."""
    if len(document) > MAX_BYTES:
        raise ValueError(f"above {MAX_BYTES} bytes; is it the right file?")
    try:
        whole = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise ValueError(
            f"not JSON in line {error.lineno}: {error.msg.partition(':')[0]}; YAML is not read, "
            "convert it to JSON"
        ) from error
    version = whole.get("openapi") if isinstance(whole, dict) else None
    if not isinstance(version, str) or not version.startswith("3."):
        raise ValueError("no OpenAPI 3 document; its member openapi begins with 3.")
    paths = whole.get("paths")
    if not isinstance(paths, dict) or not paths:
        raise ValueError("an OpenAPI document without paths; name the one of this service")
    made: dict[str, None] = {}
    general = _bases(whole.get("servers"))
    for path, item in paths.items():
        if not path.startswith("/"):
            continue  # x-…: extensions
        own = item.get("servers") if isinstance(item, dict) else None
        for base in _bases(own) if own else general:
            made[base + path] = None
        if len(made) > MAX_GIVEN:
            raise ValueError(f"more than {MAX_GIVEN} paths; leave out what this service lacks")
    Given(made)
    return tuple(made)


def _bases(servers: Any) -> list[str]:
    """The path of each server without a slash at its end; its variables at their defaults."""
    found: dict[str, None] = {}
    for server in servers[:_MAX_SERVERS] if isinstance(servers, list) else ():
        url = server.get("url") if isinstance(server, dict) else None
        if not isinstance(url, str):
            continue
        variables = server.get("variables")
        for name, variable in variables.items() if isinstance(variables, dict) else ():
            default = variable.get("default") if isinstance(variable, dict) else None
            url = url.replace(f"{{{name}}}", str(default))
        try:
            path = urlsplit(url).path
        except ValueError:
            continue
        path = "/" + path.strip("/")
        found["" if path == "/" else path] = None
    return list(found) or [""]
