"""Bad input: one line that names the thing and the fix, the right exit code, nothing left over."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.agent import (
    COMMAND,
    PATIENCE_S,
    PORT,
    Home,
    at,
    attach,
    attach_as,
    clean,
    failure,
    hooks,
    options,
    refused,
)
from tests.net.conftest import ended_after
from tests.testbed import Testbed, pyserver, tools


@pytest.fixture
def home(bed: Testbed) -> Iterator[Home]:
    """Folders of an agent that does not come to be; in the end nothing of it is there."""
    made = Home(bed)
    yield made
    assert clean(bed.prod)
    assert made.files() == []


def shadow_url(bed: Testbed, url: str) -> list[str]:
    """The usual options with another shadow."""
    return ["--iface", "eth0", "--port", str(PORT), "--shadow", url]


def test_unknown_interface(bed: Testbed, home: Home) -> None:
    """Exit 3 on either side."""
    code, line = refused(bed, *options(bed), "--iface", "eth7", home=home)
    assert code == 3
    assert "eth7" in line
    assert "ip link" in line
    argv = [*shadow_url(bed, bed.shadow.url(PORT)), "--shadow-iface", "eth8"]
    code, line = refused(bed, *argv, home=home)
    assert code == 3
    assert "eth8" in line


@pytest.mark.parametrize(
    "url",
    [
        *("10.0.0.9:8080", "ftp://10.0.0.9", "http://", "http://10.0.0.9:99999", "http://a b"),
        *("http://[fd00::9", "http://10.0.0.9/path", "https://10.0.0.9", "http://0.0.0.0:1"),
        *("http://no-such-host.invalid", "http://10.0.0.9:0", "http://u:secret@10.0.0.9"),
    ],
)
def test_unusable_shadow_url(bed: Testbed, home: Home, url: str) -> None:
    """Exit 2 whatever is wrong with it; a password in it is not repeated."""
    code, line = refused(bed, *shadow_url(bed, url), home=home)
    assert code == 2, line
    assert "shadow" in line
    assert "secret" not in line


@pytest.mark.parametrize("host", ["10.0.1.2", "[fd00:1::2]", "127.0.0.1", "10.0.0.2", "localhost"])
def test_shadow_is_the_tapped_service(bed: Testbed, home: Home, host: str) -> None:
    """By any address of this host, also with --allow-same-interface."""
    url = f"http://{host}:{PORT}"
    for more in ((), ("--allow-same-interface",)):
        code, line = refused(bed, *shadow_url(bed, url), *more, home=home)
        assert code == 2
        assert "tapped service" in line


@pytest.mark.parametrize(
    "capability", ["bpf,-sys_admin", "perfmon,-sys_admin", "net_admin", "setuid"]
)
def test_missing_capability(bed: Testbed, home: Home, capability: str) -> None:
    """Exit 3, and the fix says who could."""
    drop = f"-{capability}"
    argv = ("setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}", COMMAND, "attach")
    done = bed.prod.run(*argv, *options(bed), *home.options, timeout=PATIENCE_S, check=False)
    code, line = failure(done)
    assert code == 3, line
    assert f"CAP_{capability.partition(',')[0].upper()}" in line
    assert "root" in line


def test_not_root(bed: Testbed, home: Home) -> None:
    """Exit 2 or 3 in one line, whatever it stumbles over first."""
    argv = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", COMMAND, "attach")
    done = bed.prod.run(*argv, *options(bed), *home.options, timeout=PATIENCE_S, check=False)
    code, _ = failure(done)
    assert code in {2, 3}


def test_unwritable_data_dir(bed: Testbed, home: Home) -> None:
    """Below a file, and on a read-only mount."""
    home.path.mkdir()
    (home.path / "file").write_text("")
    below = str(home.path / "file" / "data")
    code, line = refused(bed, *options(bed), "--data-dir", below, home=Folders(home, below))
    assert code == 2
    assert below in line
    solid = home.path / "solid"
    solid.mkdir()
    script = f'mount --bind {solid} {solid} && mount -o remount,bind,ro {solid} && exec "$@"'
    argv = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", COMMAND)
    folders = ("--runtime-dir", home.runtime, "--data-dir", solid)
    done = bed.prod.run(*argv, "attach", *options(bed), *folders, timeout=PATIENCE_S, check=False)
    code, line = failure(done)
    assert code == 2
    assert str(solid) in line


class Folders(Home):
    """A home whose data directory is somewhere else."""

    def __init__(self, home: Home, data: str) -> None:
        super().__init__(home.bed)
        self.runtime = home.runtime
        self.data = Path(data)


def test_nobody_listens_yet(bed: Testbed) -> None:
    """Boot order: a warning, and the service is mirrored once it is there."""
    pyserver.start(bed.shadow)
    agent = attach(bed)
    assert f"nobody listens on port {PORT} here yet" in agent.process.errors()
    pyserver.start(bed.service)
    assert tools.curl(bed.client, bed.service.url(PORT)).status == 200
    summary = agent.stop()
    assert at(summary["ledger"], "pairs.compared") == 1
    assert clean(bed.prod)


def test_required_shadow_is_dead(bed: Testbed, home: Home) -> None:
    """Exit 4, and only then; a living one is fine."""
    code, line = refused(bed, *options(bed), "--require-shadow", home=home)
    assert code == 4
    assert bed.shadow.url(PORT) in line
    pyserver.start(bed.shadow)
    attach(bed, "--require-shadow", home=home).stop()


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("smaple = 0.5\n", ("smaple", "sample")),
        ("sample = 2\n", ("sample",)),
        ("[limits]\nring-byte = 4096\n", ("ring-byte", "ring-bytes")),
        ("[limits]\nring-bytes = 5000\n", ("ring-bytes",)),
        ("port = \n", ("config.toml",)),
        ("[target.x]\nworkers = 99\n", ("workers", "x")),
    ],
)
def test_bad_configuration(bed: Testbed, home: Home, text: str, signs: tuple[str, ...]) -> None:
    """Exit 2 with the key, also in a table that is not used."""
    home.path.mkdir()
    config = home.path / "config.toml"
    config.write_text(text)
    code, line = refused(bed, *options(bed), "--config", str(config), home=home)
    assert code == 2
    for sign in (str(config), *signs):
        assert sign in line


@pytest.mark.parametrize(
    ("more", "sign"),
    [
        (("--sample", "1.5"), "--sample"),
        (("--port", "0"), "--port"),
        (("--workers", "17"), "--workers"),
        (("--methods", "GET,P OST"), "--methods"),
        (("--user", "nobody-of-that-name"), "--user"),
        (("--user", "root"), "--user"),
        (("--metrics", "9464"), "--metrics"),
        (("--metrics", "192.0.2.1:9464"), "--metrics"),
        (("--target", "../x"), "--target"),
        (("--config", "/nonexistent.toml"), "/nonexistent.toml"),
        (("--shadow-iface", "eth0"), "--allow-same-interface"),
    ],
)
def test_bad_option(bed: Testbed, home: Home, more: tuple[str, ...], sign: str) -> None:
    """Exit 2 with the option."""
    code, line = refused(bed, *options(bed), *more, home=home)
    assert code == 2, line
    assert sign in line


def test_incomplete(bed: Testbed, home: Home) -> None:
    """What is missing is named, all of it."""
    code, line = refused(bed, "--iface", "eth0", home=home)
    assert code == 2
    assert "--port" in line
    assert "--shadow" in line


def test_metrics_port_is_taken(bed: Testbed, home: Home) -> None:
    """Exit 2, before anything is attached."""
    pyserver.start(bed.prod, port=9464)
    code, line = refused(bed, *options(bed), "--metrics", "127.0.0.1:9464", home=home)
    assert code == 2
    assert "127.0.0.1:9464" in line


def test_no_route_to_the_shadow(bed: Testbed, home: Home) -> None:
    """Exit 3."""
    code, line = refused(bed, *shadow_url(bed, "http://198.51.100.7:80"), home=home)
    assert code == 3
    assert "198.51.100.7" in line


@pytest.fixture(scope="module")
def one_armed_bed() -> Iterator[Testbed]:
    """The only way to the shadow is by the clients' interface."""
    with Testbed(one_armed=True) as built:
        yield built


@pytest.fixture
def narrow(one_armed_bed: Testbed) -> Iterator[Testbed]:
    """Such a host on which nothing runs."""
    yield from ended_after(one_armed_bed)


@pytest.mark.parametrize("mechanism", ["tcx", "clsact"])
def test_route_crosses_the_tapped_interface(narrow: Testbed, mechanism: str) -> None:
    """Refused unless asked for by name; then it works, and replays are not taken for traffic."""
    pyserver.start(narrow.service)
    shadow = pyserver.start(narrow.shadow)
    argv = shadow_url(narrow, narrow.shadow.url(PORT))
    home = Home(narrow)
    for more in ((), ("--shadow-iface", "eth0")):
        code, line = refused(narrow, *argv, *more, home=home)
        assert code == 2
        assert "eth0" in line
        assert "--allow-same-interface" in line
        assert hooks(narrow.prod) == []
        assert home.files() == []
    agent = attach_as(narrow, *argv, "--allow-same-interface", "--mechanism", mechanism, home=home)
    for number in range(3):
        assert tools.curl(narrow.client, narrow.service.url(PORT, f"/{number}")).status == 200
    summary = agent.stop()
    assert at(summary["ledger"], "pairs.compared") == len(shadow.requests()) == 3
    assert summary["coverage"] == 1.0
    assert at(summary["ledger"], "packets.own") > 0
    assert clean(narrow.prod, ("lo", "eth0"))


def test_bad_words_on_the_command_line(bed: Testbed, home: Home) -> None:
    """An unknown option or command is exit 2 and one line, not a traceback."""
    for argv in (("attach", "--ifcae", "eth0"), ("attack",), ("attach", "--port", "http")):
        done: subprocess.CompletedProcess[str] = bed.prod.run(COMMAND, *argv, check=False)
        code, _ = failure(done)
        assert code == 2
