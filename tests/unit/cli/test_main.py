"""Every error is one line and an exit code, every help text complete."""

import os
import subprocess
import sys

import pytest

from shadow_agent import __version__
from shadow_agent.cli import main, status
from shadow_agent.errors import ExitCode, HostError, ShadowUnreachable

COMMANDS = [
    ["attach"],
    ["config", "check"],
    ["ctl", "epoch"],
    ["ctl", "pause"],
    ["ctl", "resume"],
    ["ctl", "sample"],
    ["detach"],
    ["doctor"],
    ["guard"],
    ["read"],
    ["replay"],
    ["status"],
]


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``status`` raise this."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(status, "sockets", fail)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """On stdout, exit code 0."""
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"shadow-agent {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing command; see `shadow-agent --help`"),
        (["nope"], "No such command 'nope'"),
        (["attach", "--nope"], "--nope; see `shadow-agent attach --help`"),
        (["attach", "--port", "abc"], "Invalid value for '--port'"),
        (["attach", "--port"], "'--port' requires an argument"),
        (["attach", "stray"], "unexpected extra argument"),
        (["ctl"], "Missing command; see `shadow-agent ctl --help`"),
        (["read"], "Missing argument 'FILE'"),
        (["replay", "f.pcap"], "missing --shadow"),
        (["replay", "f.pcap", "--shadow", "http://s", "--speed", "0"], "--speed: '0' is no speed"),
        (["ctl", "sample"], "Missing argument 'FRACTION'"),
        (["ctl", "sample", "2"], "ctl sample: 2 is out of range"),
        (["config"], "Missing command; see `shadow-agent config --help`"),
        (["attach", "--iface", "eth0", "--port", "0"], "--port: 0 is out of range"),
        (["attach", "--iface", "eth0"], "missing --port and --shadow"),
        (["attach", "--config", "absent\n.toml"], "no such file"),
    ],
)
def test_wrong_usage_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """On stderr, exit code 2, nothing on stdout."""
    assert main.main(arguments) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("shadow-agent: ")
    assert captured.err.count("\n") == 1
    assert words.lower() in captured.err.lower()


@pytest.mark.parametrize(
    ("error", "code"), [(HostError("no", "do"), 3), (ShadowUnreachable("no", "do"), 4)]
)
def test_an_operators_error_ends_in_its_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
) -> None:
    """One line with the fix, and never a traceback."""
    fail_with(monkeypatch, error)
    assert main.main(["status", "--debug"]) == code
    assert capsys.readouterr().err == "shadow-agent: no; do\n"


def test_a_defect_is_one_line_unless_debugged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, and how to learn more."""
    fail_with(monkeypatch, ZeroDivisionError("a\nb"))
    assert main.main(["status"]) == ExitCode.INTERNAL
    line = (
        "shadow-agent: internal error: ZeroDivisionError: a b; run with --debug for the traceback\n"
    )
    assert capsys.readouterr().err == line
    assert main.main(["status", "--debug"]) == ExitCode.INTERNAL
    captured = capsys.readouterr().err
    assert captured.startswith("Traceback")
    assert captured.endswith(line)


def test_an_interrupt_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a shell reports SIGINT."""
    fail_with(monkeypatch, KeyboardInterrupt())
    assert main.main(["status"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_lists_flags_by_the_alphabet(
    capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """Each with a text; --help last, as everywhere."""
    assert main.main([*command, "--help"]) == 0
    _, _, text = capsys.readouterr().out.partition("Options:")
    flags = [line.split()[0] for line in text.splitlines() if line.startswith("  --")]
    assert flags[-1] == "--help"
    assert flags[:-1] == sorted(flags[:-1])
    assert len(flags) > 1


def test_streams_that_are_closed_or_narrow() -> None:
    """No file of ours becomes standard error, and no locale costs a character."""
    code = (
        "import os; [os.close(fd) for fd in range(3)]; import sys; sys.stdout = sys.stderr = None;"
        "from shadow_agent.cli.main import main; main(['--version']);"
        "sys.exit(0 if os.open('/dev/null', os.O_RDONLY) > 2 else 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    narrow = "import sys; from shadow_agent.cli.main import main; main(['-h']); print('1→2')"
    found = subprocess.run(
        [sys.executable, "-c", narrow],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.endswith("1\\u21922\n")


def test_the_program_starts_from_a_shell() -> None:
    """As installed: a process, its exit code, and nothing heavy imported for a short answer."""
    code = (
        "import sys; from shadow_agent.cli.main import main; code = main(['detach', '--nope']);"
        "heavy = {'pyroute2', 'rich', 'uvloop', 'prometheus_client', 'asyncio'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (2, ""), found.stderr
