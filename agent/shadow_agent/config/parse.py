"""From a flag's or a key's value to ours, one function per kind.

Each takes what typer or TOML gives and raises ValueError with the reason and the fix, without the
name of the flag or key: ``load`` knows that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from shadow_agent.config.values import SessionKey, SessionKind, ShadowUrl

MAX_TARGET: Final = 64
MAX_WORKERS: Final = 16
# Of anything that is counted: more than there will ever be, and fits where the kernel counts.
MAX_COUNT: Final = 10**15
_MAX_SECONDS: Final = 1e9
_MAX_SPEED: Final = 1e6
_MAX_PORT: Final = 65535
# IFNAMSIZ of linux/if.h, less the NUL.
_MAX_INTERFACE: Final = 15
# As a metrics label and in every record: long enough for a commit id and a tag.
_MAX_BUILD: Final = 128
_HTTP_PORT: Final = 80

_TARGET = re.compile(r"[A-Za-z0-9._-]+")
_NOT_TARGET = re.compile(r"[^A-Za-z0-9._-]")
_PAGE: Final = 4096
# RFC 9110 token.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 1123, and the underscore that container networks use.
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_MAX_HOST: Final = 253


def text(value: object) -> str:
    """A string that is not empty and can be printed."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"{value!r} is not a printable, non-empty string")
    return value


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        # as in whole
        raise ValueError(f"{value!r} is not true or false; write it without quotes")  # noqa: TRY004
    return value


def whole(least: int, most: int | None = None) -> Callable[[object], int]:
    """Whole numbers of ``least`` to ``most``."""

    def convert(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            # one kind of error for load to translate, whatever is wrong
            raise ValueError(  # noqa: TRY004
                f"{value!r} is not a whole number; write it without quotes"
            )
        if value < least or (most is not None and value > most):
            bounds = f"{least} to {most}" if most is not None else f"{least} or more"
            raise ValueError(f"{value} is out of range; give {bounds}")
        return value

    return convert


def number(value: object) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number; write it without quotes")
    return float(value)


def seconds(value: object) -> float:
    """A duration above zero, short enough to be counted in nanoseconds."""
    found = number(value)
    if not 0 < found <= _MAX_SECONDS:
        raise ValueError(f"{found:g} is out of range; give seconds above 0, at most 1e9")
    return found


def fraction(value: object) -> float:
    """A number from 0 to 1."""
    found = number(value)
    if not 0 <= found <= 1:
        raise ValueError(f"{found:g} is out of range; give 0 to 1, such as 0.05 for 5 %")
    return found


def speed(value: object) -> float:
    """How many times as fast as captured; ``max``, infinity, is as fast as the shadow takes it."""
    if value == "max":
        return math.inf
    try:
        found = number(float(value) if isinstance(value, str) else value)
    except ValueError:
        found = 0.0
    if not 0 < found <= _MAX_SPEED:
        raise ValueError(f"{value!r} is no speed; give 1 for as captured, 2 for twice that, or max")
    return found


def one_of(*names: str) -> Callable[[object], str]:
    """One of these names."""

    def convert(value: object) -> str:
        if value not in names:
            raise ValueError(f"{value!r} is unknown; give one of {', '.join(names)}")
        return str(value)

    return convert


def listed(value: object) -> list[object]:
    """One or several: a list is itself, anything else a list of one."""
    found = list(value) if isinstance(value, list | tuple) else [value]
    if not found:
        raise ValueError("an empty list; name at least one")
    return found


def interface(value: object) -> str:
    """The name of an interface, whether or not it exists."""
    name = text(value)
    if len(name) > _MAX_INTERFACE or "/" in name or " " in name or name in {".", ".."}:
        raise ValueError(f"{name!r} cannot be an interface; `ip link` lists their names")
    return name


def interfaces(value: object) -> tuple[str, ...]:
    """One interface or several, each once."""
    return tuple(dict.fromkeys(interface(one) for one in listed(value)))


def ports(value: object) -> tuple[int, ...]:
    """One port or several, each once."""
    port = whole(1, _MAX_PORT)
    return tuple(dict.fromkeys(port(one) for one in listed(value)))


def target(value: object) -> str:
    """A target's name. It becomes a file name and a metrics label."""
    name = text(value)
    if not _TARGET.fullmatch(name) or len(name) > MAX_TARGET or name in {".", ".."}:
        raise ValueError(f"{name!r} cannot be a name; use up to {MAX_TARGET} of A-Z a-z 0-9 . _ -")
    return name


def default_target(names: tuple[str, ...], numbers: tuple[int, ...]) -> str:
    """The name of a target that was given none, from its interfaces and ports: ``eth0-8080``."""
    return _NOT_TARGET.sub("_", "-".join((*names, *map(str, numbers))))[:MAX_TARGET]


def ring_size(value: object) -> int:
    """A ring's size in bytes: a power of two of whole pages, as the kernel wants it."""
    size = whole(_PAGE, 1 << 30)(value)
    if size & (size - 1):
        raise ValueError(f"{size} is no power of two; give 2097152 for 2 MiB")
    return size


def methods(value: object) -> frozenset[str] | None:
    """``GET,HEAD``, or a list of them; ``all`` is None. Upper case is what they are meant in."""
    if isinstance(value, list | tuple):
        names = [text(one) for one in listed(value)]
    else:
        names = [one.strip() for one in text(value).split(",")]
    if [name.lower() for name in names] == ["all"]:
        return None
    for name in names:
        if not _TOKEN.fullmatch(name) or name.lower() == "all":
            raise ValueError(f"{name!r} is no HTTP method; write GET,HEAD or all")
    return frozenset(name.upper() for name in names)


def folder(value: object) -> Path:
    """A folder's absolute path."""
    return Path(text(str(value) if isinstance(value, Path) else value)).absolute()


def build(value: object) -> str:
    """The id of a build."""
    found = text(value)
    if len(found) > _MAX_BUILD:
        raise ValueError(f"{len(found)} characters are too many; give at most {_MAX_BUILD}")
    return found


def session(value: object) -> SessionKey:
    """``connection``, ``header:NAME`` or ``cookie:NAME``."""
    kind, _, name = text(value).partition(":")
    if kind == SessionKind.CONNECTION and not name:
        return SessionKey()
    if kind in {SessionKind.HEADER, SessionKind.COOKIE} and _TOKEN.fullmatch(name):
        return SessionKey(SessionKind(kind), name)
    raise ValueError(f"{value!r} is no session key; write connection, header:NAME or cookie:NAME")


def listen_address(value: object) -> tuple[str, int]:
    """``HOST:PORT`` to listen on, IPv6 in brackets."""
    name, colon, port = text(value).rpartition(":")
    if not colon or not name or not (port.isascii() and port.isdigit()):
        raise ValueError(f"{value!r} is not HOST:PORT; write 127.0.0.1:9464 or [::1]:9464")
    bracketed = name.startswith("[") and name.endswith("]")
    return _host(name[1:-1] if bracketed else name, bracketed), whole(1, _MAX_PORT)(int(port))


def shadow_url(value: object) -> ShadowUrl:
    """``http://HOST:PORT``; the port is 80 if absent."""
    url = text(value)
    example = "write http://HOST:PORT, IPv6 in brackets"
    if "@" in url:
        # the password is not repeated: this line goes into logs
        raise ValueError(
            "a user name in the URL; the captured requests bring their own credentials"
        )
    if " " in url:
        raise ValueError(f"{url!r} has a space in it; {example}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r}: {error}; {example}") from error
    _only_an_endpoint(url, parts, example)
    if port == 0:
        raise ValueError(f"{url!r}: port 0 is not a port; {example}")
    bracketed = parts.netloc.startswith("[")
    host = _host((parts.hostname or "").replace("%25", "%"), bracketed)
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - refused here
        # connecting there means loopback: most likely the tapped service itself
        raise ValueError(f"{url!r} is no address to connect to; name the shadow's own")
    return ShadowUrl(host, port or _HTTP_PORT)


def _only_an_endpoint(url: str, parts: SplitResult, example: str) -> None:
    """Refuse what an endpoint has no use for, rather than drop it unseen."""
    if parts.scheme == "https":
        raise ValueError(f"{url!r}: TLS to the shadow is not supported yet; use a http:// port")
    if parts.scheme != "http" or not url.lower().startswith("http://"):
        raise ValueError(f"{url!r} is no http URL; {example}")
    if parts.path not in {"", "/"} or "?" in url or "#" in url:
        raise ValueError(f"{url!r} goes on after the port; the captured requests bring their paths")
    if not parts.hostname or parts.netloc.endswith(":"):
        raise ValueError(f"{url!r} lacks a host or a port; {example}")


def _host(name: str, bracketed: bool) -> str:
    if bracketed or ":" in name:
        try:
            address = ip_address(name)
        except ValueError as error:
            raise ValueError(
                f"{name!r} is no IPv6 address; write it as in [2001:db8::9]"
            ) from error
        if not bracketed or not isinstance(address, IPv6Address):
            raise ValueError(f"{name!r}: brackets belong around an IPv6 address, and only there")
        # the kernel sends IPv4 packets to a mapped address
        return str(address.ipv4_mapped or address)
    if re.fullmatch(r"[0-9.]+", name):
        try:
            return str(IPv4Address(name))
        except ValueError as error:
            raise ValueError(f"{name!r} is no IPv4 address; write it as in 10.0.0.9") from error
    labels = name.removesuffix(".").split(".")
    if len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{name!r} is no host name; international names go in their xn-- form")
    return name
