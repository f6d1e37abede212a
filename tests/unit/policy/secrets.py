"""Secrets to plant, and ways to write them: what the redactor claims to find."""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

from hypothesis import strategies as st

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _luhn(digits: str) -> str:
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if index % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


def _iban(country: str, bban: str) -> str:
    plain = "".join(str(int(c, 36)) for c in bban + country + "00")
    return f"{country}{98 - int(plain) % 97:02d}{bban}"


def _grouped(digits: str, separator: str) -> str:
    return separator.join(digits[at : at + 4] for at in range(0, len(digits), 4))


EMAILS = st.builds(
    "{}@{}.{}".format,
    st.text(_LETTERS + "0123456789.+_-%'", min_size=3, max_size=20).map(lambda t: f"q{t}z"),
    st.text(_LETTERS + "0123456789", min_size=2, max_size=10),
    st.sampled_from(["example", "co.example", "museum"]),
)
CARDS = st.builds(
    lambda first, rest, dress: dress(_luhn(first + rest)),
    st.sampled_from(["4", "51", "37", "62", "22", "60"]),
    st.text("0123456789", min_size=11, max_size=16),
    st.sampled_from(["", " ", "-", ".", "_", "\u2011", "\u2009", "\u00a0"]).map(
        lambda separator: lambda digits: _grouped(digits, separator)
    )
    | st.just(lambda digits: "".join(chr(ord(c) + 0xFEE0) for c in digits)),
)
IBANS = st.builds(
    lambda bban, separator: _grouped(_iban("DE", bban), separator),
    st.text("0123456789", min_size=18, max_size=18),
    st.sampled_from(["", " "]),
) | st.builds(
    lambda bban: _iban("GB", bban),
    st.from_regex(r"[A-Z]{4}[0-9]{14}", fullmatch=True),
)
JWTS = st.builds(
    lambda claims, signature: ".".join(
        base64.urlsafe_b64encode(part).decode().rstrip("=")
        for part in (b'{"alg":"HS256"}', json.dumps({"sub": claims}).encode(), signature)
    ),
    st.text(_LETTERS, min_size=5),
    st.binary(min_size=8, max_size=32),
)
PHONES = st.builds(
    lambda country, area, number, separator: f"+{country}{separator}{area}{separator}{number}",
    st.sampled_from(["1", "49", "351"]),
    st.from_regex(r"[1-9][0-9]{2}", fullmatch=True),
    st.from_regex(r"[1-9][0-9]{5,6}", fullmatch=True),
    st.sampled_from(["", " ", "-"]),
) | st.from_regex(r"\([2-9][0-9]{2}\) [2-9][0-9]{2}-[0-9]{4}", fullmatch=True)
SECRETS = st.one_of(EMAILS, CARDS, IBANS, JWTS, PHONES)

# What may stand around a secret in a text: nothing that would make it a part of a longer one.
AROUND = st.sampled_from(["", " ", "x: ", "<b>", '"', "(see) ", "für ", "\t", ", "])
AFTER = st.sampled_from(["", " ", "</b>", '"', ")", "\t", ", ok", ". And"])


def percent(text: str) -> str:
    """Every character percent-encoded."""
    return "".join(f"%{byte:02x}" for byte in text.encode())


def escaped(text: str) -> str:
    """Every character as JSON and JavaScript escape it."""
    return "".join(f"\\u{ord(c):04X}" for c in text)


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": percent,
    "quoted": lambda text: quote(text, safe=""),
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
    "escaped": escaped,
    "decimal": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "hexadecimal": lambda text: "".join(f"&#x{ord(c):x};" for c in text),
}


def _digits(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text) if c.isdigit())


def is_in(secret: str, data: bytes) -> bool:
    """Whether a secret, or its digits, is in there in any of these encodings."""
    text = data.decode("utf-8", "replace")
    digits = _digits(secret)
    seen = _digits(text)
    forms = [encode(secret) for encode in ENCODINGS.values()]
    lower = text.lower()
    if any(form.lower() in lower for form in forms):
        return True
    return len(digits) >= 10 and "@" not in secret and "." not in secret and digits in seen
