"""The gate asks flagd: the real provider, over real gRPC, in a process that has no privileges."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat
from cryptography.x509.oid import NameOID

from shadow_agent.config.gate import Gate, GateProvider
from shadow_agent.daemon.flags import find_provider
from shadow_agent.daemon.seccomp import open_sandbox
from shadow_agent.errors import UsageError
from tests.testbed import flagd
from tests.unit.daemon.test_gate import Bench

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changes user")

Tls = tuple[Path, Path]


class Flagd:
    """A server that comes and goes, at one port."""

    def __init__(self, folder: Path, tls: Tls | None = None) -> None:
        self.flags = folder / "served.json"
        self._tls = tls
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    def say(self, **flags: object) -> None:
        """From now on; at one go."""
        new = self.flags.with_suffix(".new")
        new.write_text(json.dumps({f"shadow.{name}": value for name, value in flags.items()}))
        new.rename(self.flags)

    def start(self) -> None:
        """Listening, where it did before."""
        self.process, self.port = flagd.spawn(self.flags, self.port, self._tls)

    def kill(self) -> None:
        """As a machine dies, without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="flagd-") as made:
        yield Path(made)


@pytest.fixture
def bench(folder: Path) -> Iterator[Bench]:
    """A dial, and a gate once it is started."""
    made = Bench(folder)
    yield made
    if made.watch is not None:
        made.watch.close()


@pytest.fixture
def serve(folder: Path) -> Iterator[Callable[..., Flagd]]:
    """What makes a server that says yes to half of everything."""
    made: list[Flagd] = []

    def start(tls: Tls | None = None) -> Flagd:
        server = Flagd(folder, tls)
        made.append(server)
        server.say(enabled=True, sample=0.5)
        server.start()
        return server

    yield start
    for server in made:
        server.kill()


def provider(server: Flagd, kind: str = "flagd") -> GateProvider:
    """That one."""
    return GateProvider(kind, f"127.0.0.1:{server.port}")


def test_it_is_asked_until_it_is_gone_and_when_it_is_back(
    bench: Bench, serve: Callable[..., Flagd], capfd: pytest.CaptureFixture[str]
) -> None:
    """Its words, their changes, the last of them while it is away, a pause, and on again.

    In the process that asks any gate: another user, no privileges, system calls filtered.
    """
    server = serve()
    sandbox = open_sandbox("auto")
    watch = bench.start(600.0, sandbox, provider=provider(server), timeout_s=0.5)
    bench.until(lambda: not bench.switches.paused)
    assert bench.switches.sample == 0.5
    server.say(enabled=True, sample=0.25)
    bench.until(lambda: bench.switches.sample == 0.25)
    server.say(enabled=False)
    bench.until(lambda: bench.switches.paused)
    server.say(enabled=True, sample=1)  # whole numbers are numbers
    bench.until(lambda: not bench.switches.paused and bench.switches.sample == 1.0)
    pid = watch.pid
    server.kill()
    bench.until(lambda: watch.trouble != "")
    assert "its last word counts for" in bench.said[-1]
    assert not bench.switches.paused
    server.start()
    bench.until(lambda: watch.trouble == "")
    assert watch.pid == pid  # gRPC finds its way back by itself
    server.kill()
    bench.until(lambda: watch.trouble != "")
    watch.tick(time.monotonic() + 601)
    assert "silent for 600 s" in bench.dial.stopped["gate"]
    server.start()
    bench.until(lambda: not bench.switches.paused)
    assert watch.trouble == ""
    assert "shadow_agent.daemon.flagd" not in sys.modules  # nor is gRPC in the supervisor
    assert capfd.readouterr().err == ""


def test_a_start_before_it_is_there(bench: Bench, serve: Callable[..., Flagd]) -> None:
    """Nothing is mirrored until it has answered."""
    server = serve()
    server.kill()
    watch = bench.start(provider=provider(server), timeout_s=0.2)
    bench.until(lambda: watch.trouble != "")
    assert bench.switches.paused
    server.start()
    bench.until(lambda: not bench.switches.paused)


@pytest.fixture
def tls(folder: Path) -> Tls:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flags")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    cert.write_bytes(made.public_bytes(Encoding.PEM))
    key.write_bytes(
        secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, key


def test_over_tls(bench: Bench, serve: Callable[..., Flagd], tls: Tls) -> None:
    """With a certificate of the operator's own, which is read while it can be."""
    tls[0].chmod(0o600)
    server = serve(tls)
    bench.start(provider=provider(server, "flagds"), ca_file=tls[0])
    bench.until(lambda: not bench.switches.paused)
    assert bench.switches.sample == 0.5


@pytest.mark.parametrize("kind", ["flagd", "flagds"])
def test_a_stranger_is_not_believed(
    bench: Bench, serve: Callable[..., Flagd], tls: Tls, kind: str
) -> None:
    """Nobody whom it knows has signed that certificate; nor is TLS asked without it."""
    server = serve(tls)
    watch = bench.start(provider=provider(server, kind), timeout_s=0.3)
    bench.until(lambda: "DEADLINE_EXCEEDED" in watch.trouble)
    assert bench.switches.paused


@pytest.mark.parametrize(("text", "why"), [(None, "No such file"), ("x", "not|no start|PEM|NO_")])
def test_certificates_that_are_none(folder: Path, text: str | None, why: str) -> None:
    """Said at the start."""
    path = folder / "ca.pem"
    if text is not None:
        path.write_text(text)
    gate = Gate(provider=GateProvider("flagds", "127.0.0.1:1"), ca_file=path)
    with pytest.raises(UsageError, match=rf"gate\.ca-file {path}: .*({why})"):
        find_provider(gate)
