"""What this kernel and this process can do for the tap, each question answered by trying it."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shadow_agent.kernel import bcc_loader, bpf, libbpf_loader, netns, program

# 5.8 has ring buffers and CAP_BPF; 5.10 is the oldest long-term kernel with both that we test.
OLDEST_KERNEL: Final = (5, 10)
_TCX_KERNEL: Final = "6.6"
_LOOPBACK_INDEX: Final = 1
_PAGE: Final = 4096
_AS_ROOT: Final = "run as root"

# linux/capability.h, and what each is for.
CAPABILITIES: Final = {
    "CAP_KILL": 5,  # end workers, which are another user's
    "CAP_SETGID": 6,  # workers run unprivileged
    "CAP_SETUID": 7,  # as CAP_SETGID
    "CAP_NET_ADMIN": 12,  # attach to an interface
    "CAP_PERFMON": 38,  # the verifier lets the tap read packets through pointers
    "CAP_BPF": 39,  # load programs and maps
}
_SYS_ADMIN: Final = 21
# Before 5.8 CAP_SYS_ADMIN was all of these, and still is.
_IN_SYS_ADMIN: Final = frozenset({"CAP_BPF", "CAP_PERFMON"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of ``doctor``: ``ok`` True, False, or None for a warning."""

    name: str
    ok: bool | None
    detail: str
    fix: str = ""


def findings() -> list[Finding]:
    """Every probe of this module, in the order in which a start would need them."""
    return [
        kernel_version(os.uname().release),
        btf(),
        capabilities(Path("/proc/self/status").read_text(encoding="utf-8")),
        hook(),
        ring_buffer(),
        bpffs(Path("/proc/self/mountinfo").read_text(encoding="utf-8")),
        libbpf(),
        bpf_object(),
        bcc(),
    ]


def kernel_version(release: str) -> Finding:
    """Whether ``uname -r`` is new enough."""
    parts = re.match(r"(\d+)\.(\d+)", release)
    new_enough = parts is not None and tuple(map(int, parts.groups())) >= OLDEST_KERNEL
    oldest = ".".join(map(str, OLDEST_KERNEL))
    fix = "" if new_enough else f"boot a kernel of {oldest} or newer"
    return Finding("kernel", new_enough, f"Linux {release}, {oldest} needed", fix)


def btf(path: Path = Path("/sys/kernel/btf/vmlinux")) -> Finding:
    """Whether the kernel describes its types. The tap reads stable fields only."""
    if path.exists():
        return Finding("btf", True, f"{path}")
    return Finding(
        "btf", None, f"no {path}; the tap does not need it", "set CONFIG_DEBUG_INFO_BTF for others"
    )


def capabilities(status: str) -> Finding:
    """Whether this process has what loading and attaching take, from its ``/proc`` status."""
    line = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    effective = int(line.group(1), 16) if line else 0
    missing = [
        name
        for name, bit in CAPABILITIES.items()
        if not effective >> bit & 1 and not (name in _IN_SYS_ADMIN and effective >> _SYS_ADMIN & 1)
    ]
    if missing:
        fix = f"{_AS_ROOT}, or give the service these"
        return Finding("capabilities", False, f"missing {', '.join(missing)}", fix)
    return Finding("capabilities", True, ", ".join(CAPABILITIES))


def hook() -> Finding:
    """How the tap can be attached: by TCX links, or else by a clsact filter."""
    try:
        bpf.query_tcx(_LOOPBACK_INDEX, bpf.AttachType.TCX_INGRESS)
    except OSError as error:
        if error.errno == errno.EPERM:
            return Finding("tc hook", False, f"TCX: {error.strerror}", _AS_ROOT)
        return _clsact()
    return Finding("tc hook", True, "TCX links")


def _clsact() -> Finding:
    code = netns.tried(_add_clsact)
    if code == 0:
        return Finding("tc hook", True, f"clsact filters (TCX comes with Linux {_TCX_KERNEL})")
    if code == errno.EPERM:
        return Finding("tc hook", None, "no TCX, and clsact could not be tried", _AS_ROOT)
    return Finding(
        "tc hook",
        False,
        f"no TCX, no clsact ({os.strerror(code)})",
        "modprobe sch_ingress cls_bpf, or set CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF",
    )


def _add_clsact() -> int:
    """The errno, or 0, of adding a clsact qdisc here."""
    from pyroute2 import IPRoute  # noqa: PLC0415 - 110 ms, only where there is no TCX

    try:
        with IPRoute() as ipr:
            ipr.tc("add", "clsact", index=_LOOPBACK_INDEX)
    except Exception as error:  # noqa: BLE001 - a NetlinkError, which is none but an Exception
        code = getattr(error, "code", None)
        return code if isinstance(code, int) else errno.EIO
    return 0


def ring_buffer() -> Finding:
    """Whether the kernel makes a BPF ring buffer for us."""
    try:
        os.close(bpf.create_ring(_PAGE, "doctor"))
    except OSError as error:
        fix = "boot a kernel of 5.8 or newer"
        if error.errno == errno.EPERM:
            # before 5.11 the ring counts as locked memory
            fix = f"{_AS_ROOT}, with `ulimit -l unlimited` before Linux 5.11"
        return Finding("ring buffer", False, f"{error.strerror}", fix)
    return Finding("ring buffer", True, "created and closed one")


def bpffs(mounts: str) -> Finding:
    """Whether bpffs is mounted, from ``/proc/self/mountinfo``. We pin nothing, others do."""
    for line in mounts.splitlines():
        mounted, _, kind = line.partition(" - ")
        if kind.split()[:1] == ["bpf"]:
            return Finding("bpffs", True, f"mounted at {mounted.split()[4]}")
    return Finding(
        "bpffs", None, "not mounted; the tap pins nothing", "mount -t bpf bpf /sys/fs/bpf"
    )


def libbpf() -> Finding:
    """Whether libbpf 1.x can be opened."""
    try:
        version = libbpf_loader.open_library().libbpf_version_string().decode()
    except (OSError, AttributeError) as error:
        # without it --loader bcc is left
        ok = None if bcc_loader.find_bcc() else False
        return Finding("libbpf", ok, f"{error}", "apt install libbpf1, or use --loader bcc")
    return Finding("libbpf", True, version)


def bpf_object(path: Path = program.OBJECT) -> Finding:
    """Whether the tap was compiled at install."""
    if path.exists():
        return Finding("bpf object", True, f"{path.name}, {path.stat().st_size} bytes")
    ok = None if bcc_loader.find_bcc() else False
    return Finding("bpf object", ok, f"no {path}", "run `make bpf`, or use --loader bcc")


def bcc() -> Finding:
    """Whether ``--loader bcc`` could be used; nothing needs it where the object is there."""
    folder = bcc_loader.find_bcc()
    found = str(folder) if folder else "not installed"
    return Finding("bcc", True, f"{found} (for --loader bcc only)")
