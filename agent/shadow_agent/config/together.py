"""What no value of the configuration shows by itself: two of them that do not go together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn

from shadow_agent.config.compare import options_of
from shadow_agent.config.keys import KEYS
from shadow_agent.config.model import Config
from shadow_agent.config.position import Position
from shadow_agent.config.values import endpoint
from shadow_agent.errors import UsageError
from shadow_agent.policy.identity import check_apart

# sun_path of unix(7) holds 108 bytes with the NUL.
_MAX_SOCKET_PATH: Final = 107
_FLAGS: Final = {key.field: f"--{name}" for name, key in KEYS.items()}


class _Places:
    """Where each value was given: in a file, else as a flag."""

    def __init__(self, where: Mapping[str, Position]) -> None:
        self._where = where

    def refuse(self, fields: str, reason: str, fix: str) -> NoReturn:
        """Name the first of these fields (``SECTION.FIELD`` in a section) that a file gives."""
        names = fields.split()
        given = next((str(self._where[name]) for name in names if name in self._where), None)
        place = given or _FLAGS.get(names[0], names[0].replace("_", "-"))
        raise UsageError(f"{place}: {reason}", fix)


def check(config: Config, where: Mapping[str, Position]) -> None:
    """``where``: what `Settings.where` says. Raises UsageError."""
    refuse = _Places(where).refuse
    if config.shadow_interface in config.interfaces and not config.allow_same_interface:
        refuse(
            "shadow_interface interfaces",
            f"{config.shadow_interface} is the tapped interface",
            "give the shadow an interface of its own, or say --allow-same-interface",
        )
    _check_isolation(config, where)
    if config.guard is not None and config.guard_key is None:
        refuse(
            "guard",
            f"{endpoint(*config.guard)} needs --guard-key FILE",
            "copy the key that the guard was started with",
        )
    socket = config.runtime_dir / f"{config.target}.sock"
    if len(str(socket).encode()) + 1 > _MAX_SOCKET_PATH:  # a dot in front while it is made
        refuse(
            "runtime_dir target",
            f"{socket}: too long for a socket, which may have {_MAX_SOCKET_PATH} bytes",
            "give a shorter --target or --runtime-dir",
        )
    if config.limits.max_held_bytes_per_flow > config.limits.max_held_bytes:
        refuse(
            "limits.max_held_bytes_per_flow limits.max_held_bytes",
            "max-held-bytes-per-flow is above max-held-bytes",
            "raise the latter",
        )
    try:
        check_apart(config.identity.marks)
    except ValueError as error:
        marks = ["marker", "request_id", "idempotency_key", "forwarded"]
        reason, _, fix = str(error).partition("; ")
        refuse(" ".join(f"identity.{one}" for one in marks), reason, fix)
    if config.budget.burst is not None and config.budget.requests_per_s is None:
        refuse("budget.burst", "says nothing by itself", "give requests-per-s too")
    if config.budget.bytes_burst is not None and config.budget.bytes_per_s is None:
        refuse("budget.bytes_burst", "says nothing by itself", "give bytes-per-s too")
    if config.gate.ca_file is not None and config.gate.provider.kind != "flagds":
        refuse("gate.ca_file", "says nothing by itself", "write provider = flagds:HOST:PORT")
    if config.breaker.pause_s > config.breaker.longest_pause_s:
        refuse(
            "breaker.pause_s breaker.longest_pause_s",
            "pause-s is above longest-pause-s",
            "raise the latter",
        )
    _check_headers(config, where)


def _check_headers(config: Config, where: Mapping[str, Position]) -> None:
    """What is tolerated of a header that nobody compares."""
    tolerated = [(number, one.header) for number, one in enumerate(config.tolerated) if one.header]
    if not tolerated:
        return
    known = options_of(config.compare, ()).headers
    for number, header in tolerated:
        if header.lower() not in known:
            _Places(where).refuse(
                f"tolerated.{number}",
                f"{header} can never match: it is not among the headers that are compared",
                "name all of them in headers of [compare], or take it out",
            )


def _check_isolation(config: Config, where: Mapping[str, Position]) -> None:
    refuse = _Places(where).refuse
    own, router = config.isolate_address, config.isolate_gateway
    if not config.isolate:
        if own is not None or router is not None:
            field = "isolate_gateway" if own is None else "isolate_address"
            refuse(field, "without --isolate it means nothing", "add --isolate")
        return
    if own is None:
        refuse(
            "isolate",
            "the namespace has no address",
            "give a free one of the shadow's subnet, as in --isolate-address 10.0.0.77/24",
        )
    if router is not None and router not in own.network:
        refuse(
            "isolate_gateway isolate_address",
            f"{router} is not in {own.network}",
            "give the router of that subnet, or correct --isolate-address",
        )
