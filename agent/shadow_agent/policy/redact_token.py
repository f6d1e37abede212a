"""What stands in place of a secret: ``~email.bdfhkmpsbdfhkmps~``.

Keyed, so that nobody without the key can try values; the same value has the same token, so that
equality still shows. Only characters that are unreserved in URLs (RFC 3986 2.3), so that a token
fits wherever its value stood, and no digit, so that a token is never taken for a number. The sum
says 64 bits of HMAC-SHA256: two of a million values share a token in one run of 36 million.
"""

from __future__ import annotations

import hmac
from typing import Final

from shadow_agent.policy.linear import compile_bytes

KEY_BYTES: Final = 32
_SUM_BYTES: Final = 8
# Consonants, so that no token spells a word.
_LETTERS: Final = bytes.maketrans(b"0123456789abcdef", b"bcdfghjklmnpqrst")
# The longest kind; a token has at most 3 more characters and its 16 letters.
KIND_MAX: Final = 16
TOKEN_MAX: Final = KIND_MAX + 3 + 2 * _SUM_BYTES
# What is one already.
TOKEN: Final = compile_bytes(rb"~[a-z]+\.[bcdfghjklmnpqrst]{16}~")


class Tokens:
    """Makes tokens with one key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """``key``: 32 bytes. ValueError if it is shorter."""
        if len(key) < KEY_BYTES:
            raise ValueError(f"a redaction key of {len(key)} bytes; {KEY_BYTES} are needed")
        self._key = key

    def __call__(self, kind: str, value: bytes) -> bytes:
        """The token of a value. Kinds are told apart: a phone number is no card number."""
        name = kind.encode()[:KIND_MAX]
        digest = hmac.digest(self._key, name + b"\0" + value, "sha256")
        return b"~%b.%b~" % (name, digest[:_SUM_BYTES].hex().encode().translate(_LETTERS))
