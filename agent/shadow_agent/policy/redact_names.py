"""Names whose value is a secret whatever it looks like: of headers, parameters, fields, members.

A name is read as its words, however they are joined: ``db_pass``, ``newPass``, ``X-Auth-Code``.
Short words count only where they stand for the value itself: ``pass_rate`` and ``pinned`` do not.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

# Anywhere in the name, spelt in any way: access_token, X-Api-Key, clientSecret, userpwd.
_WITHIN: Final = re.compile(
    "accesskey|apikey|auth(?:code|key)|authori[sz]|cookie|credential|encryptionkey|jsessionid|licensekey|"
    "masterkey|passcode|passphrase|passw(?:d|or[dt])|phpsessid|privatekey|pwd|secret|"
    "session(?:id|key)|sharedkey|signature|signingkey|subscriptionkey|token|"
    # a code that lets somebody in, by what it is called
    "(?:access|activation|backup|confirmation|login|mfa|recovery|security|verification|2fa)code"
)
# A word anywhere in the name.
_WORDS: Final = frozenset({
    "cnonce", "csrf", "cvc", "cvn", "cvv", "jwt", "nextnonce", "nonce", "ssn", "xsrf",
})  # fmt: skip
# The last word, but for numbers and those that say how, or once more: pin_code, newPass2.
_LAST: Final = frozenset({
    "auth", "authentication", "bearer", "otp", "pass", "pin", "psw", "pw", "sid", "sig", "totp",
})  # fmt: skip
_HOW: Final = frozenset({
    "again", "code", "confirm", "confirmation", "hash", "header", "info", "input", "new", "number",
    "old", "raw", "repeat", "string", "text", "value", "verify",
})  # fmt: skip
# The whole name, after a leading X-: these too, where nothing shows the words.
_EXACTLY: Final = _LAST | _WORDS | {
    "dbpass", "key", "loginpass", "newpass", "oldpass", "otpcode", "pincode", "rspauth", "session",
    "userpass",
}  # fmt: skip
_WORD: Final = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Names longer than this are no names; their value is treated as a secret.
_MAX_NAME: Final = 256


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether the value of a thing with this name is a secret. Case and separators say nothing."""
    if len(name) > _MAX_NAME:
        return True
    plain = "".join(c for c in name.lower() if c.isalnum())
    if _WITHIN.search(plain) or plain.removeprefix("x") in _EXACTLY or plain in _EXACTLY:
        return True
    words = [word.lower() for word in _WORD.findall(name)]
    while len(words) > 1 and words[-1] in _HOW:
        words.pop()
    return bool(words) and (words[-1] in _LAST or not _WORDS.isdisjoint(words))
