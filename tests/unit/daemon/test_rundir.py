"""What a run leaves behind."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from shadow_agent.daemon.rundir import RunFolder, new_run_id
from shadow_agent.errors import UsageError
from shadow_agent.telemetry.run import Run
from tests.unit.daemon.conftest import MakeConfig

RUN = Run(version="1", target="web", shadow="http://a:1", run_id="r")


def test_run_ids_differ_and_sort() -> None:
    """By time, to the second."""
    one, other = new_run_id(), new_run_id()
    assert one != other
    assert one[:16] <= other[:16]
    assert len(one) == len("20260101T000000Z-123456")


def test_both_files(make_config: MakeConfig) -> None:
    """For the owner's eyes only, whole, and no draft is left."""
    config = make_config()
    folder = RunFolder.create(config)
    assert folder.path == config.data_dir / "web" / folder.run_id
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.write_run(RUN) is None
    assert folder.write_summary({"n": 1}) is None
    assert folder.write_summary({"n": 2}) is None
    assert sorted(path.name for path in folder.path.iterdir()) == ["run.json", "summary.json"]
    assert json.loads((folder.path / "run.json").read_text())["run_id"] == "r"
    assert json.loads((folder.path / "summary.json").read_text()) == {"n": 2}
    assert (folder.path / "run.json").stat().st_mode & 0o777 == 0o600


def test_no_folder_can_be_made(make_config: MakeConfig, tmp_path: Path) -> None:
    """The operator hears which, before anything is attached."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="data-dir"):
        RunFolder.create(make_config(data_dir=tmp_path / "file" / "data"))
    config = make_config()
    config.data_dir.mkdir()
    (config.data_dir / "web").write_text("")
    with pytest.raises(UsageError, match="cannot write there"):
        RunFolder.create(config)


def test_what_cannot_be_written_costs_the_file_only(make_config: MakeConfig) -> None:
    """It is said in one line, and the run ends as it should."""
    folder = RunFolder.create(make_config())
    shutil.rmtree(folder.path)
    trouble = folder.write_run(RUN)
    assert trouble is not None
    assert "run.json: not written: No such file" in trouble
    folder.path.write_text("a file where the folder was")
    trouble = folder.write_summary({})
    assert trouble is not None
    assert "not written: Not a directory" in trouble


@pytest.mark.parametrize("kind", ["link", "foreign"])
def test_somebody_else_was_there_first(make_config: MakeConfig, tmp_path: Path, kind: str) -> None:
    """In a shared folder: root is not led elsewhere, and leaves nothing with others."""
    config = make_config()
    config.data_dir.mkdir(exist_ok=True)
    config.data_dir.chmod(0o1777)
    place = config.data_dir / config.target
    if kind == "link":
        place.symlink_to(tmp_path, target_is_directory=True)
    else:
        if os.geteuid() != 0:
            pytest.skip("gives a folder away")
        place.mkdir()
        os.chown(place, 65534, 65534)
    with pytest.raises(UsageError, match="others may change what is in it"):
        RunFolder.create(config)
