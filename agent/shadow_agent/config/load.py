"""From flags and a file to a Config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shadow_agent.config import file, parse, together
from shadow_agent.config.file import NOTHING, File, Settings
from shadow_agent.config.keys import KEYS, SECTIONS, convert, find
from shadow_agent.config.model import Config
from shadow_agent.config.values import ShadowUrl
from shadow_agent.errors import UsageError

_REQUIRED: Final = {"interfaces": "iface", "ports": "port", "shadow": "shadow"}
_REQUIRED_OF_CAPTURES: Final = {"shadow": "shadow"}

_NO_SHADOW: Final = Settings({"shadow": ShadowUrl("shadow.invalid", 80)}, {}, {})


def load(
    flags: Mapping[str, object],
    path: Path | None = None,
    capture: str | None = None,
    *,
    needs_shadow: bool = True,
) -> Config:
    """The effective configuration: flags over the target's table over the file over defaults.

    ``flags`` are named as on the command line, with ``-`` or ``_``; None is a flag not given.
    ``path`` is ``--config``; without it the system's file counts, if there is one. ``capture``
    is the name of a file that is read instead of interfaces. Where nothing is sent no shadow is
    needed. Raises UsageError.
    """
    settings, found = merge(flags, path)
    if not needs_shadow:
        settings = settings.over(_NO_SHADOW)
    return _made(settings, found, path, capture)


def check(flags: Mapping[str, object], path: Path | None = None) -> tuple[Config, list[str]]:
    """As `load`, with a look at this host's key files too; and notes. Raises UsageError."""
    from shadow_agent.config.keyfile import check_key_files  # noqa: PLC0415 - for this alone

    settings, found = merge(flags, path)
    config = _made(settings, found, path, None)
    return config, check_key_files(found, config)


def _made(settings: Settings, found: File, path: Path | None, capture: str | None) -> Config:
    required = _REQUIRED if capture is None else _REQUIRED_OF_CAPTURES
    missing = [flag for field, flag in required.items() if field not in settings.values]
    if missing:
        raise _incomplete(missing, path, found)
    values = dict(settings.values)
    if capture is not None:
        values.update(interfaces=(), ports=values.get("ports", ()))
        values.setdefault("target", parse.default_target((capture,), values["ports"]))
    values.setdefault("target", parse.default_target(values["interfaces"], values["ports"]))
    sections = {
        one.field: one.make(**settings.sections.get(one.field, {})) for one in SECTIONS.values()
    }
    config = Config(**values, **sections)
    together.check(config, settings.where)
    return config


def merge(flags: Mapping[str, object], path: Path | None = None) -> tuple[Settings, File]:
    """What is set, perhaps incompletely, and the file behind it. Raises UsageError."""
    given = {}
    for written, value in flags.items():
        if value is None or value == []:  # how typer says "not given"
            continue
        flag = f"--{written.replace('_', '-')}"
        key = find(KEYS, written, flag)
        given[key.field] = convert(key, value, flag)
    found = file.read(path)
    name = given.get("target", found.settings.values.get("target"))
    table = found.targets.get(str(name), NOTHING)
    return Settings(given, {}, {}).over(table).over(found.settings), found


def _incomplete(missing: list[str], path: Path | None, found: File) -> UsageError:
    names = " and ".join(f"--{flag}" for flag in missing)
    where = path or file.SYSTEM_FILE
    if found.targets:
        # most likely the rest is in a table that was not chosen
        fix = f"or choose one of its targets with --target: {', '.join(sorted(found.targets))}"
    else:
        fix = f"or write {', '.join(missing)} into {where}"
    return UsageError(f"missing {names}", f"give it on the command line, {fix}")
