"""What the tables of keys are made of."""

from shadow_agent.config.key import Key, RowError, Rows


def test_a_key_is_shown_as_it_is_unless_it_says_how() -> None:
    """Most values are what was written."""
    assert Key("port", str).show is None


def test_rows_stand_alone_unless_they_say_otherwise() -> None:
    """Without a check of their own they are what they were."""
    assert Rows("rules", dict, {}).together((1, 2)) == (1, 2)


def test_a_row_among_others_is_named_by_its_number() -> None:
    """So that its line can be found."""
    assert RowError(3, "never matches").number == 3
