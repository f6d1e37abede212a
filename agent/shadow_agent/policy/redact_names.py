"""Names whose value is a secret whatever it looks like: of headers, parameters, fields, members."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

# Anywhere in the name, spelt in any way: access_token, X-Api-Key, clientSecret.
_WITHIN: Final = (
    "accesskey", "apikey", "authoriz", "credential", "cookie", "jsessionid", "passphrase",
    "passwd", "password", "phpsessid", "privatekey", "secret", "sessionid", "sessionkey",
    "signature", "token",
)  # fmt: skip
# The whole name, after a leading X-.
_EXACTLY: Final = frozenset({
    "auth", "csrf", "cvc", "cvn", "cvv", "jwt", "key", "otp", "pass", "pin", "pwd", "session",
    "sid", "sig", "ssn", "xsrf",
})  # fmt: skip
# Names longer than this are no names; their value is treated as a secret.
_MAX_NAME: Final = 256


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether the value of a thing with this name is a secret. Case and separators say nothing."""
    if len(name) > _MAX_NAME:
        return True
    plain = "".join(c for c in name.lower() if c.isalnum())
    if any(part in plain for part in _WITHIN):
        return True
    return plain.removeprefix("x") in _EXACTLY or plain in _EXACTLY
