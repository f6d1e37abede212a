"""``python -m tests.fuzz [TARGET ...]``: fuzz for a while; 0 when nothing was found."""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS
from tests.testbed.host import REPO

_CORPUS = REPO / "out" / "fuzz"


def main() -> int:
    """Exit status: 0 nothing found, 1 something was, 2 it cannot run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)"
    )
    parser.add_argument("--seconds", type=int, default=600, help="in all (default: 600)")
    parser.add_argument("--one", metavar="FILE", type=Path, help="run one input, without a fuzzer")
    options = parser.parse_args()
    chosen = options.targets or list(TARGETS)
    unknown = [name for name in chosen if name not in TARGETS]
    if unknown:
        parser.error(f"no target {unknown[0]} (there are: {', '.join(TARGETS)})")
    if options.one is not None:
        for name in chosen:
            TARGETS[name](options.one.read_bytes())
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: atheris is not installed (fix: make fuzz, on x86-64)", file=sys.stderr)
        return 2
    return max(_fuzz(name, max(1, options.seconds // len(chosen))) for name in chosen)


def _fuzz(name: str, seconds: int) -> int:
    """One target in a process of its own, as the fuzzer never returns; 1: something was found."""
    corpus, finds = _CORPUS / name, _CORPUS / f"{name}-finds"
    corpus.mkdir(parents=True, exist_ok=True)
    finds.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    ran = subprocess.run(
        [
            sys.executable, "-m", "tests.fuzz.guided", name, str(corpus),
            f"-max_total_time={seconds}", f"-artifact_prefix={finds}/", "-timeout=20",
            "-rss_limit_mb=1024", "-max_len=4096", "-print_final_stats=1",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=REPO,
    )  # fmt: skip
    counted = re.search(r"number_of_executed_units:\s*(\d+)", ran.stdout)
    runs = counted[1] if counted else "?"
    if ran.returncode == 0:
        print(f"{name}: {runs} inputs in {seconds} s, nothing found")
        return 0
    print(ran.stdout[-4000:])
    print(f"{name}: FOUND after {runs} inputs; replay with --one and a file of {finds}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
