"""A configuration whose folders are the test's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shadow_agent.config import Config, ShadowUrl

MakeConfig = Callable[..., Config]


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    """A valid one; arguments replace its values."""

    def make(**changed: Any) -> Config:
        given: dict[str, Any] = {
            "interfaces": ("lo",),
            "ports": (8080,),
            "shadow": ShadowUrl("127.0.0.1", 9090),
            "target": "web",
            "runtime_dir": tmp_path / "run",
            "data_dir": tmp_path / "data",
        }
        return Config(**given | changed)

    return make
