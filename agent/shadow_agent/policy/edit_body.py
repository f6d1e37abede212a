"""A request's body as something that can be edited: without its framing and its coding."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final

from shadow_agent.http.body import ChunkedBody
from shadow_agent.http.head import CHUNKED

if TYPE_CHECKING:
    from shadow_agent.http.head import RequestHead
    from shadow_agent.policy.draft import Draft

# zlib's code for a gzip header and trailer around deflate.
_GZIP: Final = 31


class BodyKind(Enum):
    """What we can edit in a body."""

    JSON = "json"
    FORM = "form"
    OTHER = "other"  # nothing: it streams by


class Uneditable(Exception):
    """A body that has to be edited and cannot be."""


def kind_of(head: RequestHead) -> BodyKind:
    """By its Content-Type; of several, the one that says it can be edited."""
    for name, value in head.headers:
        if name.lower() == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
            if kind == b"application/json" or kind.endswith(b"+json"):
                return BodyKind.JSON
            if kind == b"application/x-www-form-urlencoded":
                return BodyKind.FORM
    return BodyKind.OTHER


def unframed(head: RequestHead, pieces: Sequence[bytes], most: int) -> bytes:
    """The body after chunked decoding. Raises Uneditable above ``most`` bytes."""
    whole = b"".join(pieces)
    if head.framing == CHUNKED:
        found: list[bytes] = []
        reader = ChunkedBody()
        reader.feed(whole, 0, found)
        if not reader.done:
            raise Uneditable("chunks")
        whole = b"".join(found)
    elif len(whole) != head.framing:
        raise Uneditable("not all of it")
    if len(whole) > most:
        raise Uneditable("too large")
    return whole


def decoded(draft: Draft, most: int) -> bytes:
    """The body after content decoding. Raises Uneditable for what we cannot, or not undo."""
    body = draft.body or b""
    coding = coding_of(draft)
    if coding == b"identity":
        return body
    if coding != b"gzip":
        raise Uneditable("coding")
    reader = zlib.decompressobj(_GZIP)
    try:
        text = reader.decompress(body, most + 1)
    except zlib.error as error:
        raise Uneditable("gzip") from error
    if len(text) > most or not reader.eof or reader.unused_data:
        raise Uneditable("gzip")
    return text


def encoded(draft: Draft, text: bytes) -> bytes:
    """A body coded as the draft's is."""
    if coding_of(draft) == b"identity":
        return text
    writer = zlib.compressobj(wbits=_GZIP)
    return writer.compress(text) + writer.flush()


def coding_of(draft: Draft) -> bytes:
    """All of Content-Encoding, in lower case."""
    named = [field.value.lower() for field in draft.fields if field.name == b"content-encoding"]
    coding = b",".join(named).strip()
    return b"gzip" if coding == b"x-gzip" else coding or b"identity"
