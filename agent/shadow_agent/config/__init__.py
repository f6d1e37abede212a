"""Configuration: flags over a target's table over the file over defaults, frozen and validated.

An error names the file or flag, the key, and the fix.
"""

from shadow_agent.config.dump import as_dict, as_toml
from shadow_agent.config.file import lasting
from shadow_agent.config.governor import GovernorConfig
from shadow_agent.config.host import (
    check_data_dir,
    check_owned,
    prepare_data_dir,
    unprivileged_user,
)
from shadow_agent.config.load import check, load, merge
from shadow_agent.config.model import Config, Limits
from shadow_agent.config.privacy import Privacy
from shadow_agent.config.values import SessionKey, SessionKind, ShadowUrl, endpoint
from shadow_agent.policy.rule import SAFE_METHODS

__all__ = [
    "SAFE_METHODS",
    "Config",
    "GovernorConfig",
    "Limits",
    "Privacy",
    "SessionKey",
    "SessionKind",
    "ShadowUrl",
    "as_dict",
    "as_toml",
    "check",
    "check_data_dir",
    "check_owned",
    "endpoint",
    "lasting",
    "load",
    "merge",
    "prepare_data_dir",
    "unprivileged_user",
]
