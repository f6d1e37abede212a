"""The rules between the rooms, read from the source: who imports whom, size, test twins, paths."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "agent" / "shadow_agent"

# In order of dependency: a room imports only rooms before it. That is the path of data, but for
# flow, which stands first because its Segment is what kernel and capture decode into.
ROOMS = (
    "errors",
    "flow",
    "kernel",
    "capture",
    "http",
    "policy",
    "replay",
    "compare",
    "calls",
    "segments",
    "verdict",
    "records",
    "telemetry",
    "report",
    "config",
    "daemon",
    "guard",
    "offline",
    "selftest",
    "cli",
)

# Rooms that get bytes, records and `now`, and return values. They import each other only.
SANS_IO = frozenset({"flow", "http", "policy", "compare", "calls", "segments", "verdict"})

# Pure modules that live in a room with edges: values and sums. They are held to the sans-io rule,
# and later sans-io rooms may import them.
PURE_MODULES = frozenset(
    {
        "records.row",
        "replay.reply",
        "telemetry.breakers",
        "telemetry.check",
        "telemetry.endpoints",
        "telemetry.histogram",
        "telemetry.ledger",
        "telemetry.lines",
        "telemetry.load",
        "telemetry.lowered",
        "telemetry.reasons",
        "telemetry.snapshot",
        "telemetry.tally",
    }
)

# Names for outcomes and losses, and strict readings of what a worker says. They move no data, so
# rooms earlier on the path may use them.
VOCABULARY = frozenset({"telemetry.check", "telemetry.reasons"})

# Libraries that compute and touch nothing.
PARSERS = frozenset(
    {"brotli", "dpkt", "httptools", "jsonpath_rfc9535", "numpy", "orjson", "re2", "zstandard"}
)

# The standard library minus what reaches outside: the network, other threads, clocks, the
# process, files, the log.
IMPURE = frozenset(
    {
        *("asyncio", "concurrent", "contextvars", "ctypes", "fcntl", "ftplib", "glob", "http"),
        *("io", "locale", "logging", "mmap", "multiprocessing", "os", "pathlib", "platform"),
        *("queue", "random", "sched", "secrets", "select", "selectors", "shutil", "signal"),
        *("socket", "socketserver", "ssl", "subprocess", "sys", "tempfile", "threading", "time"),
        *("urllib", "warnings"),
    }
)
# Exceptions by full name: parsing and formatting only.
PURE_PARTS = ("http.HTTPStatus", "http.cookies", "urllib.parse")

# Each library has one room.
LIBRARY_ROOM = {
    "bcc": "kernel",
    "prometheus_client": "telemetry",
    "pyroute2": "kernel",
    "typer": "cli",
}
# What starts threads and processes or handles signals belongs to the composition roots.
COMPOSITION_ROOTS = ("daemon", "guard", "offline", "selftest")
PROCESS_LIBRARIES = frozenset({"multiprocessing", "signal", "threading"})

MAX_LINES = 300

# Modules without a test_ twin, each with its reason.
NO_TWIN: dict[str, str] = {
    # a whole agent with its own processes: nothing of it works without a loaded tap
    "daemon.account": "tests/net/test_operator.py",
    "daemon.parts": "tests/net/test_operator.py, tests/net/test_mirror.py",
    "daemon.places": "tests/net/test_container.py",
    "daemon.supervisor": "tests/net/test_operator.py, tests/net/test_mirror.py",
    "daemon.watch": "a protocol: mypy checks it",
    "daemon.worker": "tests/net/test_mirror.py, tests/net/test_overflow.py",
    "daemon.worker_process": "tests/net/test_operator.py, tests/net/test_isolation.py",
    # a whole guard with its own processes: nothing of it works without its programs
    "guard.run": "tests/net/test_guard.py",
    # loaded programs and real interfaces
    "kernel.attach": "tests/net/test_attach_ways.py",
    "kernel.bcc_loader": "tests/kernel/test_loaders.py",
    "kernel.bpf": "tests/kernel: every test there speaks to the kernel through it",
    "kernel.counters": "tests/kernel: every packet run there checks the counters",
    "kernel.libbpf_loader": "tests/kernel/test_loaders.py",
    "kernel.load": "tests/kernel/test_loaders.py",
    "kernel.tap": "tests/net/test_attach_ways.py, tests/net/test_container.py",
    # namespaces, devices and a loaded tap
    "selftest.listening": "tests/differential: every case there reads the tap through it",
    "selftest.place": "tests/differential: every case there plays in one",
    "selftest.traffic": "tests/differential/test_relay.py, test_selftest.py",
}


class Import(NamedTuple):
    """One imported name: by whom, what, where."""

    module: str
    name: str
    line: int


def module_name(path: Path) -> str:
    """Dotted name below the package: ``http.body``; a room's ``__init__`` is the room."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def modules() -> list[Path]:
    """Every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def imports_of(source: str, module: str) -> Iterator[Import]:
    """Every import in the source, in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            # A relative import keeps its dots, so that it is told from an absolute one.
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                yield Import(module, f"{base}.{alias.name}", node.lineno)


def broken_rule(found: Import) -> str | None:
    """The rule this import breaks, or None."""
    room = found.module.partition(".")[0]
    top = found.name.partition(".")[0]
    if not room:
        return "the package itself imports nothing, it defines the vocabulary"
    if found.name.startswith("."):
        return "import by the full name"
    if top == "shadow_agent":
        return broken_room_rule(found, room)
    owner = LIBRARY_ROOM.get(top)
    if owner is not None and owner != room:
        return f"{top} belongs to {owner}"
    if top in PROCESS_LIBRARIES and room not in COMPOSITION_ROOTS:
        return f"{top} belongs to {', '.join(COMPOSITION_ROOTS)}"
    if top == "scapy":
        return "scapy belongs to tests"
    if (room in SANS_IO or found.module in PURE_MODULES) and top not in PARSERS:
        if top not in sys.stdlib_module_names:
            return "a pure module imports parsers only"
        if top in IMPURE and not found.name.startswith(PURE_PARTS):
            return "a pure module reaches nothing outside: time and bytes are arguments"
    return None


def is_one_of(target: str, names: frozenset[str]) -> bool:
    """Whether a dotted name is one of these modules, or something in it."""
    return any(f"{target}.".startswith(f"{name}.") for name in names)


def broken_room_rule(found: Import, room: str) -> str | None:
    """The rule between rooms that this import from the package breaks, or None."""
    target = found.name.removeprefix("shadow_agent").removeprefix(".")
    other = target.partition(".")[0]
    if other == "__version__" or is_one_of(target, VOCABULARY):
        return None
    if other not in ROOMS:
        return f"{other} is no room (fix: give it a place in ROOMS)"
    if ROOMS.index(other) > ROOMS.index(room):
        return f"{other} comes after {room}"
    pure_target = other in SANS_IO | {"errors"} or is_one_of(target, PURE_MODULES)
    if (room in SANS_IO or found.module in PURE_MODULES) and not pure_target:
        return f"{found.module} is sans-io, {target} is not"
    return None


def test_rooms_are_known() -> None:
    """Every folder and module at the top of the package has its place in the order."""
    found = {module_name(path).partition(".")[0] for path in modules()} - {"", "__main__"}
    assert found <= set(ROOMS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: module_name(path) or "package")
def test_imports_keep_the_order(path: Path) -> None:
    """Nobody imports a later room, an impure library in a pure room, or another's library."""
    broken = [
        f"line {found.line}: {found.name}: {rule}"
        for found in imports_of(path.read_text(encoding="utf-8"), module_name(path))
        if (rule := broken_rule(found))
    ]
    assert not broken, f"{path.relative_to(ROOT)}: " + "; ".join(broken)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("", "import os"),
        ("flow.stream", "import asyncio"),
        ("flow.stream", "from time import monotonic_ns"),
        ("flow.stream", "from shadow_agent.kernel.layout import RECORD"),
        ("flow.stream", "from shadow_agent.http import head"),
        ("http.head", "from urllib.request import urlopen"),
        ("http.head", "from shadow_agent import config"),
        ("http.head", "from . import body"),
        ("compare.body", "import rich"),
        ("compare.body", "from shadow_agent.replay.client import Client"),
        ("capture.live", "import pyroute2"),
        ("daemon.worker", "from prometheus_client import Counter"),
        ("daemon.worker", "from shadow_agent.cli.main import main"),
        ("replay.client", "import threading"),
        ("telemetry.ledger", "from shadow_agent.kernel.layout import Counter"),
        ("replay.reply", "from shadow_agent.replay.client import Client"),
        ("policy.safety", "from shadow_agent.replay.reply import Reply"),
        ("telemetry.ledger", "import time"),
        ("telemetry.tally", "from shadow_agent.telemetry.exporter import Exporter"),
        ("http.conversation", "from shadow_agent.telemetry.ledger import Ledger"),
        ("telemetry.exporter", "def late():\n    import typer"),
        ("kernel.bpf", "from scapy.all import IP"),
        ("kernel.bpf", "from shadow_agent.nowhere import thing"),
    ],
)
def test_a_broken_rule_is_found(module: str, line: str) -> None:
    """Each rule above catches an import that breaks it."""
    assert [found for found in imports_of(line, module) if broken_rule(found)]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("flow.stream", "from collections.abc import Iterator"),
        ("flow.stream", "from shadow_agent.flow import sequence"),
        ("http.head", "import httptools"),
        ("http.head", "from urllib.parse import urlsplit"),
        ("http.conversation", "from shadow_agent.telemetry.reasons import Unanswered"),
        ("kernel.ring", "from shadow_agent.flow.segment import Segment"),
        ("telemetry.tally", "from shadow_agent.telemetry.ledger import Ledger"),
        ("compare.comparison", "from shadow_agent.replay.reply import Reply"),
        ("daemon.supervisor", "import signal, threading"),
        ("cli.main", "from shadow_agent import __version__"),
    ],
)
def test_an_honest_import_passes(module: str, line: str) -> None:
    """The rules leave alone what the design allows."""
    assert not [found for found in imports_of(line, module) if broken_rule(found)]


@pytest.mark.parametrize("path", modules(), ids=lambda path: module_name(path) or "package")
def test_modules_stay_small(path: Path) -> None:
    """A module of more than 300 lines is two things."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize(
    "path", [path for path in modules() if path.name != "__init__.py"], ids=module_name
)
def test_every_module_has_a_twin(path: Path) -> None:
    """``room/module.py`` is tested by ``tests/unit/room/test_module.py``.

    Modules that only work inside the kernel have theirs in ``tests/kernel/``.
    """
    module = module_name(path)
    relative = path.relative_to(PACKAGE)
    twin = f"test_{path.name}"
    places = [ROOT / "tests" / "unit" / relative.parent / twin]
    if relative.parts[0] == "kernel":
        places.append(ROOT / "tests" / "kernel" / twin)
    has_twin = any(place.is_file() for place in places)
    assert has_twin != (module in NO_TWIN), (
        f"{module} has a twin, remove it from NO_TWIN" if has_twin else f"missing {places[0]}"
    )


def project_files() -> Iterator[Path]:
    """Every text file that belongs to the project: not what was built, fetched or cached."""
    skipped = {".git", ".venv", "build", "dist", "out", "site", "__pycache__", "captures"}
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        inside = any(
            part in skipped or part == ".hypothesis" or part.endswith("_cache") for part in parts
        )
        if path.is_file() and not inside and path.suffix not in {".o", ".pcap", ".pcapng", ".pyc"}:
            yield path


def test_no_file_names_a_machine() -> None:
    """No path of the machine it was written on, anywhere in the project."""
    # In pieces, so that this file does not find itself.
    machine = re.compile("/ro" + "ot/|/wo" + r"rk/(main|shared|steering|\.\w)")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in project_files()
        for number, line in enumerate(
            path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        )
        if machine.search(line)
    ]
    assert not found


def test_the_lock_is_whole() -> None:
    """Every requirement is pinned with a hash, and no registry is named."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--index-url" not in lock
    entries = [entry for entry in re.split(r"\n(?=\w)", lock) if not entry.startswith("#")]
    assert entries
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+ .*\\\n    --hash=sha256:[0-9a-f]{64}", entry), entry


def test_the_lock_covers_the_dependencies() -> None:
    """Whatever pyproject.toml asks for is in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
    assert {re.split(r"[><=~!\[ ]", line)[0] for line in wanted} <= locked
