"""JSON: members, paths, numbers."""

from __future__ import annotations

import json

import pytest

from shadow_agent.policy.jsonpath import Path
from shadow_agent.policy.redact_json import JsonRedactor, WithheldError
from shadow_agent.policy.redact_text import TextRedactor
from shadow_agent.policy.redact_token import Tokens

TEXT = TextRedactor(Tokens(b"k" * 32))


def redact(document: object, *paths: str) -> object:
    """What is left of a document."""
    redactor = JsonRedactor(TEXT, [Path(path) for path in paths])
    return json.loads(redactor.redact(json.dumps(document).encode()))


def test_numbers() -> None:
    """A card number without quotes is one; other numbers stay numbers."""
    done = redact([4111111111111111, 4111111111111111.0, 5, 1.5, -3, 1e300, True, None])
    assert isinstance(done, list)
    assert [str(one)[:6] for one in done[:2]] == ["~card.", "~card."]
    assert done[2:] == [5, 1.5, -3, 1e300, True, None]


def test_names_of_members() -> None:
    """A secret may be a name; a secret name's value goes whole, unless it says nothing."""
    done = redact({"a@b.example": 1, "token": {"x": [1]}, "secret": None, "has_password": True})
    assert isinstance(done, dict)
    assert "a@b.example" not in done
    assert str(done["token"]).startswith("~secret.")
    assert (done["secret"], done["has_password"]) == (None, True)


@pytest.mark.parametrize(
    "row",
    [
        {"name": "password", "value": "hunter2"},
        {"value": ["hunter2"], "required": True, "name": "db_pass"},
        {"Key": "X-Auth-Code", "Value": "hunter2"},
        {"id": 7, "field": "userPwd", "content": {"x": "hunter2"}},
    ],
)
def test_rows_of_names_and_values(row: dict[str, object]) -> None:
    """A value beside the name of a secret, in any order."""
    done = redact(row)
    assert isinstance(done, dict)
    assert "hunter2" not in json.dumps(done)
    assert set(done) == set(row)
    harmless = {"name": "colour", "value": "hunter2"}
    assert redact(harmless) == harmless


def test_paths() -> None:
    """All they lead to, also places within places, and the document itself."""
    done = redact({"a": {"a": 1, "b": 2}, "c": 3}, "$..a", "$.nowhere")
    assert isinstance(done, dict)
    assert str(done["a"]).startswith("~json.")
    assert done["c"] == 3
    assert str(redact([1], "$")).startswith("~json.")


@pytest.mark.parametrize("data", [b"", b"{", b"NaN", b"\xff", b"{}{}", b"[" * 70 + b"]" * 70])
def test_what_is_none(data: bytes) -> None:
    """Is withheld."""
    with pytest.raises(WithheldError):
        JsonRedactor(TEXT).redact(data)
