"""A loaded tap: file descriptors of its programs and maps, whichever loader made them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
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


def load(loader: Loader, programs: Sequence[str]) -> LoadedTap:
    """Load the named programs of the tap and its maps.

    AUTO is libbpf with the object built at install, or bcc where there is no object.
    Raises LoadError.
    """
    from shadow_agent.kernel import bcc_loader, libbpf_loader  # noqa: PLC0415 - each costs a library

    if loader is Loader.BCC or (loader is Loader.AUTO and not OBJECT.exists()):
        return bcc_loader.load(source_folder(), programs)
    return libbpf_loader.load(OBJECT, programs)
