"""The program: builds the app, runs it, and turns every error into one line and an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from shadow_agent import __version__
from shadow_agent.cli import (
    attach,
    audit,
    config,
    ctl,
    detach,
    doctor,
    evidence,
    guard,
    policy,
    privacy,
    read,
    replay,
    selftest,
    status,
)
from shadow_agent.errors import ExitCode, OperatorError, one_line

PROGRAM = "shadow-agent"


def build() -> typer.Typer:
    """The app with its commands. Help is plain text: what people grep and scripts compare."""
    app = _group(
        "Mirror a live HTTP service's traffic from the kernel to a shadow build, and compare the "
        "answers.\n\nExit codes: 0 done, 1 internal error, 2 usage or configuration, 3 this host "
        "cannot do it, 4 shadow unreachable, 10 no-go, 20 inconclusive, 30 invalid."
    )
    app.callback()(_program)
    app.command()(attach.attach)
    audits = _group("Look at the audit log of a data directory.")
    audits.callback()(_nothing)
    audits.command("verify")(audit.verify)
    app.add_typer(audits, name="audit")
    configuration = _group("Look at the configuration.")
    configuration.callback()(_nothing)
    configuration.command("check")(config.check)
    app.add_typer(configuration, name="config")
    control = _group("Change a running attachment without restarting it.")
    for command in (ctl.epoch, ctl.pause, ctl.reload, ctl.resume, ctl.sample):
        control.command()(command)
    app.add_typer(control, name="ctl")
    app.command()(detach.detach)
    app.command()(doctor.doctor)
    app.command()(guard.guard)
    rules = _group("Look at what the rules would do.")
    rules.callback()(_nothing)
    rules.command("test")(policy.test)
    app.add_typer(rules, name="policy")
    stored = _group("Read what was stored of pairs that differ; each read is audited.")
    stored.command("list")(evidence.list_)
    stored.command("show")(evidence.show)
    app.add_typer(stored, name="evidence")
    keys = _group("The key of redaction.")
    keys.callback()(_nothing)
    keys.command("rotate-key")(privacy.rotate_key)
    app.add_typer(keys, name="privacy")
    app.command()(read.read)
    app.command()(replay.replay)
    app.command()(selftest.selftest)
    app.command()(status.status)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. Errors are one line on stderr."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    _open_streams()
    try:
        result = build()(given, prog_name=PROGRAM, standalone_mode=False)
    except OperatorError as error:
        _say(str(error))
        return error.exit_code
    except typer.TyperException as error:
        # a wrong flag or argument: its class is private, its exit code says so
        command = getattr(getattr(error, "ctx", None), "command_path", PROGRAM)
        _say(f"{error.format_message().rstrip('.')}; see `{command} --help`")
        return error.exit_code
    except typer.Abort:
        return ExitCode.INTERNAL
    except Exception as error:  # noqa: BLE001 - the outermost edge
        if "--debug" in given:
            traceback.print_exc()
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        _say(f"internal error: {reason}; run with --debug for the traceback")
        return ExitCode.INTERNAL
    return int(result) if isinstance(result, int) else ExitCode.DONE


def _open_streams() -> None:
    """Standard streams that are open and take any character.

    A file that we open must not become one of them, and no locale may cost the summary.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False, encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _group(text: str) -> typer.Typer:
    return typer.Typer(
        add_completion=False,
        help=text,
        no_args_is_help=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


def _nothing() -> None:
    """Keeps a group one while it has one command."""


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody may be there to read it
        typer.echo(f"{PROGRAM}: {one_line(text)}", err=True)


if __name__ == "__main__":
    sys.exit(main())
