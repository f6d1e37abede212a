"""The flow hash; ``tests/kernel/test_tap_sampling.py`` compares it with the tap's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.kernel.control import ALL_FLOWS
from shadow_agent.kernel.sampling import flow_hash, sampled

KEYS = st.binary(min_size=36, max_size=36)
SALTS = st.integers(0, (1 << 32) - 1)


@given(KEYS, SALTS)
def test_all_and_none(key: bytes, salt: int) -> None:
    """Every hash is below the whole, and none below nothing."""
    assert 0 <= flow_hash(key, salt) < ALL_FLOWS
    assert sampled(key, salt, ALL_FLOWS)
    assert not sampled(key, salt, 0)


@given(KEYS, SALTS, st.integers(0, ALL_FLOWS), st.integers(0, ALL_FLOWS))
def test_a_smaller_sample_is_a_part_of_a_larger(
    key: bytes, salt: int, one: int, other: int
) -> None:
    """So that a change lets go of flows, and never swaps them."""
    if sampled(key, salt, min(one, other)):
        assert sampled(key, salt, max(one, other))


def test_the_salt_matters() -> None:
    """A flow that is never sampled under one is under another."""
    assert len({flow_hash(bytes(36), salt) for salt in range(100)}) > 90
