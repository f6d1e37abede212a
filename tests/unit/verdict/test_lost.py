"""A coin that is fair says nothing; one that is not is found."""

from shadow_agent.verdict.lost import one_sided


def test_half_and_half_is_no_evidence() -> None:
    """At any size."""
    assert one_sided(0, 0) == 1
    assert one_sided(5000, 5080) < 1


def test_a_side_that_loses_pairs() -> None:
    """Three of a hundred missing from one side of forty thousand; overwhelming stays a number."""
    assert one_sided(20_000, 19_000) > 1000
    assert one_sided(10**7, 0) > 1e300
