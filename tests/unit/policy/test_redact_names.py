"""Names whose value is secret."""

from __future__ import annotations

import pytest

from shadow_agent.policy.redact_names import is_secret


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "X-Api-Key", "apikey", "api_key", "access_token", "clientSecret"),
        *("PASSWORD", "user[password]", "Set-Cookie", "JSESSIONID", "X-CSRF", "pin", "a" * 300),
        *("X-Amz-Signature", "X-Auth-Token", "sid"),
    ],
)
def test_secret(name: str) -> None:
    """However it is spelt."""
    assert is_secret(name)


@pytest.mark.parametrize("name", ["Accept", "page", "author", "keyword", "spin", "side", "User"])
def test_not_secret(name: str) -> None:
    """Names that only look alike."""
    assert not is_secret(name)
