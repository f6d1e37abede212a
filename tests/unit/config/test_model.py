"""The values of a configuration."""

from dataclasses import FrozenInstanceError

import pytest

from shadow_agent.config import Config, Limits, ShadowUrl


def test_defaults_are_safe() -> None:
    """Without being told otherwise: safe methods, everything sampled, routes respected."""
    config = Config(
        interfaces=("eth0",), ports=(80,), shadow=ShadowUrl("10.0.0.9", 80), target="eth0-80"
    )
    assert config.methods == frozenset({"GET", "HEAD", "OPTIONS"})
    assert config.sample == 1
    assert config.workers == 1
    assert not config.allow_same_interface
    assert config.limits == Limits()
    assert str(config.data_dir) == "/var/lib/shadow-agent"
    assert str(config.runtime_dir) == "/run/shadow-agent"


def test_limits_are_consistent() -> None:
    """Defaults that contradict each other would be found by the first user."""
    limits = Limits()
    assert limits.ring_bytes & (limits.ring_bytes - 1) == 0
    assert limits.max_held_bytes_per_flow <= limits.max_held_bytes
    assert limits.connect_timeout_s < limits.first_byte_timeout_s < limits.whole_timeout_s


def test_values_are_frozen() -> None:
    """Nobody changes a configuration behind somebody's back."""
    with pytest.raises(FrozenInstanceError):
        Limits().drain_s = 1  # type: ignore[misc]
