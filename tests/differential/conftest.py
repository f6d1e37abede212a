"""A bed for all tests here: one place, its tap, and tcpdump on the same device in parallel."""

from __future__ import annotations

import itertools
import os
import signal
import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from shadow_agent.capture.counts import PacketCounts
from shadow_agent.capture.decoder import Decoder, DecoderLimits
from shadow_agent.capture.file import open_capture
from shadow_agent.flow.segment import Segment
from shadow_agent.kernel.tun import DEVICE
from shadow_agent.selftest.listening import Listener
from shadow_agent.selftest.packets import checksum
from shadow_agent.selftest.place import Place
from tests.differential.paper import (
    CLIENT_V4,
    FIRST_CLIENT_PORT,
    PORT,
    SERVER_V4,
    SERVER_V6,
    Bed,
    Talk,
)
from tests.testbed.needs import missing
from tests.testbed.process import Process
from tests.testbed.wait import eventually

HERE = Path(__file__).parent
_MARK_PORT = 9


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here builds namespaces and loads BPF programs."""
    lacking = missing() or (None if Path(DEVICE).exists() else DEVICE)
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.net)
            if lacking is not None:
                item.add_marker(pytest.mark.skip(reason=lacking))


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the random tests go on."""
    parser.addoption(
        "--conversations", type=int, default=200, help="per random differential test (%(default)s)"
    )


@pytest.fixture(scope="session")
def conversations(request: pytest.FixtureRequest) -> int:
    """How many conversations a random test holds."""
    number: int = request.config.getoption("--conversations")
    return number


class Dump:
    """tcpdump on a place's device, from here on; ``segments`` is what its file holds."""

    def __init__(self, place: Place, directory: Path, ports: frozenset[int]) -> None:
        self.pcap = directory / f"{place.device}.pcap"
        self._place = place
        self._ports = ports
        self._marks = itertools.count(1)
        self._process = Process(
            f"tcpdump-{place.device}",
            [
                *("nsenter", f"--net={place.path}", "--", "tcpdump", "-n", "-U", "-Z", "root"),
                *("--immediate-mode", "-B", "16384", "-s", "2048", "-i", place.device),
                *("-w", str(self.pcap)),
            ],
            directory,
        )
        # snaplen: in immediate mode each packet takes a slot of that size, and 16 MiB are few
        # slots of 256 KiB; no packet here is longer than the device's MTU
        self._process.wait_output("listening on")

    def segments(self) -> list[Segment]:
        """Everything that passed the device before now."""
        mark = b"everything before mark %d is written" % next(self._marks)
        os.write(self._place.tun, _datagram(self._place, mark))
        eventually(lambda: mark in self._tail(), 5.0, "tcpdump wrote the mark", self._process.pid)
        decoder = Decoder(self._ports, DecoderLimits(), PacketCounts())
        with self.pcap.open("rb") as stream:
            return list(decoder.segments(open_capture(stream)))

    def _tail(self) -> bytes:
        with self.pcap.open("rb") as stream:
            stream.seek(max(0, self.pcap.stat().st_size - 4096))
            return stream.read()

    def stop(self) -> None:
        """End it."""
        self._process.stop(number=signal.SIGINT)


def _datagram(place: Place, payload: bytes) -> bytes:
    source, destination = ip_address(CLIENT_V4).packed, ip_address(place.v4).packed
    udp = struct.pack("!4H", _MARK_PORT, _MARK_PORT, 8 + len(payload), 0) + payload
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, destination
    )
    return header[:10] + checksum(header) + header[12:] + udp


class Paper:
    """The bed of the paper client, with both ways to listen."""

    def __init__(self, bed: Bed, listener: Listener, dump: Dump) -> None:
        self.bed = bed
        self.listener = listener
        self.dump = dump
        self._ports = itertools.count(FIRST_CLIENT_PORT)

    def talk(self, *, ipv6: bool = False, isn: int = 1000) -> Talk:
        """A connection of its own."""
        self.listener.read()  # the heartbeat, too
        return Talk(self.bed, next(self._ports), ipv6=ipv6, isn=isn)

    def live(self) -> list[Segment]:
        """The tap's records so far."""
        self.listener.read()
        return self.listener.segments


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paper]:
    """The paper client's bed, for all cases of a module."""
    place = Place("paper0", SERVER_V4, SERVER_V6)
    place.sysctl("ipv4/tcp_fastopen", 0x602)  # the server takes data in a SYN without a cookie
    dump = Dump(place, tmp_path_factory.mktemp("paper"), frozenset({PORT}))
    with place, Listener(place, (PORT,)) as listener:
        bed = Bed(place)
        try:
            yield Paper(bed, listener, dump)
        finally:
            bed.close()
            dump.stop()


MakeTalk = Callable[..., Talk]
