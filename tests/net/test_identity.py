"""Logins, tokens and order numbers that each build makes for itself; whose requests are whose."""

from __future__ import annotations

import hashlib
import http.client
import json
import subprocess
from contextlib import ExitStack
from typing import Any

import pytest

from tests.net.agent import (
    COMMAND,
    PATIENCE_S,
    PORT,
    Agent,
    Home,
    Summary,
    at,
    attach_as,
    balanced,
    drained,
    options,
)
from tests.net.requests import ask, connected
from tests.testbed import Testbed, pyserver, shop
from tests.testbed.capture import Capture

DECLARED = """
[[alias]]
from = "json:$.csrf"
to = ["header:X-CSRF-Token", "form:csrf", "json:$.csrf"]
"""
OFF = "[identity]\naliases = false\n"
USERS = ("ann", "bob")
# login, me, three orders with their pages
EACH = 8
FORM = "application/x-www-form-urlencoded"


class Browser:
    """One user of the shop; with a connection for each request if ``apart``."""

    def __init__(self, bed: Testbed, stack: ExitStack, user: str, *, apart: bool) -> None:
        self._bed = bed
        self._stack = stack
        self._user = user
        self._apart = apart
        self._connection: http.client.HTTPConnection | None = None
        self._cookie = ""

    def ask(
        self, method: str, target: str, body: bytes | None = None, **fields: str
    ) -> http.client.HTTPResponse:
        """One request, with the cookie; its answer, read."""
        if self._connection is None or self._apart:
            self._connection = self._stack.enter_context(
                connected(self._bed.client, self._bed.service)
            )
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if self._cookie:
            headers["Cookie"] = f"theme=dark; sid={self._cookie}"
        self._connection.request(method, target, body, headers)
        answer = self._connection.getresponse()
        self.body = answer.read()
        return answer

    def visit(self) -> None:
        """Log in, look, order three times in three ways, and look at each order."""
        answer = self.ask("POST", "/login", f"user={self._user}".encode(), Content_Type=FORM)
        self._cookie = str(answer.headers["Set-Cookie"]).split(";")[0].removeprefix("sid=")
        csrf = json.loads(self.body)["csrf"]
        assert self.ask("GET", "/me").status == 200
        as_json = "application/json"
        for answer in (
            self.ask(
                "POST",
                "/orders",
                b'{"n": 1.0,  "csrf": "%s"}' % csrf.encode(),
                Content_Type=as_json,
            ),
            self.ask("POST", "/orders", f"n=1&csrf={csrf}".encode(), Content_Type=FORM),
            self.ask("POST", "/orders", b"", X_CSRF_Token=csrf),
        ):
            assert answer.status == 303
            assert self.ask("GET", str(answer.headers["Location"])).status == 200


def visits(bed: Testbed, *, apart: bool) -> None:
    """All users, one after the other."""
    with ExitStack() as stack:
        for user in USERS:
            Browser(bed, stack, user, apart=apart).visit()


def attached(bed: Testbed, config: str, *more: str) -> Agent:
    """With every method, and that configuration."""
    home = Home(bed)
    home.path.mkdir(exist_ok=True)
    file = home.path / "config.toml"
    file.write_text(config + "\n[limits]\nring-bytes = 16777216\n")
    every = ("--methods", "all", "--unguarded", "--config", str(file), *more)
    return attach_as(bed, *options(bed), *every, home=home)


def whole(summary: Summary) -> bool:
    """All pairs compared, and the books balance."""
    assert drained(summary["ledger"])
    assert at(summary["ledger"], "pairs.compared") == EACH * len(USERS)
    assert summary["outcomes"] == {"answered": EACH * len(USERS)}
    return balanced(summary)


@pytest.mark.parametrize("how", ["one connection", "a connection each"])
def test_the_shadow_s_own_values_reach_it(bed: Testbed, how: str) -> None:
    """Cookie, token and order number are the shadow's: every answer is as production's."""
    apart = how == "a connection each"
    shop.start(bed.service, "v1")
    shadow = shop.start(bed.shadow, "other")
    agent = attached(bed, DECLARED, *(("--session", "cookie:sid") if apart else ()))
    visits(bed, apart=apart)
    summary = agent.stop()
    assert whole(summary)
    assert summary["status"]["mismatched"] == 0, summary["status"]
    assert summary["diverged"] == 0
    assert summary["reach"] == 1.0
    assert summary["aliases"]["sent"] >= (EACH - 1) * len(USERS)
    got = shadow.requests()
    assert {one["status"] for one in got} == {200, 303}
    ids = [dict(one["headers"])["X-Shadow-Request-Id"] for one in got]
    assert len(set(ids)) == len(got)
    for one in got:
        fields = dict(one["headers"])
        assert fields["X-Shadow-Request"] == "1"
        assert ("Idempotency-Key" in fields) is (one["method"] == "POST")


def test_without_aliases_nothing_matches(bed: Testbed) -> None:
    """The same visits: the shadow knows none of production's sessions."""
    shop.start(bed.service, "v1")
    shop.start(bed.shadow, "other")
    agent = attached(bed, OFF)
    visits(bed, apart=False)
    summary = agent.stop()
    assert whole(summary)
    assert summary["status"]["by_pair"] == {"200→200": 2, "200→401": 8, "303→401": 6}
    assert summary["aliases"] == {}


def test_a_capture_teaches_the_same(bed: Testbed) -> None:
    """Aliases hold in a file's replay as they do live."""
    production = shop.start(bed.service, "v1")
    shop.start(bed.shadow, "other")
    with Capture(bed.service, bed.service_iface, f"tcp port {PORT}") as one:
        visits(bed, apart=False)
    assert len(production.requests()) == EACH * len(USERS)
    home = Home(bed)
    home.path.mkdir(exist_ok=True)
    config = home.path / "config.toml"
    config.write_text(DECLARED)
    done: subprocess.CompletedProcess[str] = bed.prod.run(
        COMMAND, "replay", str(one.pcap), "--shadow", bed.shadow.url(PORT), "--methods", "all",
        "--unguarded", "--speed", "max", "--json", "--config", str(config), timeout=PATIENCE_S,
    )  # fmt: skip
    summary: dict[str, Any] = json.loads(done.stdout)
    assert whole(summary)
    assert summary["status"]["mismatched"] == 0, summary["status"]


def test_a_refused_write_keeps_what_follows_out_of_the_verdict(bed: Testbed) -> None:
    """Compared and counted apart; other connections count as before."""
    pyserver.start(bed.service)
    pyserver.start(bed.shadow)
    agent = attach_as(bed, *options(bed))
    with connected(bed.client, bed.service) as one, connected(bed.client, bed.service) as other:
        for connection, method in ((one, "GET"), (one, "POST"), (one, "GET"), (other, "GET")):
            assert ask(connection, "/d", method, b"x" if method == "POST" else None)[0] == 200
    summary = agent.stop()
    assert at(summary["ledger"], "pairs.compared") == 3
    assert summary["diverged"] == 1
    assert summary["reach"] == 2 / 4
    assert summary["coverage"] == 1.0


PLACES = """
[identity]
forwarded = "x-forwarded-for"

[[namespace]]
prefix = "s-"
at = ["header:X-User-Id", "query:user", "segment:/users/{id}/**", "json:$.user.id"]

[[rule]]
action = "rewrite"
method = "POST"
path = "/users/**"
rewrite = [{ json = "$.mail", set = "x@example.invalid" }, { cookie = "sid", prefix = "c-" }]
"""


def test_marks_and_places_arrive(bed: Testbed) -> None:
    """The client's address, production's key behind a prefix, ids and fields at each place."""
    pyserver.start(bed.service)
    shadow = pyserver.start(bed.shadow)
    home = Home(bed)
    home.path.mkdir()
    config = home.path / "places.toml"
    config.write_text(PLACES)
    agent = attach_as(bed, *options(bed), "--unguarded", "--config", str(config), home=home)
    body = b'{"user": {"id": "7"},  "mail": "jane@example.org", "n": 1.0}'
    headers = {
        "Content-Type": "application/json", "X-User-Id": "7", "Cookie": "theme=dark; sid=1",
        "Idempotency-Key": "k1", "X-Forwarded-For": "192.0.2.9",
    }  # fmt: skip
    with connected(bed.client, bed.service) as connection:
        connection.request("POST", "/users/7/mail?user=7&n=7", body, headers)
        assert connection.getresponse().read()
        agent.wait_compared(1)
    agent.stop()
    (got,) = shadow.requests()
    wanted = b'{"user": {"id": "s-7"},  "mail": "x@example.invalid", "n": 1.0}'
    assert got["target"] == "/users/s-7/mail?user=s-7&n=7"
    assert got["body_sha256"] == hashlib.sha256(wanted).hexdigest()
    fields = {name.lower(): value for name, value in got["headers"]}
    assert len(fields) == len(got["headers"]), "none twice"
    assert fields["x-user-id"] == "s-7"
    assert fields["cookie"] == "theme=dark; sid=c-1"
    assert fields["idempotency-key"] == "shadow-k1"
    assert fields["x-forwarded-for"] == f"192.0.2.9, {bed.client.v4}"
    assert fields["x-shadow-request"] == "1"


def test_a_shadow_s_value_starts_no_other_request(bed: Testbed) -> None:
    """One with a line end in it is counted, and who would carry it is refused, not sent without."""
    pyserver.start(bed.service, answers={"/token": '200:{"csrf":"from-production"}'})
    theirs = r"""200:{"csrf":"x\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n"}"""
    shadow = pyserver.start(bed.shadow, answers={"/token": theirs})
    home = Home(bed)
    home.path.mkdir()
    config = home.path / "alias.toml"
    config.write_text(DECLARED)
    agent = attach_as(bed, *options(bed), "--config", str(config), home=home)
    with connected(bed.client, bed.service) as connection:
        assert ask(connection, "/token")[0] == 200
        agent.wait_compared(1)
        connection.request("GET", "/carries", headers={"X-CSRF-Token": "from-production"})
        assert connection.getresponse().read()
        assert ask(connection, "/without")[0] == 200
        agent.wait_compared(2)
    summary = agent.stop()
    assert [one["target"] for one in shadow.requests()] == ["/token", "/without"]
    assert summary["ledger"]["replay"]["refused"] == {"malformed": 1}
    assert summary["aliases"]["unfit"] == 3, "places that it would go to"


def test_a_call_that_comes_back_is_refused(bed: Testbed) -> None:
    """A request with the marker was replayed once: it is not replayed again."""
    pyserver.start(bed.service)
    shadow = pyserver.start(bed.shadow)
    agent = attach_as(bed, *options(bed))
    with connected(bed.client, bed.service) as connection:
        connection.request("GET", "/loop", headers={"X-Shadow-Request": "1"})
        assert connection.getresponse().read()
        assert ask(connection, "/once")[0] == 200
    summary = agent.stop()
    assert summary["ledger"]["replay"]["refused"] == {"loop": 1}
    assert [one["target"] for one in shadow.requests()] == ["/once"]
