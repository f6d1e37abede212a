"""What bounds replay by default is what the configuration says."""

from shadow_agent.config import Limits
from shadow_agent.daemon.limits import pool_limits
from shadow_agent.replay.limits import PoolLimits


def test_defaults_are_the_configurations() -> None:
    """One number for each bound, not two."""
    assert pool_limits(Limits()) == PoolLimits()
