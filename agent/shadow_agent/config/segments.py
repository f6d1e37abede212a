"""``[segments]``: into which groups exchanges are divided, each judged for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shadow_agent.config import parse
from shadow_agent.config.key import Key, Section
from shadow_agent.policy.template import Template
from shadow_agent.segments.cohort import By, Source
from shadow_agent.segments.health import AGENTS, PATHS
from shadow_agent.segments.labels import Terms
from shadow_agent.segments.openapi import MAX_BYTES, templates_of
from shadow_agent.segments.region import Networks

_MAX_LISTED: Final = 1000
_MAX_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class OpenApi:
    """A document of the service, read when the configuration was."""

    path: Path
    templates: tuple[str, ...]

    def __str__(self) -> str:
        """As it is written."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Region:
    """By what a request says, else by a table of networks; neither: all are one."""

    source: Source | None = None
    networks: tuple[tuple[str, str], ...] = ()

    def written(self) -> str | list[str] | None:
        """As the file takes it."""
        if self.source is not None:
            return str(self.source)
        return [f"{network} {name}" for network, name in self.networks] or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """How exchanges are divided."""

    # Paths such as /orders/{id}; what none matches is learned.
    templates: tuple[str, ...] = ()
    # Paths of an OpenAPI 3 document in JSON, behind those in `templates`.
    openapi: OpenApi | None = None
    # Different words at one place of learned paths; over it they are {any} there.
    max_words: int = 100
    # header:NAME, cookie:NAME, jwt:CLAIM or body:JSONPATH.
    cohort: Source | None = None
    # Cohorts told apart; the rest is summed under other.
    max_cohorts: int = 100
    # header:NAME, or networks: ["192.0.2.0/24 eu", ...]; the narrowest counts.
    region: Region = Region()
    # Paths of health checks, and how the User-Agent of one begins.
    health: tuple[str, ...] = PATHS
    health_agents: tuple[str, ...] = AGENTS

    def terms(self, most_endpoints: int) -> Terms:
        """For a worker."""
        openapi = () if self.openapi is None else self.openapi.templates
        return Terms(
            templates=self.templates + openapi,
            most_endpoints=most_endpoints,
            most_words=self.max_words,
            cohort=self.cohort,
            most_cohorts=self.max_cohorts,
            region=self.region.source,
            networks=self.region.networks,
            health_paths=self.health,
            health_agents=self.health_agents,
        )


def _texts(value: object) -> list[str]:
    if not isinstance(value, list | tuple):
        # one kind of error for load to translate, whatever is wrong
        raise ValueError(f'{value!r} is not a list; write ["...", "..."]')  # noqa: TRY004
    if len(value) > _MAX_LISTED:
        raise ValueError(f"{len(value)} are too many; give at most {_MAX_LISTED}")
    return [parse.text(one) for one in value]


def _templates(value: object) -> tuple[str, ...]:
    return tuple(Template(text).text for text in _texts(value))


def _openapi(value: object) -> OpenApi:
    path = parse.folder(value)
    try:
        with path.open("rb") as source:
            document = source.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; name a file that can be read") from error
    try:
        return OpenApi(path, templates_of(document))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _source(value: object) -> Source:
    return Source.parse(parse.text(value))


def _region(value: object) -> Region:
    if isinstance(value, str):
        source = Source.parse(parse.text(value))
        if source.by is not By.HEADER:
            raise ValueError(f"{value!r} is no region; write header:X-Region or a list of networks")
        return Region(source)
    table = []
    for text in _texts(value):
        network, _, name = text.partition(" ")
        name = name.strip()
        if not name or len(name) > _MAX_NAME or not name.isprintable():
            raise ValueError(f'{text!r} names no region; write "192.0.2.0/24 eu"')
        table.append((network, name))
    Networks(table)
    return Region(networks=tuple(table))


def _paths(value: object) -> tuple[str, ...]:
    found = tuple(_texts(value))
    for path in found:
        if not path.startswith("/") or not path.isascii() or "?" in path or " " in path:
            raise ValueError(f"{path!r} is no path; write it as it is sent, such as /healthz")
    return found


def _agents(value: object) -> tuple[str, ...]:
    found = tuple(_texts(value))
    for agent in found:
        if not agent.isascii() or len(agent) > _MAX_NAME:
            raise ValueError(
                f"{agent!r} begins no User-Agent; give at most {_MAX_NAME} of ASCII's characters"
            )
    return found


def _text(value: object) -> str | None:
    return None if value is None else str(value)


_KEYS: Final[Mapping[str, Key]] = {
    "cohort": Key("cohort", _source, _text),
    "health": Key("health", _paths),
    "health-agents": Key("health_agents", _agents),
    "max-cohorts": Key("max_cohorts", parse.whole(1, 10_000)),
    "max-words": Key("max_words", parse.whole(2, 10_000)),
    "openapi": Key("openapi", _openapi, _text),
    "region": Key("region", _region, Region.written),
    "templates": Key("templates", _templates),
}
SEGMENTS: Final = Section("segments", Segments, _KEYS)
