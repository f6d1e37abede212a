"""The gate's client of flagd, over gRPC; imported in the gate's own process only.

Everything that the environment could change of it is said: the gate is asked what the
configuration names, each time anew.
"""

from __future__ import annotations

from typing import Final

import grpc._channel
import grpc.experimental
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import CacheType, ResolverType
from openfeature.provider import FeatureProvider

# More often a server in Go takes for an attack; the provider's own value is a second.
_KEEP_ALIVE_MS: Final = 360_000


def make(place: str, timeout_s: float, *, tls: bool, trusted: bytes | None) -> FeatureProvider:
    """``place`` is HOST:PORT; ``trusted``: PEM certificates, None for those that gRPC brings."""
    host, _, port = place.rpartition(":")
    provider: FeatureProvider = FlagdProvider(
        host=host,
        port=int(port),
        tls=tls,
        channel_credentials=grpc.ssl_channel_credentials(trusted) if tls else None,
        deadline_ms=round(timeout_s * 1000),
        resolver_type=ResolverType.RPC,
        cache=CacheType.DISABLED,
        keep_alive_time=_KEEP_ALIVE_MS,
    )
    return provider
