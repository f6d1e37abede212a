"""The shared options."""

from typing import get_args

import pytest

from shadow_agent.cli import options
from shadow_agent.config.keys import KEYS

SHARED = {
    name: get_args(value)[1]
    for name, value in vars(options).items()
    if hasattr(value, "__metadata__")
}


@pytest.mark.parametrize("name", SHARED)
def test_a_shared_option_is_a_key_of_the_file(name: str) -> None:
    """So that every option may come from the file; only --config cannot."""
    (flag,) = SHARED[name].param_decls
    assert flag == "--config" or flag.removeprefix("--") in KEYS


@pytest.mark.parametrize("name", SHARED)
def test_a_shared_option_has_a_help_text(name: str) -> None:
    """Written as a sentence."""
    assert SHARED[name].help.endswith(".")
