"""``[identity]``, ``[[alias]]`` and ``[[namespace]]``."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.config import Config, as_toml, load
from shadow_agent.config.identity import IdentityOptions, cautions, outgoing_settings, place
from shadow_agent.errors import UsageError
from shadow_agent.policy.identity import Forwarded, Marks
from shadow_agent.policy.outgoing import Outgoing, Settings
from shadow_agent.policy.rule import Change, Edit, Part, Place

FLAGS = {"iface": ["eth0"], "port": [80], "shadow": "http://10.0.0.9:80"}
ALL = """
[identity]
marker = "X-Mirrored: yes"
request-id = ""
idempotency-key = "X-Idempotency"
idempotency-prefix = "test-"
forwarded = "forwarded"
aliases = false
session-expiry-s = 60
max-sessions = 10
max-aliases = 11
max-alias-bytes = 12
max-body-bytes = 13

[[alias]]
from = "json:$.csrf"
to = ["header:X-CSRF", "segment:/orders/{id}"]

[[alias]]
from = "cookie:sid"

[[namespace]]
prefix = "ns-"
at = ["header:X-User", "json:$.user.id"]
"""


def config(tmp_path: Path, text: str = "") -> Config:
    """From a file with that text."""
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load(FLAGS, file)


def test_the_defaults(tmp_path: Path) -> None:
    """Marker, id, idempotency key and automatic aliases; the client's address stays here."""
    found = config(tmp_path)
    assert found.identity == IdentityOptions()
    assert outgoing_settings(found.identity, (), (), 64 << 10) == Settings()
    assert found.identity.marker == "X-Shadow-Request: 1"
    assert found.identity.forwarded is Forwarded.OFF
    assert cautions(found.identity, shared_sessions=False) == []


def test_everything(tmp_path: Path) -> None:
    """As it is written, policy gets it; and what is printed loads to the same."""
    found = config(tmp_path, ALL)
    told = outgoing_settings(found.identity, found.aliases, found.namespaces, 7)
    assert told.marks == Marks(
        marker="X-Mirrored: yes",
        request_id="",
        idempotency_key="X-Idempotency",
        idempotency_prefix="test-",
        forwarded=Forwarded.FORWARDED,
    )
    assert not told.automatic
    assert told.alias_limits == (10, 11, 12, 60_000_000_000)
    assert told.limits == (13, 7)
    assert [rule.source for rule in told.aliases] == [
        Place(Part.JSON, "$.csrf"),
        Place(Part.COOKIE, "sid"),
    ]
    assert told.aliases[0].to[1] == Place(Part.SEGMENT, "/orders/{id}")
    assert told.namespaces[1] == Edit(Place(Part.JSON, "$.user.id"), Change.PREFIX, "ns-")
    assert len(Outgoing(told, "run").aliases) == 0
    assert config(tmp_path, as_toml(found)) == found


def test_cautions(tmp_path: Path) -> None:
    """No marker, or sessions that several workers share, is said loudly at the start."""
    found = config(tmp_path, '[identity]\nmarker = ""\n')
    said = cautions(found.identity, shared_sessions=True)
    assert len(said) == 2
    assert "marker is off" in said[0]
    assert "workers = 1" in said[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[identity]\nmarker = "X: a\\r\\nY: b"', "2: identity.marker"),
        ('[identity]\nmarker = "nothing"', "2: identity.marker"),
        (f'[identity]\nmarker = "X: {"v" * 2000}"', "2: identity.marker"),
        ('[identity]\nmarker = "Content-Length: 1"', "2: identity.marker"),
        ('[identity]\nrequest-id = "a b"', "2: identity.request-id"),
        ('[identity]\nidempotency-prefix = "a\\"b"', "2: identity.idempotency-prefix"),
        (
            '[identity]\nmarker = "X-A: 1"\nrequest-id = "x-a"',
            "2: identity.marker: two marks in one field, x-a",
        ),
        (
            '[identity]\nrequest-id = "Forwarded"\nforwarded = "forwarded"',
            "2: identity.request-id: two marks in one field, Forwarded",
        ),
        ('[identity]\nforwarded = "via"', "2: identity.forwarded"),
        ("[identity]\nmax-body-bytes = 99999999", "2: identity.max-body-bytes"),
        ('[[alias]]\nfrom = "query:id"', "1: alias 1: query:id is in no answer"),
        ('[[alias]]\nfrom = "json:$["', "2: alias 1.from"),
        ('[[alias]]\nfrom = "cookie:a"\nto = ["body:x"]', "3: alias 1.to"),
        ('[[alias]]\nfrom = "cookie:a"\nto = ["segment:/orders"]', "3: alias 1.to"),
        ('[[namespace]]\nprefix = "p"\nat = ["header:Host\\r\\n"]', "3: namespace 1.at"),
        ('[[namespace]]\nprefix = "p"\nat = ["header:Content-Length"]', "1: namespace 1"),
        ('[[namespace]]\nprefix = "a;b"\nat = ["cookie:sid"]', "1: namespace 1"),
    ],
)
def test_slips(tmp_path: Path, text: str, said: str) -> None:
    """File, line, key and fix, in one line."""
    with pytest.raises(UsageError) as caught:
        config(tmp_path, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["header", "header:", "path:/a", "segment:/{a}/{b}", 5])
def test_no_place(text: object) -> None:
    """What names none."""
    with pytest.raises(ValueError, match=r".+"):
        place(text)
