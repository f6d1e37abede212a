"""Names whose value is secret."""

from __future__ import annotations

import pytest

from shadow_agent.policy.redact_names import is_secret


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "X-Api-Key", "apikey", "api_key", "access_token", "clientSecret"),
        *("PASSWORD", "user[password]", "Set-Cookie", "JSESSIONID", "X-CSRF", "pin", "a" * 300),
        *("X-Amz-Signature", "X-Auth-Token", "sid", "key", "X-Key", "session", "jwt", "c.v.v"),
    ],
)
def test_secret(name: str) -> None:
    """However it is spelt."""
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("userPwd", "USERPWD", "db_pass", "dbPass", "DBPass", "newPass", "newpass", "new-pass-2"),
        *(
            "user[pass][0]",
            "passConfirm",
            "smtpPass",
            "passcode",
            "otp_code",
            "OtpCode",
            "pin_code",
        ),
        *("pinCode", "PINcode", "user.pin", "security_code", "securityCode", "verification-code"),
        *("auth_code", "oauthCode", "basic_auth", "bearer", "X-Bearer", "authentication"),
        *("cvv2", "Authentication-Info", "connect.sid", "nonce", "cnonce", "rspauth", "ssn_last"),
    ],
)
def test_by_its_words(name: str) -> None:
    """A short word counts where it stands for the value itself."""
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("Accept", "page", "author", "keyword", "spin", "side", "User", "compass", "passenger"),
        *("bypass", "pinned", "passed", "pass_rate", "passport", "pin_color", "pinterest"),
        *("opinion", "authority", "authored", "auth_method", "authTime", "authenticated"),
        *("country_code", "status_code", "zipCode", "code", "sort_key", "primaryKey", "keyboard"),
        *("session_count", "sessions", "sidebar", "signal", "design", "encryption", "shipping"),
        *("forbearers", "announcement", "WWW-Authenticate", "mapping", "order_id", "X-Page"),
    ],
)
def test_not_secret(name: str) -> None:
    """Names that only look alike."""
    assert not is_secret(name)
