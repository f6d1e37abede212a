"""``shadow-agent attach``: mirror, compare, and say what was seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shadow_agent.cli.options import (
    AllowSameInterface,
    ConfigFile,
    DataDir,
    Debug,
    DryRun,
    Duration,
    Guard,
    GuardCalls,
    GuardKey,
    Iface,
    Isolate,
    IsolateAddress,
    IsolateGateway,
    JsonSummary,
    Methods,
    Notrack,
    ObserveEgress,
    Port,
    ProductionBuild,
    Requests,
    RequireShadow,
    RuntimeDir,
    Seccomp,
    Session,
    Shadow,
    ShadowBuild,
    ShadowIface,
    Unguarded,
    User,
)
from shadow_agent.config import lasting, load, prepare_data_dir
from shadow_agent.errors import ExitCode


def attach(
    allow_same_interface: AllowSameInterface = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    debug: Debug = None,
    dry_run: DryRun = None,
    duration: Duration = None,
    guard: Guard = None,
    guard_calls: GuardCalls = None,
    guard_key: GuardKey = None,
    iface: Iface = None,
    isolate: Isolate = None,
    isolate_address: IsolateAddress = None,
    isolate_gateway: IsolateGateway = None,
    json: JsonSummary = None,
    loader: Annotated[
        str | None,
        typer.Option(
            "--loader",
            metavar="auto|libbpf|bcc",
            help="How the tap gets into the kernel: built at install (libbpf) or compiled now "
            "(bcc). Default: auto, libbpf if it was built.",
        ),
    ] = None,
    mechanism: Annotated[
        str | None, typer.Option("--mechanism", metavar="auto|tcx|clsact", hidden=True)
    ] = None,
    methods: Methods = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics", metavar="HOST:PORT", help="Serve Prometheus metrics there. Default: no."
        ),
    ] = None,
    notrack: Notrack = None,
    observe_egress: ObserveEgress = None,
    port: Port = None,
    production_build: ProductionBuild = None,
    requests: Requests = None,
    require_shadow: RequireShadow = None,
    runtime_dir: RuntimeDir = None,
    sample: Annotated[
        float | None,
        typer.Option(
            "--sample",
            metavar="FRACTION",
            help="Share of the traffic to mirror, 0 to 1, chosen in the kernel. Default: 1.",
        ),
    ] = None,
    seccomp: Seccomp = None,
    session: Session = None,
    shadow: Shadow = None,
    shadow_build: ShadowBuild = None,
    shadow_iface: ShadowIface = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="NAME",
            help="Name of the attachment, and of its [target.NAME] table. Default: from "
            "interface and port, such as eth0-8080.",
        ),
    ] = None,
    unguarded: Unguarded = None,
    user: User = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", help="Worker processes, 1 to 16. Default: 1."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            metavar="FILE.pcapng",
            help="Keep what was copied, after redaction, in a new file for Wireshark.",
        ),
    ] = None,
    write_limit: Annotated[
        int | None,
        typer.Option(
            "--write-limit", metavar="BYTES", help="How large it may become. Default: 1 GiB."
        ),
    ] = None,
) -> ExitCode:
    """Mirror a service's traffic to a shadow and compare the answers.

    Copies the packets of PORT on IFACE in the kernel, replays the requests to the shadow, drops
    its answers after comparing them, and accounts for every loss. The service is neither
    restarted nor reconfigured, and a slow, dead or hostile shadow does not touch it.

    --iface, --port and --shadow must be given, here or in the configuration file. Ctrl-C detaches,
    drains and prints the summary.
    """
    flags = {name: value for name, value in locals().items() if name != "config"}
    settings = load(flags, config)
    prepare_data_dir(settings.data_dir)

    from shadow_agent.daemon.supervisor import run  # noqa: PLC0415 - most of the package

    return run(settings, lambda: load(flags, lasting(config)))
