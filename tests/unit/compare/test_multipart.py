"""Multipart bodies by part."""

from __future__ import annotations

import pytest

from shadow_agent.compare.forms import TooManyFields
from shadow_agent.compare.multipart import MAX_PARTS, NotMultipart, parts


def body(mark: bytes, *pieces: tuple[bytes, bytes]) -> bytes:
    """With that boundary, of heads and values."""
    inside = b"".join(b"--%b\r\n%b\r\n\r\n%b\r\n" % (mark, head, value) for head, value in pieces)
    return b"%b--%b--\r\n" % (inside, mark)


FIELD = b'Content-Disposition: form-data; name="%b"'
FILE = b'Content-Disposition: form-data; name="f"; filename="x"\r\nContent-Type: image/png'


def test_parts_are_read_by_name_whatever_the_boundary() -> None:
    """Quoted or not."""
    one = parts(b"multipart/form-data; boundary=aa", body(b"aa", (FIELD % b"n", b"1")))
    other = parts(b'multipart/form-data; boundary="b b"', body(b"b b", (FIELD % b"n", b"1")))
    assert one == other == {"n": ["1"]}


def test_a_file_is_its_type_length_and_hash() -> None:
    """Its bytes are not shown."""
    (value,) = parts(b"multipart/x; boundary=a", body(b"a", (FILE, b"\0\1\2")))["f"]
    assert value.startswith("image/png, 3 bytes, sha256 ")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (b"multipart/x", b""),
        (b"multipart/x; boundary=a", b""),
        (b"multipart/x; boundary=a", b"junk"),
        (b"multipart/x; boundary=a", b"--a\r\nno blank line\r\n--a--"),
        (b"multipart/x; boundary=a", b"--a\r\n\r\n\r\ncut off"),
    ],
)
def test_what_is_not_as_it_says_is_refused(kind: bytes, data: bytes) -> None:
    """And then compared as bytes."""
    with pytest.raises(NotMultipart):
        parts(kind, data)


def test_parts_without_end_are_refused() -> None:
    """Before they are all split."""
    with pytest.raises(TooManyFields):
        parts(b"multipart/x; boundary=a", b"--a\r\n" * (MAX_PARTS + 5))
