"""``[[rule]]``."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from shadow_agent.config import Config, as_toml, load
from shadow_agent.config.rules import MAX_RULES
from shadow_agent.errors import UsageError
from shadow_agent.policy.rule import Action, Change, Edit, Part, Place, Rule

FLAGS = {"iface": ["eth0"], "port": [1], "shadow": "http://s"}
FULL = """
[[rule]]
action = "drop"
path = "/admin/**"

[[rule]]
name = "orders"
action = "rewrite"
method = ["post", "PUT"]
path = "/orders/{id}"
host = "*.Example.com"
header = { X-Plan = "free*", Empty = "" }
source = ["10.0.0.0/8", "::1"]
rewrite = [
  { segment = "id", prefix = "s-" },
  { json = "$.items[*].id", set = "x" },
  { header = "X-Old", remove = true },
  { cookie = "sid", set = "" },
  { query = "a b", set = "\u00e9" },
  { form = "f", prefix = "p" },
]

[[rule]]
action = "tag"
tag = "X-Dry-Run:  1"
"""


def read(folder: Path, text: str) -> Config:
    """The configuration of a file with that text."""
    path = folder / "c.toml"
    path.write_text(text, encoding="utf-8")
    return load(FLAGS, path)


def test_rules_are_read(tmp_path: Path) -> None:
    """In order, each with a name."""
    config = read(tmp_path, FULL)
    assert config.rules == (
        Rule(name="rule 1", action=Action.DROP, path="/admin/**"),
        Rule(
            name="orders",
            action=Action.REWRITE,
            methods=frozenset({"POST", "PUT"}),
            path="/orders/{id}",
            host="*.example.com",
            headers=(("x-plan", "free*"), ("empty", "")),
            sources=(ip_network("10.0.0.0/8"), ip_network("::1/128")),
            edits=(
                Edit(Place(Part.SEGMENT, "id"), Change.PREFIX, "s-"),
                Edit(Place(Part.JSON, "$.items[*].id"), Change.SET, "x"),
                Edit(Place(Part.HEADER, "x-old"), Change.REMOVE),
                Edit(Place(Part.COOKIE, "sid"), Change.SET, ""),
                Edit(Place(Part.QUERY, "a b"), Change.SET, "\u00e9"),
                Edit(Place(Part.FORM, "f"), Change.PREFIX, "p"),
            ),
        ),
        Rule(name="rule 3", action=Action.TAG, tag="X-Dry-Run: 1"),
    )


def test_what_is_printed_loads_to_the_same(tmp_path: Path) -> None:
    """Tables inside of rows too."""
    config = read(tmp_path, FULL)
    assert read(tmp_path, as_toml(config)) == config


def test_a_target_has_rules_of_its_own(tmp_path: Path) -> None:
    """They replace those above, and are not mixed with them."""
    path = tmp_path / "c.toml"
    path.write_text(FULL + '[target.web]\n[[target.web.rule]]\naction = "drop"\n')
    assert [rule.name for rule in load({**FLAGS, "target": "web"}, path).rules] == ["rule 1"]
    assert len(load({**FLAGS, "target": "other"}, path).rules) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('action = "dorp"', ":2: rule 1.action: 'dorp' is unknown; give one of replay, drop, tag"),
        ('path = "/a"', ":1: rule 1: action is missing; give one of replay"),
        ('action = "drop"\npth = "/a"', ":3: rule 1: unknown key pth; did you mean path?"),
        ('action = "drop"\npath = "a"', ":3: rule 1.path: 'a' can never match: a path begins"),
        ('action = "drop"\nmethod = "all"', ":3: rule 1.method: all are not named at once"),
        ('action = "drop"\nmethod = "G T"', ":3: rule 1.method: 'G T' is no HTTP method"),
        ('action = "drop"\nmethod = []', ":3: rule 1.method: an empty list"),
        ('action = "drop"\nmethod = "CONNECT"', ":3: rule 1.method: CONNECT can never match"),
        ('action = "drop"\nhost = "a:80"', ":3: rule 1.host: 'a:80' can never match; write the"),
        ('action = "drop"\nhost = "http://a"', ":3: rule 1.host: 'http://a' can never match: '/'"),
        ('action = "drop"\nhost = "a..b"', ":3: rule 1.host: 'a..b' can never match"),
        ('action = "drop"\nhost = "[a"', ":3: rule 1.host: '[a' can never match; an IPv6"),
        ('action = "drop"\nheader = "X"', ":3: rule 1.header: write the fields as a table"),
        ('action = "drop"\nheader = { "X Y" = "1" }', ":3: rule 1.header: 'X Y' can be no"),
        ('action = "drop"\nheader = { X = "1", x = "2" }', ":3: rule 1.header: x twice"),
        ('action = "drop"\nheader = { X = " 1" }', ":3: rule 1.header: ' 1' can never match"),
        ('action = "drop"\nsource = "10.0.0.1/8"', "names a host, not a network; write 10.0.0.0/8"),
        ('action = "drop"\nsource = "office"', ":3: rule 1.source: 'office' is no network"),
        ('action = "drop"\nsource = "::ffff:10.0.0.0/104"', "can never match: write 10.0.0.0/8"),
        ('action = "drop"\nsource = []', ":3: rule 1.source: an empty list"),
        ('action = "drop"\nname = "\u00e9"', ":3: rule 1.name: '\u00e9' can be no rule's name"),
        ('action = "tag"', ":1: rule 1: action tag and tag do not fit together; write tag ="),
        ('action = "drop"\ntag = "X: 1"', ":1: rule 1: action drop and tag do not fit together"),
        ('action = "tag"\ntag = "X"', ":3: rule 1.tag: 'X' is no header"),
        ('action = "tag"\ntag = "X: a\\r\\nY: b"', "is not a printable"),
        ('action = "tag"\ntag = "X: \u00e9"', "is not ASCII"),
        ('action = "tag"\ntag = "Content-Length: 1"', ":3: rule 1.tag: Content-Length: says where"),
        ('action = "rewrite"', ":1: rule 1: action rewrite and rewrite do not fit together; write"),
        ('action = "rewrite"\nrewrite = [{ header = "X" }]', "give one of header, cookie, query"),
        ('action = "rewrite"\nrewrite = ["X"]', ":3: rule 1.rewrite: 'X' is no table"),
        (
            'action = "rewrite"\nrewrite = [{ header = "X", query = "a", set = "1" }]',
            "give one of header, cookie, query",
        ),
        (
            'action = "rewrite"\nrewrite = [{ haeder = "X", set = "1" }]',
            ":3: rule 1.rewrite: unknown key haeder; give one of header",
        ),
        (
            'action = "rewrite"\nrewrite = [{ header = "Transfer-Encoding", remove = true }]',
            "Transfer-Encoding: says where a request ends",
        ),
        ('action = "rewrite"\nrewrite = [{ header = "Host", remove = true }]', "cannot be removed"),
        ('action = "rewrite"\nrewrite = [{ header = "X", remove = 1 }]', "remove: write true"),
        ('action = "rewrite"\nrewrite = [{ header = "X", prefix = "" }]', "is not a printable"),
        ('action = "rewrite"\nrewrite = [{ cookie = "s", set = "a;b" }]', "no cookie's value"),
        (
            'action = "rewrite"\nrewrite = [{ segment = "id", set = "x" }]',
            ":1: rule 1: rewrite of segment id can never apply: there is no path; write {id}",
        ),
        (
            'action = "rewrite"\npath = "/{no}"\nrewrite = [{ segment = "id", set = "x" }]',
            "can never apply: the path is /{no}; write {id} in path",
        ),
        (
            'action = "rewrite"\nmethod = "GET"\nrewrite = [{ json = "$.a", set = "x" }]',
            ":1: rule 1: rewrite of json $.a can never apply: no method of this rule has a body",
        ),
        (
            'action = "rewrite"\nmethod = "POST"\nrewrite = [{ json = "$.[", set = "x" }]',
            ":4: rule 1.rewrite: not a JSONPath",
        ),
        (
            'action = "drop"\n[[rule]]\naction = "drop"\npath = "/a"',
            ":3: rule 2: rule 2 can never match: all it matches goes to rule 1 above it; put it",
        ),
        (
            'action = "drop"\npath = "/b"\nname = "n"\n[[rule]]\naction = "drop"\nname = "n"',
            ":5: rule 2: the name n is taken",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    """File, line, key, and the fix, in one line."""
    with pytest.raises(UsageError) as caught:
        read(tmp_path, f"[[rule]]\n{text}\n")
    assert str(caught.value).startswith(f"{tmp_path / 'c.toml'}:")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_many(tmp_path: Path) -> None:
    """Their number is bounded."""
    rows = "".join(
        f'[[rule]]\naction = "drop"\npath = "/{number}"\n' for number in range(MAX_RULES + 1)
    )
    with pytest.raises(UsageError, match=f"more than {MAX_RULES} rules"):
        read(tmp_path, rows)


def test_a_rule_has_its_cost(tmp_path: Path) -> None:
    """One if it is not given; what is dropped has none."""
    path = tmp_path / "c.toml"
    flags = {"iface": ["eth0"], "port": [80], "shadow": "http://s"}
    text = '[[rule]]\nname = "a"\naction = "replay"\npath = "/a"\ncost = 2.5\n'
    text += '[[rule]]\nname = "b"\naction = "drop"\npath = "/b"\n'
    path.write_text(text, encoding="utf-8")
    config = load(flags, path)
    assert [rule.cost for rule in config.rules] == [2.5, 1.0]
    path.write_text(as_toml(config), encoding="utf-8")
    assert load({}, path) == config
    path.write_text(text + "cost = 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="what is dropped costs nothing; leave cost out"):
        load(flags, path)
