"""Values beside a secret's name, as texts, scripts, logs and markup write them."""

from __future__ import annotations

import contextlib
import time

import pytest

from shadow_agent.policy.linear import TooManyMatchesError
from shadow_agent.policy.redact_names import is_secret
from shadow_agent.policy.redact_pairs import find_pairs
from shadow_agent.policy.redact_text import TextRedactor
from shadow_agent.policy.redact_token import Tokens

PLAIN = TextRedactor(Tokens(b"k" * 32))


@pytest.mark.parametrize(
    "text",
    [
        b"token=hunter2",
        b"%ff%fe=1&token=hunter2",
        b'log: token="hunter2" ok',
        b"token = 'hunter2'",
        b'password="hun\\"hunter2"',
        b"password: hunter2",
        b"Authorization: Bearer hunter2",
        b'{"token": "hunter2"}',
        rb'{"p":"{\"password\": \"hunter2\"}"}',
        rb'{"p":"{\\\"password\\\": \\\"hunter2\\\"}"}',
        b'cb({"password":"hunter2"})',
        b'mutation{login(password:"hunter2"){id}}',
        b"0; url=/x?token=hunter2",
        b"<r><password>hunter2</password></r>",
        b'<w:Password Type="text">hunter2</w:Password>',
        b"<token><![CDATA[hunter2]]></token>",
        b'<input type="hidden" name="csrf_token" value="hunter2">',
        b"<INPUT value='hunter2' name=csrf_token />",
        b'<meta name="csrf-token" content="hunter2">',
        b"n" * 300 + b"=hunter2",
        b'x({"name":"password","value":"hunter2"})',
        b"x = {key: 'otp_code', value : 'hunter2'}",
        rb"{\"name\": \"db_pass\", \"value\": \"hunter2\"}",
        b"Cookie: theme=dark; sid=hunter2",
        b"authorization: Custom ab hunter2",
        b'WWW-Authenticate: Digest realm="x", nonce="hunter2"',
    ],
)
def test_found(text: bytes) -> None:
    """Gone, a token in its place, and what is redacted once stays as it is."""
    done = PLAIN.clean(text)
    assert b"hunter2" not in done
    assert b"~secret." in done or b"~encoded." in done
    assert PLAIN.clean(done) == done


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"at 12:30: all is well",
        b'{"token":null,"key":true}',
        b'token=""',
        b"<key></key>",
        b'<input name="town" value="Rome">',
        b"https://shop.example:8080/a",
        b"a{color:red}",
        b'x({"name":"colour","value":"red"})',
        b"name: pin, value",
    ],
)
def test_left_alone(text: bytes) -> None:
    """No secret's name, or no value."""
    assert PLAIN.clean(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        b'pin=\\"',
        b"pin:",
        b"pin=",
        b'a="',
        b"<pin>",
        b"<input name=pin ",
        b"pin=x ",
        b'"name":"pin","value":',
    ],
)
def test_linear(piece: bytes) -> None:
    """A hostile text is not read over and over; with too many values it is given up."""
    text = piece * (65536 // len(piece))
    began = time.process_time()
    with contextlib.suppress(TooManyMatchesError):
        list(find_pairs(text, is_secret))
    assert time.process_time() - began < 0.5
