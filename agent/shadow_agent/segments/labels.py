"""Labels: endpoint, cohort and region of an exchange, and whether it is a health check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from shadow_agent.http.exchange import Exchange
from shadow_agent.segments.cohort import NONE, Cohorts, Source
from shadow_agent.segments.endpoints import Endpoints
from shadow_agent.segments.health import AGENTS, PATHS, HealthChecks
from shadow_agent.segments.region import Networks

ALL: Final = "all"  # nobody asked for a division
STATUS_CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How exchanges are divided."""

    templates: tuple[str, ...] = ()
    most_endpoints: int = 500  # learned beside those given
    most_words: int = 100  # of one position of the paths, then it is {any}
    cohort: Source | None = None
    most_cohorts: int = 100
    region: Source | None = None
    networks: tuple[tuple[str, str], ...] = ()
    most_regions: int = 300
    health_paths: tuple[str, ...] = PATHS
    health_agents: tuple[str, ...] = AGENTS


class Labels(NamedTuple):
    """What one exchange belongs to. Names are short, plain and few."""

    endpoint: str
    cohort: str
    region: str
    health: bool


class Segmenter:
    """One worker's."""

    __slots__ = ("_cohorts", "_health", "_networks", "_regions", "endpoints")

    def __init__(self, terms: Terms) -> None:
        """Raises ValueError for what is no template or network."""
        self.endpoints = Endpoints(
            terms.templates, most_names=terms.most_endpoints, most_words=terms.most_words
        )
        self._cohorts = None if terms.cohort is None else Cohorts(terms.cohort, terms.most_cohorts)
        self._regions = None if terms.region is None else Cohorts(terms.region, terms.most_regions)
        self._networks = Networks(terms.networks) if terms.networks else None
        self._health = HealthChecks(terms.health_paths, terms.health_agents)

    def of(self, exchange: Exchange) -> Labels:
        """Once production has answered, or will not."""
        cohorts, regions, networks = self._cohorts, self._regions, self._networks
        region = ALL
        if regions is not None:
            region = regions.find(exchange)
        if networks is not None and region in {ALL, NONE}:
            region = networks.find(exchange.client[0])
        request = exchange.request
        return Labels(
            self.endpoints.name(request.target, exchange.status),
            ALL if cohorts is None else cohorts.find(exchange),
            region,
            self._health.is_one(request.target, request.raw),
        )

    @property
    def overflowed(self) -> dict[str, int]:
        """Exchanges that are counted under `other`, by what there was too much of."""
        counts = {
            "endpoint": self.endpoints.overflowed,
            "cohort": 0 if self._cohorts is None else self._cohorts.overflowed,
            "region": 0 if self._regions is None else self._regions.overflowed,
        }
        return {name: n for name, n in counts.items() if n}


def status_class(status: int | None) -> str:
    """``2xx`` and so on; ``none`` where there is no answer."""
    return STATUS_CLASSES[0 if status is None else min(status // 100, 5)]
