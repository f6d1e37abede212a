"""The guard's programs on a real cgroup, and that both sides agree on the layout."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from shadow_agent.guard.cgroup import Cgroup
from shadow_agent.kernel import guard
from shadow_agent.kernel.bpf import program_info
from shadow_agent.kernel.guard import GuardPrograms, Hook, Refusals, as_mapped
from shadow_agent.kernel.program import source_folder
from tests.testbed.wait import eventually

HEADER = source_folder() / "guard.h"
IPPROTO_MPTCP = 262


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """One of this test."""
    found = Cgroup.prepare(Path(f"shadow-agent-kernel-{os.getpid()}"))
    yield found
    found.kill()
    eventually(lambda: not found.pids(), 5, "cgroup empty")
    found.close()


@pytest.fixture
def programs(cgroup: Cgroup) -> Iterator[GuardPrograms]:
    """Attached; nothing is allowed."""
    found = GuardPrograms()
    found.attach(cgroup.fd)
    yield found
    found.detach(cgroup.fd)
    found.close()


def _inside(cgroup: Cgroup, *attempts: str) -> list[str]:
    """What a Python process in the cgroup gets of each attempt: an errno's name, or its value."""
    code = (
        "import errno, os, socket, sys\n"
        f"open({str(cgroup.path / 'cgroup.procs')!r}, 'w').write('0')\n"
        "def connect(where, kind=socket.SOCK_STREAM, protocol=0):\n"
        "    family = socket.AF_INET6 if ':' in where[0] else socket.AF_INET\n"
        "    made = socket.socket(family, kind, protocol); made.settimeout(5)\n"
        "    made.connect(where); return made\n"
        "def send(where, flags=0, kind=socket.SOCK_DGRAM, options=()):\n"
        "    family = socket.AF_INET6 if ':' in where[0] else socket.AF_INET\n"
        "    made = socket.socket(family, kind)\n"
        "    for option in options: made.setsockopt(*option)\n"
        "    return made.sendto(b'x', flags, where)\n"
        "for text in sys.argv[1:]:\n"
        "    try: print(eval(text))\n"
        "    except OSError as error: print(errno.errorcode[error.errno])\n"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-c", code, *attempts],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Listens on 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


ATTEMPTS = (
    "connect(('127.0.0.1', {0}))",
    "connect(('::ffff:127.0.0.1', {0}))",
    "connect(('0.0.0.0', {0}))",
    "connect(('::1', {0}))",
    "connect(('127.0.0.1', {0}), socket.SOCK_DGRAM)",
    "send(('127.0.0.1', {0}))",
    "send(('::1', {0}))",
    "send(('::ffff:127.0.0.1', {0}))",
    "send(('127.0.0.1', {0}), socket.MSG_FASTOPEN, socket.SOCK_STREAM)",
)


def test_everything_is_refused(
    cgroup: Cgroup, programs: GuardPrograms, server: socket.socket
) -> None:
    """Connections and datagrams of both families, mapped addresses, fast open; with EPERM."""
    port = server.getsockname()[1]
    attempts = [one.format(port) for one in ATTEMPTS]
    assert _inside(cgroup, *attempts) == ["EPERM"] * len(attempts)
    assert programs.counts().refused == len(attempts)
    refusals = Refusals(programs.ring_fd)
    found = refusals.take(1000)
    assert [one.hook for one in found] == [Hook.CONNECT] * 5 + [Hook.SENDMSG] * 3 + [Hook.CONNECT]
    assert {one.port for one in found} == {port}
    assert {one.command for one in found} == {b"python3"}
    assert found[0].address == as_mapped(ip_address("127.0.0.1").packed)
    assert refusals.take(1000) == []
    refusals.close()


def test_other_sockets_are_refused(cgroup: Cgroup, programs: GuardPrograms) -> None:
    """Raw ones, MPTCP and UDP-Lite, which connect past the hooks."""
    assert (
        _inside(
            cgroup,
            "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
            f"socket.socket(socket.AF_INET, socket.SOCK_STREAM, {IPPROTO_MPTCP})",
            "socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 262)",
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)",
        )
        == ["EPERM"] * 4
    )
    refusals = Refusals(programs.ring_fd)
    assert {one.hook for one in refusals.take(10)} == {Hook.SOCKET}
    refusals.close()


def test_a_route_of_the_sender_s_is_refused(cgroup: Cgroup, programs: GuardPrograms) -> None:
    """A packet to an allowed address that goes to another first; what has none passes."""
    programs.allow(ip_network("127.0.0.0/8"))
    programs.allow(ip_network("::1"))
    loose = "b'\\x01\\x83\\x07\\x04' + socket.inet_aton('127.0.0.2')"
    routing = "bytes((0, 2, 4, 0, 0, 0, 0, 0)) + socket.inet_pton(socket.AF_INET6, '::1')"
    said = _inside(
        cgroup,
        "send(('127.0.0.1', 9))",
        f"send(('127.0.0.1', 9), options=[(0, 4, {loose})])",
        "send(('::1', 9))",
        f"send(('::1', 9), options=[(41, 57, {routing})])",
    )
    assert said == ["1", "EPERM", "1", "EPERM"]
    refusals = Refusals(programs.ring_fd)
    found = refusals.take(10)
    assert {one.hook for one in found} == {Hook.PACKET}
    assert [one.address for one in found] == [
        as_mapped(ip_address(where).packed) for where in ("127.0.0.2", "::1")
    ]
    refusals.close()


@pytest.mark.parametrize(
    ("network", "port_given", "passes"),
    [
        ("127.0.0.0/8", False, True),
        ("127.0.0.1/32", True, True),
        ("127.0.0.2/32", False, False),
        ("0.0.0.0/0", True, True),
        ("::/0", False, True),
        ("::ffff:0:0/96", False, True),
        ("fd00::/8", False, False),
    ],
)
def test_what_is_allowed_passes(
    cgroup: Cgroup, programs: GuardPrograms, server: socket.socket, network: str,
    port_given: bool, passes: bool,
) -> None:  # fmt: skip
    """By network, and by port where one was given; another port then is refused."""
    port = server.getsockname()[1]
    programs.allow(ip_network(network), port if port_given else 0)
    said = _inside(
        cgroup, f"connect(('127.0.0.1', {port})).getpeername()[1]", "send(('127.0.0.1', 9))"
    )
    assert said == [
        str(port) if passes else "EPERM",
        "1" if passes and not port_given else "EPERM",
    ]


def test_stubs_are_redirected_while_somebody_answers(
    cgroup: Cgroup, programs: GuardPrograms, server: socket.socket
) -> None:
    """Before the allow-list; when the lease has run out they are refused, never let through."""
    local = server.getsockname()[1]
    for address in ("10.255.0.9", "127.0.0.1"):
        programs.stub(as_mapped(ip_address(address).packed), 80, local)
    programs.allow(ip_network("10.0.0.0/8"))
    attempts = (
        "connect(('10.255.0.9', 80)).getpeername()",
        "connect(('::ffff:10.255.0.9', 80)).getpeername()[1]",
        "connect(('127.0.0.1', 80)).getpeername()",
        "send(('127.0.0.1', 80))",
    )
    assert _inside(cgroup, *attempts) == ["EPERM"] * 4
    programs.answer_until(1 << 63)
    peer = f"('127.0.0.1', {local})"
    assert _inside(cgroup, *attempts) == [peer, str(local), peer, "EPERM"]
    assert programs.counts().stubbed == 3


def test_ipv6_stubs(cgroup: Cgroup, programs: GuardPrograms) -> None:
    """To loopback of their own family."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        local = listener.getsockname()[1]
        programs.stub(ip_address("fd00:9::9").packed, 443, local)
        programs.answer_until(1 << 63)
        said = _inside(cgroup, "connect(('fd00:9::9', 443)).getpeername()[:2]")
        assert said == [f"('::1', {local})"]


def test_a_stub_that_nobody_can_answer(cgroup: Cgroup, programs: GuardPrograms) -> None:
    """Refused, also where the allow-list would let it through."""
    programs.stub(ip_address("fd00:9::9").packed, 443, 0)
    programs.allow(ip_network("fd00::/8"))
    programs.answer_until(1 << 63)
    assert _inside(cgroup, "connect(('fd00:9::9', 443))") == ["EPERM"]
    assert programs.counts()[1:3] == (0, 1)


def test_a_cgroup_that_is_gone(cgroup: Cgroup) -> None:
    """Nothing hangs on it, and nothing fails."""
    inner = Cgroup.prepare(cgroup.path / "inner")
    programs = GuardPrograms()
    programs.attach(inner.fd)
    inner.path.rmdir()
    assert programs.attached(inner.fd) == []
    programs.detach(inner.fd)
    programs.close()
    inner.close()


def test_a_full_ring_is_counted(cgroup: Cgroup, programs: GuardPrograms) -> None:
    """And refusing goes on."""
    attempt = "[send(('127.0.0.1', 9)) for _ in range(1)]"
    loop = (
        "sum(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect_ex(('127.0.0.1', 9)) == 1 "
        "for _ in range(5000))"
    )
    assert _inside(cgroup, loop, attempt) == ["5000", "EPERM"]
    counts = programs.counts()
    refusals = Refusals(programs.ring_fd)
    told = 0
    while found := refusals.take(100):
        told += len(found)
    assert (counts.refused, counts.untold) == (5001, 5001 - told)
    assert counts.untold > 0
    refusals.close()


def test_the_refusal_outlives_its_maker(cgroup: Cgroup) -> None:
    """With every fd closed the programs stay, and another guard takes their place."""
    first = GuardPrograms()
    first.attach(cgroup.fd)
    assert len(first.attached(cgroup.fd)) == len(guard.HOOKS)
    first.close()
    assert _inside(cgroup, "send(('127.0.0.1', 9))") == ["EPERM"]
    second = GuardPrograms()
    second.allow(ip_network("127.0.0.0/8"))
    second.attach(cgroup.fd)
    assert _inside(cgroup, "send(('127.0.0.1', 9))") == ["1"]
    second.detach(cgroup.fd)
    second.detach(cgroup.fd)
    assert second.attached(cgroup.fd) == []
    second.close()


def test_a_parent_that_tolerates_no_other_is_an_error(cgroup: Cgroup) -> None:
    """The kernel's word, not silence: somebody attached there without BPF_F_ALLOW_MULTI."""
    theirs, ours = GuardPrograms(), GuardPrograms()
    number = program_info(theirs._loaded.programs["guard_connect4"]).id
    subprocess.run(
        ["bpftool", "cgroup", "attach", cgroup.path, "connect4", "id", str(number)], check=True
    )
    inner = Cgroup.prepare(cgroup.path / "inner")
    with pytest.raises(OSError, match="PROG_ATTACH") as error:
        ours.attach(inner.fd)
    assert error.value.errno == errno.EPERM
    inner.close()
    ours.close()
    theirs.close()


def test_layout(tmp_path: Path) -> None:
    """Sizes, offsets and values as the compiler sees them."""
    clang = shutil.which("clang")
    if clang is None:
        pytest.skip("clang")
    asked = {
        "sizeof(struct guard_allow_key)": guard.ALLOW_KEY.size,
        "sizeof(struct guard_stub_key)": guard.STUB_KEY.size,
        "sizeof(struct guard_event)": guard.EVENT.size,
        "GUARD_MAX_ALLOWED": guard.MAX_ALLOWED,
        "GUARD_MAX_STUBBED": guard.MAX_STUBBED,
        "GUARD_RING_BYTES": guard.RING_BYTES,
        "GUARD_HOOK_CONNECT": Hook.CONNECT,
        "GUARD_HOOK_SENDMSG": Hook.SENDMSG,
        "GUARD_HOOK_SOCKET": Hook.SOCKET,
        "GUARD_HOOK_PACKET": Hook.PACKET,
        "GUARD_COUNTERS": len(guard.GuardCounts._fields),
        "__builtin_offsetof(struct guard_event, addr)": 8,
        "__builtin_offsetof(struct guard_event, port)": 24,
        "__builtin_offsetof(struct guard_event, protocol)": 28,
        "__builtin_offsetof(struct guard_event, hook)": 30,
        "__builtin_offsetof(struct guard_event, pid)": 32,
        "__builtin_offsetof(struct guard_event, comm)": 40,
    }
    source = tmp_path / "print.c"
    source.write_text(
        f'#include <stdio.h>\n#include "{HEADER}"\nint main(void) {{'
        + "".join(f'printf("%lu\\n", (unsigned long)({one}));' for one in asked)
        + "}"
    )
    subprocess.run([clang, source, "-o", tmp_path / "print"], check=True)
    printed = subprocess.run([tmp_path / "print"], capture_output=True, text=True, check=True)
    assert list(map(int, printed.stdout.split())) == list(asked.values())
    raw = guard.EVENT.pack(1, b"a" * 16, b"\0\x50", 6, 1, 7, b"c" * 16)
    assert struct.unpack_from("=I", raw, 32) == (7,)
    names = re.findall(r"GUARD_(\w+) = \d+,", HEADER.read_text().split("enum guard_counter")[1])
    assert [name.lower() for name in names[:-1]] == list(guard.GuardCounts._fields)
