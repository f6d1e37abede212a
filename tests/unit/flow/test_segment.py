"""Keys and names of flows."""

import pytest

from shadow_agent.flow.segment import (
    ACK,
    FIN,
    KEY_LENGTH,
    RST,
    SYN,
    URG,
    Segment,
    flow_key,
    format_endpoint,
    format_flow,
    split_urgent,
)


def test_a_key_names_both_ends() -> None:
    """An IPv4 flow reads as remote > local."""
    key = flow_key("192.0.2.1", 40_000, "198.51.100.7", 80)
    assert len(key) == KEY_LENGTH
    assert format_flow(key) == "192.0.2.1:40000 > 198.51.100.7:80"


def test_ipv6_is_bracketed() -> None:
    """An IPv6 address is bracketed, as in a URL."""
    key = flow_key("2001:db8::1", 1, "::1", 65_535)
    assert format_flow(key) == "[2001:db8::1]:1 > [::1]:65535"
    assert format_endpoint(key[:16], 9) == "[2001:db8::1]:9"


def test_a_bad_address_is_an_error() -> None:
    """What is no address raises ValueError."""
    with pytest.raises(ValueError, match="nonsense"):
        flow_key("nonsense", 1, "::1", 2)


def urgent(payload: bytes, pointer: int, *, flags: int = ACK | URG, length: int = 0) -> str:
    """The pieces of a segment at 0xFFFFFFFE: `seq payload/length`, `!` for the last."""
    size = length or len(payload)
    segment = Segment(1, b"k" * 36, 0, 0xFFFF_FFFE, 7, flags, payload, size, True)
    return " ".join(
        f"{piece.seq:x}:{piece.payload.decode()}/{piece.length}{'!' * piece.final}"
        for piece in split_urgent(segment, pointer)
    )


@pytest.mark.parametrize(
    ("pointer", "pieces"),
    [
        (1, "fffffffe:/1 ffffffff:bcd/3!"),
        (2, "fffffffe:a/1 ffffffff:/1 0:cd/2!"),
        (4, "fffffffe:abc/3 1:/1!"),
        (0, "fffffffe:abcd/4!"),
        (5, "fffffffe:abcd/4!"),
    ],
)
def test_the_urgent_byte_is_a_piece_without_payload(pointer: int, pieces: str) -> None:
    """Before, in and behind the middle, across the wrap; a pointer to elsewhere splits nothing."""
    assert urgent(b"abcd", pointer) == pieces


def test_an_urgent_byte_alone_or_cut_off() -> None:
    """One byte is one piece; what the snaplen cut stays cut."""
    assert urgent(b"a", 1) == "fffffffe:/1!"
    assert urgent(b"ab", 3, length=4) == "fffffffe:ab/2 0:/1 1:/1!"


def test_control_flags_act_once() -> None:
    """SYN with the first piece, FIN with the last, and payload after a SYN begins behind it."""
    segment = Segment(1, b"k" * 36, 0, 10, 7, SYN | FIN | URG | RST, b"abc", 3, True)
    pieces = split_urgent(segment, 2)
    assert [(piece.seq, piece.flags) for piece in pieces] == [(10, SYN), (12, 0), (13, FIN | RST)]
