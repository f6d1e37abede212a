"""A loaded tap: file descriptors of its programs and maps, whichever loader made them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

MAPS = ("control", "counters", "rings")

OBJECT = Path(__file__).parent / "objects" / "tap.bpf.o"


class Loader(StrEnum):
    """How the programs come into the kernel."""

    AUTO = "auto"
    LIBBPF = "libbpf"
    BCC = "bcc"


class LoadError(Exception):
    """The kernel or a loader refused; the text is one line with the reason and the fix."""


@dataclass(frozen=True, slots=True)
class LoadedTap:
    """Owns its file descriptors: ``close`` them (they do not survive exec)."""

    loader: Loader
    programs: Mapping[str, int]
    maps: Mapping[str, int]

    def close(self) -> None:
        """Close every fd; what is attached by links stays until their fds close too."""
        for fd in (*self.programs.values(), *self.maps.values()):
            os.close(fd)


def source_folder() -> Path:
    """Where ``tap.bpf.c`` is: inside an installed package, or beside it in a clone."""
    installed = Path(__file__).parents[1] / "bpf"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "bpf"
