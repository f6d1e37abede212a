"""What a guard was told to do, checked and resolved before anything is changed on the host."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shadow_agent.config.parse import listen_address
from shadow_agent.daemon.hello import read_key
from shadow_agent.errors import UsageError
from shadow_agent.guard import answers
from shadow_agent.guard.endpoints import (
    Allowed,
    allowed,
    crosses_loopback,
    resolvers,
    stub_places,
)
from shadow_agent.guard.stub import Stub
from shadow_agent.kernel.netlink import addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """As the command line has them."""

    command: tuple[str, ...]
    cgroup: Path
    allow: tuple[str, ...] = ()
    stub: tuple[str, ...] = ()
    resolver: tuple[str, ...] = ()
    user: str | None = None
    hello: str | None = None
    key: Path | None = None
    data_dir: Path = Path("/var/lib/shadow-agent")
    record_bytes: int = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """As they are meant."""

    options: Options
    allowed: tuple[Allowed, ...]
    stubs: tuple[Stub, ...]
    hello: tuple[str, int] | None
    key: bytes  # for hashes of bodies; shared with the agent if there is a key file
    notes: tuple[str, ...]


def make_plan(options: Options, resolv_conf: Path | None = None) -> Plan:
    """Resolve and read everything. Raises UsageError that names the option, and the fix."""
    if not options.command:
        raise UsageError("no COMMAND", "put the shadow build's after `--`: guard … -- ./server")
    open_to = allowed(options.allow)
    more = resolvers(options.resolver) if resolv_conf is None else resolvers((), resolv_conf)
    own: frozenset[str] = frozenset()
    with contextlib.suppress(OSError):
        own = addresses()
    notes = [
        f"--allow {network}: every service of this host can be called, a mail relay too"
        for network in crosses_loopback(open_to, own)
    ]
    if not more:
        notes.append("no resolver is configured here: names cannot be looked up")
    if options.hello is not None and options.key is None:
        raise UsageError("--hello needs --guard-key FILE", "make one, see `guard --help`")
    return Plan(
        options=options,
        allowed=(*open_to, *more),
        stubs=tuple(_stubs(options.stub)),
        hello=None if options.hello is None else _address(options.hello),
        key=secrets.token_bytes(32) if options.key is None else read_key(options.key),
        notes=tuple(notes),
    )


def _address(written: str) -> tuple[str, int]:
    try:
        return listen_address(written)
    except ValueError as error:
        raise UsageError(f"--hello {error}") from error


def _stubs(written: Sequence[str]) -> list[Stub]:
    """One per address and port; its answers by method."""
    found: dict[tuple[str, int], Stub] = {}
    for text, place in zip(written, stub_places(written), strict=True):
        flag = f"--stub {text}"
        answer = answers.read(place.file, flag)
        if answer.mail and place.method:
            raise UsageError(f"{flag}: SMTP has no method {place.method}", "leave it out")
        for address in place.addresses:
            where = (address, place.port)
            before = found.setdefault(where, Stub(place.host, address, place.port)).answers
            if place.method in before:
                raise UsageError(f"{flag}: was given before", "give one answer for each method")
            if before and (answer.mail or any(one.mail for one in before.values())):
                raise UsageError(f"{flag}: speaks both SMTP and HTTP", "give it one answer")
            found[where] = Stub(place.host, address, place.port, {**before, place.method: answer})
    return list(found.values())
