"""Serial arithmetic on 32-bit sequence numbers."""

import pytest

from shadow_agent.flow.sequence import add, diff, lt


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (5, 5, 0),
        (6, 5, 1),
        (5, 6, -1),
        (2, 0xFFFF_FFFE, 4),
        (0xFFFF_FFFE, 2, -4),
        (0x8000_0000, 0, -(2**31)),
    ],
)
def test_diff_wraps(left: int, right: int, expected: int) -> None:
    """The distance is the short way round, negative when behind."""
    assert diff(left, right) == expected
    assert lt(left, right) == (expected < 0)


def test_add_wraps() -> None:
    """Past the last number comes zero."""
    assert add(0xFFFF_FFFF, 1) == 0
    assert add(10, 5) == 15
