"""What belongs to one agent at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.daemon.target import claim
from shadow_agent.errors import UsageError
from shadow_agent.kernel import netlink
from shadow_agent.kernel.layout import Role
from shadow_agent.kernel.tap import Place
from tests.unit.daemon.conftest import MakeConfig
from tests.unit.isolated import open_files


def places() -> tuple[Place, ...]:
    """The loopback device, for production."""
    found = netlink.interface("lo")
    assert found is not None
    return (Place(found, Role.PRODUCTION),)


def test_a_name_is_held_once(make_config: MakeConfig) -> None:
    """Free again when its agent ends; the error names it and the way out."""
    config = make_config()
    other_port = make_config(ports=(8081,))
    with (
        claim(config, places()),
        pytest.raises(UsageError, match="target web is attached already"),
        claim(other_port, places()),
    ):
        pass
    with claim(config, places()):
        pass


def test_a_port_is_tapped_once(make_config: MakeConfig) -> None:
    """Under whatever name; another port is another matter, and a failed claim holds nothing."""
    both = make_config(target="api", ports=(8081, 8080))
    with claim(make_config(), places()):
        with pytest.raises(UsageError, match="port 8080 on lo is tapped"), claim(both, places()):
            pass
        with claim(make_config(target="api", ports=(8081,)), places()):
            pass


def test_nothing_stays_open(make_config: MakeConfig) -> None:
    """The files stay, the locks do not."""
    before = open_files()
    with claim(make_config(), places()):
        assert open_files() > before
    assert open_files() == before


def test_no_folder(make_config: MakeConfig, tmp_path: Path) -> None:
    """The operator hears which."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match="runtime-dir"),
        claim(make_config(runtime_dir=tmp_path / "file" / "run"), places()),
    ):
        pass


def test_a_link_in_place_of_a_lock(make_config: MakeConfig, tmp_path: Path) -> None:
    """It is not followed."""
    config = make_config()
    config.runtime_dir.mkdir()
    (config.runtime_dir / "web.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"web\.lock"), claim(config, places()):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_others_may_change(make_config: MakeConfig) -> None:
    """They could put a socket of theirs where root's commands ask; in /tmp they could not."""
    config = make_config()
    config.runtime_dir.mkdir(exist_ok=True)
    config.runtime_dir.chmod(0o777)
    with (
        pytest.raises(UsageError, match=r"--runtime-dir .*: others may change .*; chown .* 700"),
        claim(config, places()),
    ):
        pass
    config.runtime_dir.chmod(0o1777)
    with claim(config, places()):
        pass
