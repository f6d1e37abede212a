"""What the supervisor may still do once everything is open: attach again, fork, kill.

Capabilities belong to a thread: this is called while there is only one.
"""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from shadow_agent.daemon.process import bound_capabilities, no_new_privileges
from shadow_agent.kernel.features import CAPABILITIES

# linux/capability.h
_VERSION_3: Final = 0x20080522
_DAC_OVERRIDE: Final = 1
_SETPCAP: Final = 8
_SYS_ADMIN: Final = 21
_NAMES: Final = {bit: name for name, bit in CAPABILITIES.items()} | {
    _DAC_OVERRIDE: "CAP_DAC_OVERRIDE",
    _SYS_ADMIN: "CAP_SYS_ADMIN",
}

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    """One half of each set; version 3 has two."""

    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def keep_what_attach_needs(folders: Iterable[Path]) -> tuple[str, ...]:
    """Drop every other capability for good, and any way to gain one; the names of those kept.

    CAP_DAC_OVERRIDE stays where a file could not be written in one of ``folders`` without it.
    Raises OSError.
    """
    permitted = _permitted()
    wanted = set(CAPABILITIES.values()) & permitted
    if not wanted >= set(CAPABILITIES.values()):
        wanted |= {_SYS_ADMIN} & permitted  # it stands for those that are missing
    _set(effective=wanted, permitted=permitted)
    if not all(_writable(folder) for folder in folders):
        wanted |= {_DAC_OVERRIDE} & permitted
    if _SETPCAP in permitted:
        _set(effective=permitted, permitted=permitted)
        bound_capabilities(wanted)
    _set(effective=wanted, permitted=wanted)
    no_new_privileges()
    return tuple(sorted(_NAMES[bit] for bit in wanted))


def _permitted() -> set[int]:
    status = Path("/proc/thread-self/status").read_text(encoding="utf-8")
    found = re.search(r"^CapPrm:\s*([0-9a-f]+)$", status, re.MULTILINE)
    mask = int(found.group(1), 16) if found else 0
    return {bit for bit in range(64) if mask >> bit & 1}


def _set(*, effective: set[int], permitted: set[int]) -> None:
    halves = (_Data * 2)()
    for number, half in enumerate(halves):
        half.effective = _half(effective, number)
        half.permitted = _half(permitted, number)
    if _libc.capset(ctypes.byref(_Header(_VERSION_3, 0)), ctypes.byref(halves)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")


def _half(bits: set[int], number: int) -> int:
    return sum(1 << bit - 32 * number for bit in bits if bit // 32 == number)


def _writable(folder: Path) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-"):
            return True
    except OSError:
        return False
