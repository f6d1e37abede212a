"""Puts programs on an interface's ingress and egress, and takes them off again.

TCX links where the kernel has them (6.6): first in line, and gone with the last process that
holds their fd. Else a clsact filter, which outlives its process: there the lease in the
control page silences it, and the next start or ``detach`` removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from pyroute2 import IPRoute, NetlinkError

from shadow_agent.errors import HostError
from shadow_agent.kernel import bpf

_NAME_PREFIX: Final = "shadow-agent/"
# Unlikely handles, so that filters of others at the same preference stay apart; each target and
# role on an interface needs its own, and the first free one is taken.
_HANDLES: Final = range(0x5AD0, 0x5AD0 + 64)
_PREFERENCE: Final = 1  # the lowest runs first
_ETH_P_ALL: Final = 0x0003
_NO_TCX: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP})


class Hook(StrEnum):
    """Where on an interface a program runs."""

    INGRESS = "ingress"
    EGRESS = "egress"


_TCX: Final = {
    Hook.INGRESS: bpf.AttachType.TCX_INGRESS,
    Hook.EGRESS: bpf.AttachType.TCX_EGRESS,
}
# minor numbers of the clsact qdisc: TC_H_MIN_INGRESS and TC_H_MIN_EGRESS
_PARENT: Final = {Hook.INGRESS: 0xFFFFFFF2, Hook.EGRESS: 0xFFFFFFF3}


class Mechanism(StrEnum):
    """How programs are attached."""

    AUTO = "auto"
    TCX = "tcx"
    CLSACT = "clsact"


class Attachment(Protocol):
    """One program on one hook of one interface."""

    @property
    def mechanism(self) -> Mechanism:
        """TCX or CLSACT."""
        ...

    def close(self) -> None:
        """Take the program off; harmless when the interface is gone."""
        ...


@dataclass(frozen=True, slots=True)
class TcxLink:
    """Closing the fd detaches: this process is the only one that holds it."""

    fd: int
    mechanism: Mechanism = Mechanism.TCX

    def close(self) -> None:
        """Detach."""
        os.close(self.fd)


@dataclass(frozen=True, slots=True)
class ClsactFilter:
    """A named filter on a clsact qdisc that others may share."""

    ifindex: int
    hook: Hook
    name: str
    mechanism: Mechanism = Mechanism.CLSACT

    def close(self) -> None:
        """Remove the filter, and the qdisc when nobody else has a filter on it."""
        with IPRoute() as netlink:
            _remove_filters(netlink, self.ifindex, self.name, self.hook)
            _remove_unused_qdisc(netlink, self.ifindex)


def attach(
    program_fd: int, ifindex: int, hook: Hook, mechanism: Mechanism, target: str, role: str
) -> Attachment:
    """Attach one program. AUTO tries TCX first. Raises HostError.

    ``role`` tells a target's filters apart where it has several on one hook.
    """
    if mechanism is not Mechanism.CLSACT:
        try:
            return TcxLink(bpf.create_tcx_link(program_fd, ifindex, _TCX[hook]))
        except OSError as exc:
            if mechanism is Mechanism.TCX or exc.errno not in _NO_TCX:
                raise HostError(
                    f"TCX {hook} on interface {ifindex}: {os.strerror(exc.errno or 0)}; "
                    "TCX needs Linux 6.6, try --mechanism clsact"
                ) from exc
    return _attach_clsact(program_fd, ifindex, hook, f"{_NAME_PREFIX}{target}/{role}")


def _attach_clsact(program_fd: int, ifindex: int, hook: Hook, name: str) -> ClsactFilter:
    with IPRoute() as netlink:
        try:
            netlink.tc("add", "clsact", ifindex)
        except NetlinkError as exc:
            if exc.code != errno.EEXIST:
                raise HostError(
                    f"clsact on interface {ifindex}: {exc}; the kernel needs CONFIG_NET_SCH_INGRESS"
                ) from exc
        _remove_filters(netlink, ifindex, name, hook)
        try:
            netlink.tc(
                "add-filter", "bpf", ifindex,
                handle=_free_handle(netlink, ifindex, hook), parent=_PARENT[hook],
                prio=_PREFERENCE, protocol=_ETH_P_ALL,
                fd=program_fd, name=name, direct_action=True,
            )  # fmt: skip
        except NetlinkError as exc:
            raise HostError(
                f"clsact {hook} filter on interface {ifindex}: {exc}; see "
                f"`tc filter show dev … {hook}` for what holds preference {_PREFERENCE}"
            ) from exc
    return ClsactFilter(ifindex, hook, name)


def _free_handle(netlink: IPRoute, ifindex: int, hook: Hook) -> int:
    taken = {found["handle"] for _, found in _filters(netlink, ifindex, hook)}
    return next((one for one in _HANDLES if one not in taken), _HANDLES[0])


def _filters(netlink: IPRoute, ifindex: int, hook: Hook) -> Iterator[tuple[str, Any]]:
    with contextlib.suppress(NetlinkError):
        for found in netlink.get_filters(index=ifindex, parent=_PARENT[hook]):
            options = found.get_attr("TCA_OPTIONS")
            if found["handle"]:
                name = options.get_attr("TCA_BPF_NAME") if hasattr(options, "get_attr") else None
                yield str(name or ""), found


def _remove_filters(netlink: IPRoute, ifindex: int, name: str, hook: Hook) -> int:
    removed = 0
    for found_name, found in list(_filters(netlink, ifindex, hook)):
        if found_name == name:
            with contextlib.suppress(NetlinkError):
                netlink.tc(
                    "del-filter", "bpf", ifindex,
                    handle=found["handle"], parent=_PARENT[hook],
                    prio=found["info"] >> 16, protocol=_ETH_P_ALL,
                )  # fmt: skip
                removed += 1
    return removed


def _remove_unused_qdisc(netlink: IPRoute, ifindex: int) -> None:
    if not any(True for hook in Hook for _ in _filters(netlink, ifindex, hook)):
        with contextlib.suppress(NetlinkError):
            netlink.tc("del", "clsact", ifindex)


def stale_filters() -> list[tuple[str, int, Hook]]:
    """Our filters in this network namespace: (target/role, ifindex, hook), living or not."""
    with IPRoute() as netlink:
        return [
            (name.removeprefix(_NAME_PREFIX), link["index"], hook)
            for link in netlink.get_links()
            for hook in Hook
            for name, _ in _filters(netlink, link["index"], hook)
            if name.startswith(_NAME_PREFIX)
        ]


def remove_stale(target: str | None) -> list[str]:
    """Remove filters that an agent killed on clsact left; never another program's.

    With ``target`` only that target's. Call it when no such agent lives. Returns a line for
    each that was removed.
    """
    removed = []
    for name, ifindex, hook in stale_filters():
        owner = name.partition("/")[0]  # a target's name has no slash
        if target is None or owner == target:
            ClsactFilter(ifindex, hook, _NAME_PREFIX + name).close()
            removed.append(f"{owner}: {hook} filter on interface {ifindex}")
    return removed
