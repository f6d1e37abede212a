"""``shadow-agent status``: what is attached, and how it is doing."""

from __future__ import annotations

import json as codec
from typing import Any

import typer

from shadow_agent.cli.options import ConfigFile, Debug, Json, RuntimeDir, Target
from shadow_agent.cli.runtime import sockets
from shadow_agent.daemon import client
from shadow_agent.errors import ExitCode, HostError, OperatorError, one_line

# Heading, and the path of the value in an answer.
_COLUMNS = (
    ("target", "target"),
    ("attached", "attached"),
    ("shadow", "shadow"),
    ("state", "state"),
    ("seconds", "duration_s"),
    ("sample", "sample"),
    ("requests", "ledger.requests.started"),
    ("compared", "ledger.pairs.compared"),
    ("differ", "different"),
    ("coverage", "coverage"),
    ("cpu s", "agent.cpu_s"),
    ("MiB", "mib"),
    ("tap ns/packet", "agent.bpf.ns_per_packet"),
)
_RATIOS = frozenset({"sample", "coverage"})


def status(
    config: ConfigFile = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    json: Json = None,
    runtime_dir: RuntimeDir = None,
    target: Target = None,
) -> ExitCode:
    """Show what is attached on this host and how it is doing.

    One line per target, or everything with --json: one target is an object, the ledger included,
    several are {"targets": [...]}. Exit code 3 when nothing is attached.
    """
    folder = sockets(runtime_dir, config)
    asked = client.targets(folder) if target is None else [target]
    answers = []
    failures = []
    for name, answer in client.ask_all(folder, asked, "status").items():
        if not isinstance(answer, OperatorError):
            answers.append({"target": name, **answer})
        elif target is not None:
            raise answer
        elif not isinstance(answer, client.NotAttachedError):  # that one ended since it was listed
            failures.append(answer)
            typer.echo(f"shadow-agent: {answer}", err=True)
    if not answers and not failures:
        raise HostError("nothing is attached", "start one with `shadow-agent attach`")
    if json:
        whole = answers[0] if len(answers) == 1 == len(asked) else {"targets": answers}
        typer.echo(codec.dumps(whole))  # pure ASCII: paths are the wire's own words
    elif answers:
        _print(answers)
    return failures[0].exit_code if failures else ExitCode.DONE


def _print(answers: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - 60 ms that --json need not pay
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table(box=None, pad_edge=False)
    for heading, _ in _COLUMNS:
        table.add_column(heading, overflow="fold")
    for answer in answers:
        memory = (answer.get("agent") or {}).get("max_rss_bytes")
        mib = None if memory is None else memory / (1 << 20)
        known = {"state": state(answer), "mib": mib, **answer}
        table.add_row(*(Text(cell(known, path)) for _, path in _COLUMNS))
    # A pipe has no width: fold nothing there.
    console = Console(soft_wrap=False)
    if not console.is_terminal:
        console = Console(width=1000)
    console.print(table)


def state(answer: dict[str, Any]) -> str:
    """Whether it mirrors, and if not or not all of the sample, who stopped it."""
    if answer.get("tripped"):
        return "stopped by an alert"
    if answer.get("paused"):
        return "paused"
    breaker = answer.get("breaker") or {}
    if breaker.get("state", "closed") != "closed":
        return f"breaker {breaker['state']}: {','.join(breaker['cause'])}"
    governor = answer.get("governor") or {}
    factor = governor.get("factor", 1.0)
    if factor >= 1:
        return "mirroring"
    how = f"at {factor:.0%} of the sample" if factor else "nothing"
    return f"mirroring {how} (governor: {one_line(str(governor.get('cause')))})"


def cell(answer: dict[str, Any], path: str) -> str:
    """The value under a dotted path as text, ``-`` where the agent gave none."""
    value: Any = answer
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return "-"
    if isinstance(value, dict):
        value = [f"{name}:{one}" for name, one in value.items()]
    if isinstance(value, list):
        value = ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.4g}" if path in _RATIOS else f"{value:.0f}"
    return one_line(str(value))
