"""``python -m tests.mutants [NAME…]``: break the agent on purpose, one promise at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATCHES = Path(__file__).parent
TIMEOUT_S = 180.0
OBJECTS = tuple(
    Path(f"agent/shadow_agent/kernel/objects/{name}.bpf.o") for name in ("tap", "guard")
)


class Fate(Enum):
    """What became of a mutant."""

    KILLED = "killed"  # its test turned red
    SURVIVED = "SURVIVED"  # its test stayed green: the test proves nothing, or tests another thing
    BROKEN = "BROKEN"  # the patch does not apply, or its test is red without it


@dataclass(frozen=True)
class Mutant:
    """A patch and its header."""

    path: Path
    breaks: str
    test: str

    @classmethod
    def read(cls, path: Path) -> Mutant:
        """From its file. ValueError without a header."""
        lines = path.read_text(encoding="utf-8").splitlines()
        header = dict(line.split(": ", 1) for line in lines[:2] if ": " in line)
        try:
            return cls(path, header["Breaks"], header["Test"])
        except KeyError as exc:
            raise ValueError(f"{path.name}: no line '{exc.args[0]}: …' at its top") from exc

    @property
    def changes_bpf(self) -> bool:
        """The object must be built anew."""
        return "+++ b/bpf/" in self.path.read_text(encoding="utf-8")


def copy_tree(folder: Path) -> None:
    """What git would give a clone, with changes that are not committed yet."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    ).stdout.decode().split("\0")  # fmt: skip
    for name in filter(None, names):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for one in OBJECTS:
        (folder / one).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / one, folder / one)
    (folder / ".venv").symlink_to(ROOT / ".venv")


def run_test(folder: Path, test: str) -> bool:
    """Whether the test is green in this tree."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}/agent",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SHADOW_AGENT_REQUIRE": "1",  # a skipped test kills nobody
    }
    command = [".venv/bin/python", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False  # it hangs: not green
    if done.returncode not in {0, 1}:
        raise RuntimeError(
            f"{test}: pytest exited {done.returncode}: {done.stdout.decode()[-500:]}"
        )
    return done.returncode == 0


def build(folder: Path) -> bool:
    """Compile the programs of this tree."""
    commands = [[".venv/bin/python", "hatch_build.py", str(one)] for one in OBJECTS]
    done = [subprocess.run(one, cwd=folder, check=False, capture_output=True) for one in commands]
    return not any(one.returncode for one in done)


def try_mutant(mutant: Mutant, green: dict[str, bool]) -> Fate:
    """Apply it to a copy and run its test; ``green`` remembers tests run without a patch."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # workers run as another user
        copy_tree(folder)
        if mutant.test not in green:
            green[mutant.test] = run_test(folder, mutant.test)
        patch = ["patch", "-p1", "--quiet", "--no-backup-if-mismatch", "-i", str(mutant.path)]
        applied = subprocess.run(patch, cwd=folder, check=False, capture_output=True)
        if applied.returncode or not green[mutant.test]:
            return Fate.BROKEN
        if mutant.changes_bpf and not build(folder):
            return Fate.BROKEN
        return Fate.SURVIVED if run_test(folder, mutant.test) else Fate.KILLED


def main(names: list[str]) -> int:
    """Exit 0 when every mutant was killed."""
    paths = sorted(PATCHES.glob("*.patch"))
    chosen = [path for path in paths if not names or path.stem in names]
    green: dict[str, bool] = {}
    bad = 0
    for path in chosen:
        mutant = Mutant.read(path)
        fate = try_mutant(mutant, green)
        bad += fate is not Fate.KILLED
        sys.stdout.write(f"{fate.value:8}  {path.stem}: {mutant.breaks}  [{mutant.test}]\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - bad} passed, {bad} failed\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
