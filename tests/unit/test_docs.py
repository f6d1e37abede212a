"""What the documentation lists is what the code has."""

from dataclasses import fields
from pathlib import Path

from shadow_agent.telemetry.lines import LINES

DOCS = Path(__file__).resolve().parents[2] / "docs"


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


def test_every_decision_is_listed() -> None:
    """In the index and in the site's navigation."""
    index = (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")
    site = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    for decision in sorted((DOCS / "decisions").glob("0*.md")):
        assert decision.name in index
        assert f"decisions/{decision.name}" in site
