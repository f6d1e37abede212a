"""What of the traffic is kept, and what is on record of who kept it: whole agents, real servers."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from tests.net.agent import COMMAND, PATIENCE_S, PORT, Home, attach, options
from tests.testbed import Testbed, nginx, tools

pytestmark = pytest.mark.net


def audited(home: Home) -> list[dict[str, object]]:
    """The audit log."""
    return [orjson.loads(line) for line in (home.data / "audit.log").read_bytes().splitlines()]


def verify(bed: Testbed, home: Home) -> int:
    """The command's exit code."""
    return bed.prod.run(
        COMMAND, "audit", "verify", "--data-dir", home.data, timeout=PATIENCE_S, check=False
    ).returncode


def test_who_did_what_is_on_record(served: Testbed) -> None:
    """Attach with its configuration, each change with who asked, detach with why; two agents."""
    home = Home(served)
    agent = attach(served, home=home)
    home.command("ctl", "sample", "0.5")
    home.command("ctl", "epoch", "--build", "b2")
    home.command("status")
    home.command("detach")
    agent.finish()
    again = attach(served, home=home)
    again.stop()
    entries = audited(home)
    assert [entry["what"] for entry in entries] == [
        *("attach", "ctl sample", "ctl epoch", "detach", "attach", "detach"),
    ]
    first, sample, epoch, detach, *_ = entries
    assert isinstance(first["about"], dict)
    assert first["about"]["config"]["iface"] == [served.service_iface]
    assert first["pid"] == agent.pid
    assert isinstance(sample["about"], dict)
    assert sample["about"]["fraction"] == 0.5
    assert sample["pid"] not in (agent.pid, 0)
    assert sample["uid"] == os.getuid()
    assert isinstance(epoch["about"], dict)
    assert epoch["about"]["build"] == "b2"
    assert isinstance(detach["about"], dict)
    assert detach["about"]["why"] == "detach"
    assert verify(served, home) == 0
    log = home.data / "audit.log"
    log.write_bytes(log.read_bytes().replace(b"ctl sample", b"ctl resume", 1))
    assert verify(served, home) == 30


def test_what_cannot_be_audited_is_not_done(served: Testbed, tmp_path: Path) -> None:
    """Exit code 2, one line, nothing attached; lost later, it is said and the run goes on."""
    home = Home(served)
    (home.data / "audit.log").mkdir(parents=True)
    refused = served.prod.run(
        *(COMMAND, "attach", *options(served), *home.options), timeout=PATIENCE_S, check=False
    )
    assert refused.returncode == 2
    assert "cannot write the audit log" in refused.stderr
    assert "attached" not in refused.stderr
    other = Home(served)
    agent = attach(served, home=other)
    log = other.data / "audit.log"
    log.rename(other.data / "away")
    log.mkdir()
    other.command("ctl", "sample", "0.5")
    assert tools.curl(served.client, served.service.url(PORT, "/health")).status == 200
    agent.stop()
    assert "ctl sample is not on record" in agent.process.errors()


MAIL = "jane.doe@example.org"


@pytest.fixture
def differing(bed: Testbed) -> Testbed:
    """Two builds that answer otherwise, with a secret."""
    for host, build in ((bed.service, "v1"), (bed.shadow, "v2")):
        nginx.start(host, build)
    return bed


def test_evidence(differing: Testbed) -> None:
    """Nothing is kept unless asked for; then it is redacted and sealed, and reads are audited."""
    bed = differing
    home = Home(bed)
    url = bed.service.url(PORT, f"/api/price?mail={MAIL}&password=hunter2")
    agent = attach(bed, home=home)
    assert tools.curl(bed.client, url).status == 200
    agent.wait_compared(1)
    assert "evidence" not in agent.stop()
    assert not list(home.data.rglob("*.vault"))
    key = home.path / "evidence.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(32))
    config = home.path / "privacy.toml"
    config.write_text(f'[privacy]\nevidence = true\nkey-file = "{key}"\n')
    agent = attach(bed, "--config", str(config), home=home)
    for _ in range(3):
        assert tools.curl(bed.client, url).status == 200
    agent.wait_compared(3)
    summary = agent.stop()
    assert summary["different"] == 3
    assert summary["evidence"] == {"stored": 3, "lost": {}}
    (vault,) = home.data.rglob("*.vault")
    assert vault.stat().st_mode & 0o777 == 0o600
    assert vault.parent.stat().st_mode & 0o777 == 0o700
    for path in home.data.rglob("*"):
        if path.is_file():
            assert MAIL.encode() not in path.read_bytes()
            assert b"hunter2" not in path.read_bytes()
    options = ("--config", str(config), "--data-dir", str(home.data))
    listed = bed.prod.run(COMMAND, "evidence", "list", *options, timeout=PATIENCE_S).stdout
    assert listed.count("200→200 GET /api/price?mail=~email.") == 3
    shown = bed.prod.run(COMMAND, "evidence", "show", *options, timeout=PATIENCE_S).stdout
    assert MAIL not in shown
    assert "hunter2" not in shown
    records = [orjson.loads(line) for line in shown.splitlines()]
    assert len({record["request"]["start"] for record in records}) == 1  # equality shows
    assert records[0]["production"]["body"] != records[0]["shadow"]["body"]
    assert [entry["what"] for entry in audited(home)][-2:] == ["evidence list", "evidence show"]


def test_a_key_in_the_data_directory_is_refused(served: Testbed) -> None:
    """Exit code 2, and why."""
    home = Home(served)
    home.data.mkdir(parents=True)
    key = home.data / "evidence.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(32))
    config = home.path / "privacy.toml"
    config.write_text(f'[privacy]\nevidence = true\nkey-file = "{key}"\n')
    argv = (COMMAND, "attach", *options(served), "--config", str(config), *home.options)
    refused = served.prod.run(*argv, timeout=PATIENCE_S, check=False)
    assert refused.returncode == 2
    assert "lies in the data directory" in refused.stderr


def test_write(served: Testbed) -> None:
    """Our reader and tshark find the same exchanges in the file, and no secret is in it."""
    home = Home(served)
    home.path.mkdir(exist_ok=True)
    path = home.path / "out.pcapng"
    agent = attach(served, "--write", str(path), home=home)
    for target in (f"/api/items?mail={MAIL}", "/api/items/7", "/chunked", "/api/gone", "/big"):
        tools.curl(
            served.client,
            served.service.url(PORT, target),
            *("-H", "Authorization: Bearer hunter2", "-H", f"X-Note: from {MAIL}"),
        )
    agent.wait_compared(5)
    summary = agent.stop()
    assert summary["written"] == {"stored": 5, "lost": {}}
    assert path.stat().st_mode & 0o777 == 0o600
    data = path.read_bytes()
    for secret in (MAIL.encode(), b"hunter2", b"jane.doe"):
        assert secret not in data
    read = served.prod.run(COMMAND, "read", path, "--port", str(PORT), timeout=PATIENCE_S).stdout
    ours = [orjson.loads(line) for line in read.splitlines()]
    assert sorted(one["target"].partition("?")[0] for one in ours) == sorted(
        ["/api/items", "/api/items/7", "/chunked", "/api/gone", "/big"]
    )
    assert all(one["status"] == 200 for one in ours)
    fields = ("tcp.stream", "http.request.uri", "http.response.code", "tcp.analysis.flags")
    shark = served.prod.run(
        *("tshark", "-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"),
        *("-d", f"tcp.port=={PORT},http", "-T", "fields"),
        *(part for field in (*fields, "tcp.checksum.status") for part in ("-e", field)),
        timeout=PATIENCE_S,
    ).stdout
    rows = [line.split("\t") for line in shark.splitlines()]
    assert sorted(row[1] for row in rows if row[1]) == sorted(one["target"] for one in ours)
    assert sum(row[2] == "200" for row in rows) == 5
    assert {row[3] for row in rows} == {""}  # nothing that tshark finds odd
    assert {row[4] for row in rows} == {"1"}  # every checksum is good
    assert b"not written: none" in data  # the statistics


def test_a_file_that_is_there_is_not_touched(served: Testbed) -> None:
    """Exit code 2, and it stays as it was."""
    home = Home(served)
    home.path.mkdir(exist_ok=True)
    path = home.path / "out.pcapng"
    path.write_text("mine")
    argv = (COMMAND, "attach", *options(served), "--write", str(path), *home.options)
    refused = served.prod.run(*argv, timeout=PATIENCE_S, check=False)
    assert refused.returncode == 2
    assert "is there already" in refused.stderr
    assert path.read_text() == "mine"
