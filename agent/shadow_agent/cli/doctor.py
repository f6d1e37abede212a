"""``shadow-agent doctor``: can this host do it, and if not, what is the fix."""

from __future__ import annotations

import json as codec
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from shadow_agent.cli.options import (
    AllowSameInterface,
    ConfigFile,
    DataDir,
    Debug,
    Iface,
    Isolate,
    IsolateAddress,
    IsolateGateway,
    Json,
    Port,
    Shadow,
    ShadowIface,
    Target,
    User,
)
from shadow_agent.config import merge
from shadow_agent.errors import ExitCode, one_line

if TYPE_CHECKING:
    from shadow_agent.kernel.features import Finding

_WORDS = {True: "ok", None: "warn", False: "no"}


def doctor(
    allow_same_interface: AllowSameInterface = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    debug: Debug = None,
    iface: Iface = None,
    isolate: Isolate = None,
    isolate_address: IsolateAddress = None,
    isolate_gateway: IsolateGateway = None,
    json: Json = None,
    port: Port = None,
    shadow: Shadow = None,
    shadow_iface: ShadowIface = None,
    target: Target = None,
    user: User = None,
) -> ExitCode:
    """Check whether this host can do it, and name the fixes.

    Each line is ok, warn or no, and what to do about it. Give the flags you would give to attach
    (or have them in the configuration file); without them only the kernel is checked. Nothing is
    attached, nothing on the host changes. Exit code 3 when anything is "no".
    """
    flags = {name: value for name, value in locals().items() if name not in {"config", "json"}}
    settings, _ = merge(flags, config)

    from shadow_agent.daemon.doctor import Wanted, check  # noqa: PLC0415 - BPF, netlink

    findings = check(Wanted.of(settings.values))
    if json:
        typer.echo(codec.dumps({"findings": [asdict(one) for one in findings]}))
    else:
        width = max(len(one.name) for one in findings)
        for one in findings:
            typer.echo(line(one, width))
    bad = any(one.ok is False for one in findings)
    return ExitCode.HOST if bad else ExitCode.DONE


def line(finding: Finding, width: int) -> str:
    """One finding as one line, its name padded to ``width``."""
    fix = f" (fix: {finding.fix})" if finding.ok is not True and finding.fix else ""
    return f"{_WORDS[finding.ok]:<4}  {finding.name:<{width}}  {one_line(finding.detail + fix)}"
