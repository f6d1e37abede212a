"""One target under the fuzzer, which takes over the process: ``tests.fuzz.guided TARGET …``."""

from __future__ import annotations

import sys

import atheris  # installed by `make fuzz` only

with atheris.instrument_imports(include=["shadow_agent"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()
