"""Two bodies compared by what their heads say they are; as bytes where that cannot be."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Final, NamedTuple

from shadow_agent.compare import decode, forms, json_diff, markup, multipart, text
from shadow_agent.compare.difference import Collector, Kind, Part
from shadow_agent.compare.headers import Headers
from shadow_agent.compare.json_document import NotLookedInto
from shadow_agent.compare.options import Options

_FORM: Final = b"application/x-www-form-urlencoded"
_TEXTS: Final = frozenset({
    b"application/graphql", b"application/javascript", b"application/jsonl",
    b"application/ndjson", b"application/toml", b"application/x-javascript",
    b"application/x-ndjson", b"application/x-yaml", b"application/yaml",
})  # fmt: skip
_MARKUPS: Final = frozenset(
    {b"application/xhtml+xml", b"application/xml", b"text/html", b"text/xml"}
)
_UNSAID: Final = frozenset({b"", b"application/octet-stream", b"text/plain"})
# Control characters that no text has.
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))


class Answer(NamedTuple):
    """What is known of one answer. ``body``: after chunked decoding, None if it was not kept."""

    status: int
    headers: Headers
    body: bytes | None
    length: int | None = None  # of the body; None: not wholly known
    digest: bytes | None = None  # SHA-256, where the body was not kept


def compare_bodies(into: Collector, production: Answer, shadow: Answer, options: Options) -> None:
    """Collect the differences of two bodies that are not the same bytes."""
    ours, theirs = production.body, shadow.body
    reason = ""
    if ours is None or theirs is None:
        into.note("body: too large to be kept")
    elif max(len(ours), len(theirs)) > options.max_body:
        into.note("body: too large to be looked into")
    else:
        try:
            one, ours = _unpacked("production", production.headers, ours, options)
            other, theirs = _unpacked("shadow", shadow.headers, theirs, options)
            if ours == theirs:
                return  # packed in another way
            reason = _looked_into(into, (one, ours), (other, theirs), options)
            if not reason:
                return
        except (decode.Undecodable, NotLookedInto) as error:
            reason = str(error)
        into.note(f"body: {reason}")
    into.add(Part.BODY, "", Kind.BYTES, (_summed(production), _summed(shadow)))


def _looked_into(
    into: Collector, production: tuple[bytes, bytes], shadow: tuple[bytes, bytes],
    options: Options,
) -> str:  # fmt: skip
    """Compare by content; why not if it was not done. Content type and plain bytes of each."""
    (kind, ours), (other_kind, theirs) = production, shadow
    if not ours or not theirs:
        return "one is empty"
    media = _media(kind)
    if media != _media(other_kind):
        return "content types differ"
    if media in _UNSAID and _looks_json(ours) and _looks_json(theirs):
        # senders that say nothing better; what looks like JSON and is none stays text
        with contextlib.suppress(NotLookedInto):
            json_diff.compare_json(into, ours, theirs, options.rules, shapes=options.volatile)
            return ""
    if media == b"application/json" or media.endswith((b"+json", b"/json")):
        json_diff.compare_json(into, ours, theirs, options.rules, shapes=options.volatile)
        return ""
    try:
        if media == _FORM:
            forms.compare_fields(into, forms.fields(ours), forms.fields(theirs), options)
            return ""
        if media.startswith(b"multipart/"):
            one, other = multipart.parts(kind, ours), multipart.parts(other_kind, theirs)
            forms.compare_fields(into, one, other, options)
            return ""
    except (forms.TooManyFields, multipart.NotMultipart) as error:
        return str(error)
    if not _is_text(ours) or not _is_text(theirs):
        return "not text"
    if media in _MARKUPS or media.endswith(b"+xml"):
        markup.compare_markup(into, ours, theirs, shapes=options.volatile)
        return ""
    if media in _TEXTS or media in _UNSAID or media.startswith(b"text/"):
        text.compare_text(into, ours, theirs, shapes=options.volatile)
        return ""
    return "content type not looked into"


def _unpacked(side: str, headers: Headers, body: bytes, options: Options) -> tuple[bytes, bytes]:
    """The content type and the body without content codings. Raises Undecodable."""
    kind = b""
    packed = []
    for name, value in headers:
        lower = name.lower()
        if lower == b"content-type":
            kind = kind or value.strip()
        elif lower == b"content-encoding":
            packed.append(value)
    if not packed:
        return kind, body
    try:
        return kind, decode.decode(decode.codings(packed), body, options.max_body)
    except decode.Undecodable as error:
        raise decode.Undecodable(f"{side}: {error}") from error


def _media(kind: bytes) -> bytes:
    return kind.partition(b";")[0].strip().lower()


def _looks_json(body: bytes) -> bool:
    return body.lstrip()[:1] in (b"{", b"[")


def _is_text(body: bytes) -> bool:
    return body.translate(None, _CONTROLS) == body


def _summed(answer: Answer) -> str:
    body, digest = answer.body, answer.digest
    if body is not None:
        digest = hashlib.sha256(body).digest()
    length = len(body) if body is not None else answer.length
    size = "of unknown length" if length is None else f"{length} bytes"
    return size if digest is None else f"{size}, sha256 {digest.hex()[:16]}"
