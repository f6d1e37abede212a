"""Compiles the BPF programs: into the wheel as hatchling's build hook, for a clone as `make bpf`.

    python hatch_build.py OUTPUT

The name of OUTPUT says which: ``guard.bpf.o`` comes from ``bpf/guard.bpf.c``. A host without clang
still gets a wheel: it carries the source of the tap, which ``--loader bcc`` compiles when it
attaches. A clang that is there and fails, fails the build.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
NAMES = ("tap", "guard")
OBJECTS_IN_PACKAGE = "shadow_agent/kernel/objects"


def multiarch() -> str | None:
    """The Debian triplet of this machine (``x86_64-linux-gnu``), where asm/types.h lies."""
    triplet = sysconfig.get_config_var("MULTIARCH")
    if triplet:
        return str(triplet)
    if compiler := shutil.which("gcc") or shutil.which("cc"):
        asked = subprocess.run(
            [compiler, "-print-multiarch"], capture_output=True, text=True, check=False
        )
        return asked.stdout.strip() or None
    return None


def clang_command(clang: str, name: str, output: Path) -> list[str]:
    """The one line that compiles a program; run it in the project's root.

    Instruction set v2, not v3: Linux 5.10 runs both, but its verifier loses bounds across the
    32-bit operations of v3, and v3 lets clang emit atomics that fetch, which came with 5.12.
    Compilers differ in which loops they unroll; all kernels meant here run bounded loops, so a loop
    left alone is no error. Relative paths and a fixed compilation directory keep the builder's
    folders out of the object.
    """
    triplet = multiarch()
    includes = [f"-I/usr/include/{triplet}"] if triplet else []
    return [
        clang,
        *("-target", "bpf", "-mcpu=v2", "-O2", "-g", "-fdebug-compilation-dir=."),
        *("-Wall", "-Wextra", "-Werror", "-Wno-pass-failed"),
        *includes,
        *("-Ibpf", "-c", f"bpf/{name}.bpf.c", "-o", str(output)),
    ]


def compile_program(output: Path) -> bool:
    """Compile what ``output`` is named after; False when there is no clang.

    Raises:
        subprocess.CalledProcessError: clang refused the source; its words are on stderr.
    """
    clang = shutil.which("clang")
    if clang is None:
        return False
    output.parent.mkdir(parents=True, exist_ok=True)
    # A build that was interrupted must not leave half an object under the final name.
    partial = output.with_suffix(".partial")
    try:
        subprocess.run(
            clang_command(clang, output.name.partition(".")[0], partial.resolve()),
            cwd=ROOT,
            check=True,
        )
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    return True


class TapBuildHook(BuildHookInterface[Any]):
    """Adds the tap, compiled and as source, to a wheel; an editable install has the clone's."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile into a scratch folder and list what the wheel takes from outside the package."""
        if version == "editable":
            return
        include = build_data["force_include"]
        for file in sorted(ROOT.glob("bpf/*.[ch]")):
            include[str(file)] = f"shadow_agent/bpf/{file.name}"
        self._scratch = tempfile.TemporaryDirectory(prefix="shadow-agent-build-")
        for name in NAMES:
            compiled = Path(self._scratch.name) / f"{name}.bpf.o"
            if not compile_program(compiled):
                self.app.display_warning(
                    "clang not found: the wheel has no compiled tap, only --loader bcc will work, "
                    "and no guard (fix: apt-get install clang libbpf-dev, then install again)"
                )
                return
            include[str(compiled)] = f"{OBJECTS_IN_PACKAGE}/{compiled.name}"
        # The object has this machine's byte order.
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the scratch folder once the wheel is written."""
        del build_data, artifact_path
        if version != "editable":
            self._scratch.cleanup()


def main() -> int:
    """Compile for the clone; the exit code is that of `make bpf`."""
    if len(sys.argv) != 2:
        print("usage: hatch_build.py OUTPUT", file=sys.stderr)
        return 2
    try:
        compiled = compile_program(Path(sys.argv[1]))
    except subprocess.CalledProcessError as refused:
        return refused.returncode or 1
    if not compiled:
        print("clang not found (fix: apt-get install clang libbpf-dev)", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
