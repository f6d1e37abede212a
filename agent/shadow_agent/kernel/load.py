"""Chooses the loader."""

from __future__ import annotations

from collections.abc import Sequence

from shadow_agent.kernel import bcc_loader, libbpf_loader
from shadow_agent.kernel.program import OBJECT, LoadedTap, Loader, source_folder


def load(loader: Loader, programs: Sequence[str]) -> LoadedTap:
    """Load the named programs of the tap and its maps.

    AUTO is libbpf with the object built at install, or bcc where there is no object.
    Raises LoadError.
    """
    if loader is Loader.BCC or (loader is Loader.AUTO and not OBJECT.exists()):
        return bcc_loader.load(source_folder(), programs)
    return libbpf_loader.load(OBJECT, programs)
