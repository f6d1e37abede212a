"""The items of a stream."""

from shadow_agent.flow.items import Data, End, EndKind, Gap


def test_every_item_says_its_direction_first() -> None:
    """Whoever reads a flow finds the direction at the same place in each item."""
    items = (Data(1, b"x", 5, 6, 7), Gap(1, 3, 5), End(1, EndKind.FIN, 5, 1))
    assert [item[0] for item in items] == [item.direction for item in items] == [1, 1, 1]
