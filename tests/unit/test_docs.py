"""What the documentation lists is what the code has."""

import ast
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from shadow_agent.config import GovernorConfig, Limits
from shadow_agent.config.budget import Budget
from shadow_agent.policy.breaker import BreakerTerms
from shadow_agent.policy.governor import Cause
from shadow_agent.telemetry.lines import LINES
from shadow_agent.telemetry.reasons import EvidenceLost, Overload, Reason, Withheld

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]

_find_tests = re.compile(r"`(tests/[\w/]+\.py)::(\w+)(\[[^`]+\])?`").findall
# Links to files: not to another site, not within the page.
_find_links = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)(?:#[^)\s]*)?\)").findall


@cache
def functions_of(path: Path) -> frozenset[str]:
    """The tests of a file, without parameters."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def missing_tests(text: str) -> list[str]:
    """Tests that a page names and that are not there."""
    named = set(_find_tests(text))
    absent = [
        f"{path}::{name}{parameters}"
        for path, name, parameters in named
        if not (ROOT / path).is_file() or name not in functions_of(ROOT / path)
    ]
    wanted = {f"{path}::{name}{parameters}" for path, name, parameters in named if parameters}
    wanted -= set(absent)
    return sorted(absent + list(wanted - collected({one.partition("::")[0] for one in wanted})))


def collected(paths: set[str]) -> set[str]:
    """Every id in these files, parameters included."""
    if not paths:
        return set()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines())


def broken_links(page: Path, text: str) -> list[str]:
    """Links to files that are not there."""
    return [link for link in _find_links(text) if not (page.parent / link).exists()]


def test_reference_lists_every_name_of_the_ledger() -> None:
    """Each name and reason, with the words the code has for it."""
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    rows = {
        f"| `{field.name}.{reason}` | {reason.meaning} |"
        if reason is not None
        else f"| `{field.name}` | {line.meaning(field.name)} |"
        for line in LINES.values()
        for field in fields(line)
        for reason in line.REASONS.get(field.name, [None])
    }
    assert [row for row in sorted(rows) if row not in text] == []


def test_reference_lists_what_opens_the_breaker() -> None:
    """In the words of the code."""
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    rows = [f"| `{cause}` | {cause.meaning} |" for cause in Overload]
    assert [row for row in rows if row not in text] == []


@pytest.mark.parametrize(
    ("table", "reasons"),
    [("`withheld`", Withheld), ("`evidence.lost`, `written.lost`", EvidenceLost)],
)
def test_privacy_lists_every_reason(table: str, reasons: type[Reason]) -> None:
    """Each with the code's words, and none that the code has not."""
    text = (DOCS / "privacy.md").read_text(encoding="utf-8")
    rows = text.split(f"| {table} | When |\n|---|---|\n")[1].split("\n\n")[0].splitlines()
    assert sorted(rows) == sorted(f"| `{reason}` | {reason.meaning} |" for reason in reasons)


@pytest.mark.parametrize(("table", "made"), [("breaker", BreakerTerms), ("budget", Budget)])
def test_operations_shows_every_key(table: str, made: type[BreakerTerms | Budget]) -> None:
    """Of the budgets and the breaker, whose defaults it gives."""
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    shown = tomllib.loads(text.split(f"```toml\n[{table}]\n")[1].split("```")[0])
    assert set(shown) == {one.name.replace("_", "-") for one in fields(made)}
    if made is BreakerTerms:
        terms = BreakerTerms(**{key.replace("-", "_"): value for key, value in shown.items()})
        assert terms == BreakerTerms()


def test_reference_lists_every_key_of_the_governor() -> None:
    """With the default that the code has, and every cause."""
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    section = text.split("## The governor\n")[1].split("\n## ")[0]
    config = GovernorConfig()
    derived = {"cpu": "half of the host's", "memory": "a quarter of the host's"}
    for one in fields(config):
        value = getattr(config, one.name)
        default = derived.get(one.name, "not set") if value is None else str(value).lower()
        row = rf"\| `{one.name.replace('_', '-')}` \| .* \| {re.escape(default)} \|\n"
        assert re.search(row, section), one.name
    assert [cause for cause in Cause if f"`{cause}`" not in section] == []


def test_every_decision_is_listed() -> None:
    """In the index and in the site's navigation."""
    index = (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")
    site = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    for decision in sorted((DOCS / "decisions").glob("0*.md")):
        assert decision.name in index
        assert f"decisions/{decision.name}" in site


def test_every_test_that_fidelity_names_is_there() -> None:
    """With its parameters; and every row of its tables of cases names one."""
    text = (DOCS / "fidelity.md").read_text(encoding="utf-8")
    rows = [
        line
        for table in text.split("| Case | Test | What we do |\n|---|---|---|\n")[1:]
        for line in table.split("\n\n")[0].splitlines()
    ]
    assert len(rows) > 100
    assert [row for row in rows if not _find_tests(row.split(" | ")[1])] == []
    assert missing_tests(text) == []


def test_every_threat_has_a_test_that_is_there() -> None:
    """A mechanism that nobody shows is a hope."""
    text = (DOCS / "safety.md").read_text(encoding="utf-8")
    rows = [
        line
        for table in text.split("| Threat | Mechanism | Test |\n|---|---|---|\n")[1:]
        for line in table.split("\n\n")[0].splitlines()
    ]
    assert len(rows) > 30
    assert [row for row in rows if not re.search(r"`tests/[^`]+`", row.split(" | ")[2])] == []
    files = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert [name for name in files if not (ROOT / name).is_file()] == []
    assert missing_tests(text) == []


@pytest.mark.parametrize(
    "named",
    [
        "tests/unit/test_nowhere.py::test_docs",
        "tests/unit/test_docs.py::test_nothing",
        "tests/unit/test_docs.py::test_a_test_that_is_missing_is_found[nobody]",
        "tests/unit/test_docs.py::test_every_decision_is_listed[plain]",
    ],
)
def test_a_test_that_is_missing_is_found(named: str) -> None:
    """By its file, its name or its parameters."""
    assert missing_tests(f"| case | `{named}` | what |") == [named]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """To files of this repository."""
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_limits_are_the_configurations() -> None:
    """Each number in fidelity.md beside a key of ``[limits]`` is that key's default."""
    text = (DOCS / "fidelity.md").read_text(encoding="utf-8")
    units = {"": 1, "s": 1, "KiB": 1 << 10, "MiB": 1 << 20}
    said = {
        key: int(number.replace(",", "")) * units[unit]
        for number, unit, key in re.findall(r"\| ([\d,]+) ?(\w*) \(`([\w-]+)`\) \|", text)
    }
    assert {"max-flows", "hold-s", "max-head-bytes"} <= set(said)
    limits = Limits()
    assert said == {key: getattr(limits, key.replace("-", "_")) for key in said}


def test_a_broken_link_is_found() -> None:
    """With or without an anchor; other sites and the page itself are left alone."""
    text = "[a](nowhere.md) [b](index.md#x) [c](gone.md#y) [d](https://example.org/x) [e](#here)"
    assert broken_links(DOCS / "page.md", text) == ["nowhere.md", "gone.md"]
