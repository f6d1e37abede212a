"""A secret under a secret's name is in nothing that is stored, of evidence and the file written."""

from __future__ import annotations

import json
import os
import string
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote_to_bytes

from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_agent.compare.comparison import compare
from shadow_agent.config import Config, ShadowUrl
from shadow_agent.daemon.backstage import EvidencePage
from shadow_agent.daemon.evidence import EvidenceSettings, EvidenceSink
from shadow_agent.daemon.written import WriteSink, open_file
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, ResponseHead, parse_request, parse_response
from shadow_agent.policy.redact import RedactionRules
from shadow_agent.records.vault import Record, read_vault
from shadow_agent.replay.reply import ReplyReader

KEY = b"k" * 32
# A window of a secret this long is a leak: half of it helps to guess the rest.
WINDOW = 6

WORDS = (
    *("password", "passwd", "pwd", "pass", "passcode", "passphrase", "secret", "token", "api key"),
    *("access key", "private key", "otp", "otp code", "pin", "pin code", "security code", "auth"),
    *("auth code", "authentication", "authorization", "bearer", "credential", "signature", "csrf"),
    *("jwt", "cvv", "session id", "nonce", "sid", "verification code"),
)
STYLES: dict[str, Callable[[list[str]], str]] = {
    "snake": "_".join,
    "upper": lambda words: "_".join(words).upper(),
    "kebab": "-".join,
    "header": lambda words: "-".join(words).title(),
    "dotted": ".".join,
    "camel": lambda words: words[0] + "".join(word.title() for word in words[1:]),
    "pascal": lambda words: "".join(word.title() for word in words),
    "bracket": lambda words: words[0] + "".join(f"[{word}]" for word in words[1:]),
}  # fmt: skip
NAMES = st.builds(
    lambda before, word, after, style: STYLES[style]([*before, *word.split(" "), *after]),
    st.sampled_from([(), ("user",), ("db",), ("new",), ("x",), ("my", "app")]),
    st.sampled_from(WORDS),
    st.sampled_from([(), ("2",), ("value",), ("confirm",)]),
    st.sampled_from(sorted(STYLES)),
)
# Stored in place of it, to tell what is there anyway.
OTHER = "qwzjvkxq"
# Any text; what a field of a head can carry; what stands for itself everywhere.
TEXTS = st.text(min_size=8, max_size=40).filter(lambda text: text.isprintable())
FIELDS = st.text(string.ascii_letters + string.digits + "!#$%&'()*+,-./:<=>?@[]^_`{|}~ \"\\;")
FIELDS = FIELDS.map(str.strip).filter(lambda text: len(text) >= 8)
PLAIN = st.text(string.ascii_letters + string.digits + "-._~", min_size=8, max_size=40)
SECRETS = TEXTS | FIELDS | PLAIN


# What carries it: documents as services write them, and fields of heads.
DOCUMENTS: dict[str, Callable[[str, str], object]] = {
    "member": lambda name, secret: {name: secret},
    "deep": lambda name, secret: {"a": [{"n": 1, name: {"x": ["y", {"z": secret}]}}]},
    "row": lambda name, secret: [{"name": name, "value": secret}],
    "backwards": lambda name, secret: {"value": [secret], "on": True, "key": name},
    "in a text": lambda name, secret: {"note": json.dumps({name: secret})},
    "row in a text": lambda name, secret: {"note": json.dumps([{"name": name, "value": secret}])},
    "twice": lambda name, secret: {"note": json.dumps({"in": json.dumps({name: secret})})},
}
HEADS = {
    "Cookie": "theme=dark; x=%s",
    "Set-Cookie": "x=%s; Path=/",
    "X-Seen-By": "Bearer %s",
    "Authorization": "Custom %s",
}


def stored(target: str, fields: dict[str, str], kind: str, body: bytes) -> bytes:
    """All that is stored of an exchange whose request and both answers carry these."""
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    request = parse_request(f"POST {target} HTTP/1.1\r\nHost: h\r\n{head}".encode())
    answer = f"HTTP/1.1 200 OK\r\n{head}".encode()
    response = parse_response(answer)
    assert isinstance(request, RequestHead), request
    assert isinstance(response, ResponseHead), response
    exchange = Exchange(1, b"client-address16" + bytes(20), "s", request, 500, 0, 0)
    exchange.response, exchange.answered = response, True
    exchange.response_first_ts = exchange.response_last_ts = 700
    exchange.set_request_body(len(body), body, None)
    exchange.set_response_body(len(body), body, None)
    reader = ReplyReader(1 << 16, 1 << 20)
    reply = reader.expect(head_only=False)
    reader.feed(answer.replace(b"200 OK", b"201 Created") + body)
    seen = compare(exchange, reply, (None, None, None))
    with tempfile.TemporaryDirectory() as folder:
        return _evidence(Path(folder), exchange, reply, seen) + _written(Path(folder), exchange)


def _evidence(folder: Path, *pair: object) -> bytes:
    path = folder / "evidence-0.vault"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    page = EvidencePage(1)
    told = EvidenceSettings((fd,), KEY, KEY, "run", RedactionRules(), 1 << 20, 1000.0, page)
    sink = EvidenceSink(told, 0, _complain)
    sink.take(*pair)  # type: ignore[arg-type]
    sink.close()
    os.close(fd)
    assert page.as_dict() == {"stored": 1, "lost": {}}
    with path.open("rb") as source:
        (record,) = read_vault(source, KEY, "run")
    assert isinstance(record, Record)
    return record.text


def _written(folder: Path, exchange: Exchange) -> bytes:
    shadow = ShadowUrl("s", 80)
    config = Config(
        interfaces=("eth0",), ports=(80,), shadow=shadow, target="web", data_dir=folder
    )  # fmt: skip
    key = folder / "redaction.key"  # ours, because to make one waits for the disk
    key.touch(0o600)
    key.write_bytes(KEY)
    told = open_file(config, folder / "out.pcapng")
    sink = WriteSink(told, 0, _complain)
    sink.ended(exchange)
    sink.close()
    os.close(told.fd)
    assert told.page.as_dict() == {"stored": 1, "lost": {}}
    return (folder / "out.pcapng").read_bytes()


def _complain(error: Exception) -> None:
    raise error


def leaks(secret: str, store: Callable[[str], bytes]) -> list[str]:
    """Pieces of it that are stored because of it, plain or as JSON or a URL writes them."""
    found = _pieces(secret, store(secret))
    return sorted(found - _pieces(secret, store(OTHER)) if found else found)


def _pieces(secret: str, data: bytes) -> set[str]:
    forms = {data, unquote_to_bytes(data), data.replace(b"\\\\", b"\\").replace(b'\\"', b'"')}
    pieces = {secret[at : at + WINDOW] for at in range(len(secret) - WINDOW + 1)}
    return {
        one
        for one in pieces
        for way in (one.encode(), json.dumps(one)[1:-1].encode(), quote(one).encode())
        if any(way in form for form in forms)
    }


@settings(max_examples=100, deadline=None)
@given(NAMES, SECRETS, st.sampled_from(sorted(DOCUMENTS)), st.booleans())
def test_in_json(name: str, secret: str, kind: str, escaped: bool) -> None:
    """As a member, deep in one, in a row of names and values, in JSON within a text."""

    def store(value: str) -> bytes:
        body = json.dumps(DOCUMENTS[kind](name, value), ensure_ascii=escaped)
        return stored("/", {}, "application/json", body.encode())

    assert leaks(secret, store) == []


@settings(max_examples=60, deadline=None)
@given(NAMES, SECRETS, st.sampled_from([quote, quote_plus]))
def test_in_a_form_and_a_query(name: str, secret: str, how: Callable[..., str]) -> None:
    """However it is encoded; also as a parameter of a path's segment."""

    def store(value: str) -> bytes:
        pair = f"a=1&{how(name)}={how(value)}"
        target = f"/x;{quote_plus(name)}={quote(value, safe='')}/y?{pair}&b=2"
        return stored(target, {}, "application/x-www-form-urlencoded", pair.encode())

    assert leaks(secret, store) == []


@settings(max_examples=60, deadline=None)
@given(NAMES.filter(lambda name: "[" not in name), FIELDS)
def test_in_a_field(name: str, secret: str) -> None:
    """Of that name."""
    assert leaks(secret, lambda value: stored("/", {name: value}, "text/plain", b"ok")) == []


@settings(max_examples=60, deadline=None)
@given(PLAIN, st.sampled_from(sorted(HEADS)))
def test_in_a_credential(secret: str, name: str) -> None:
    """In a cookie, behind a scheme in any field."""
    how = HEADS[name]
    assert leaks(secret, lambda value: stored("/", {name: how % value}, "text/plain", b"ok")) == []


def test_a_leak_is_found() -> None:
    """A secret under a harmless name is in what is stored, whichever way it is written."""
    words = 'correct "horse" \u00fc\u4e2d'

    def store(value: str, how: Callable[[object], str]) -> bytes:
        return stored("/", {}, "application/json", how({"n": value}).encode())

    assert leaks(words, lambda value: store(value, json.dumps))
    assert leaks(words, lambda value: store(value, partial(json.dumps, ensure_ascii=False)))
    assert leaks(words, lambda value: stored("/?a=" + quote(value), {}, "text/plain", b""))
    assert leaks("horse-battery", lambda value: stored("/", {"X-A": value}, "", b""))
