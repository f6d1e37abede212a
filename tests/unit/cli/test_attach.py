"""``attach``: flags to Config to run."""

from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest

from shadow_agent.cli.main import main
from shadow_agent.config import Config, SessionKey, SessionKind, ShadowUrl
from shadow_agent.config.egress import Egress
from shadow_agent.config.keys import KEYS


def test_the_command_line_of_the_contract(supervisor: list[Config], tmp_path: Path) -> None:
    """Every flag arrives, and the run's exit code is the command's."""
    arguments = (
        f"attach --iface eth0 --iface eth2 --port 8080 --port 8081 --shadow http://10.0.0.9:8080 "
        f"--target web --shadow-iface eth1 --sample 0.5 --duration 1.5 --requests 7 "
        f"--methods GET,POST --workers 2 --data-dir {tmp_path}/data --metrics 127.0.0.1:9464 "
        f"--loader libbpf --json --allow-same-interface --require-shadow --mechanism clsact "
        f"--user nobody --runtime-dir {tmp_path} --session cookie:sid --production-build a "
        f"--shadow-build b --debug --isolate --isolate-address 10.0.0.77/24 "
        f"--isolate-gateway 10.0.0.1 --notrack off --seccomp require --dry-run --unguarded "
        f"--guard 10.0.0.9:7077 --guard-key {tmp_path}/key "
        f"--guard-calls {tmp_path}/calls --observe-egress eth0:80 "
        f"--write {tmp_path}/out.pcapng --write-limit 5000000"
    ).split()
    assert {one.removeprefix("--") for one in arguments if one.startswith("--")} == KEYS.keys() - {
        "speed"
    }
    assert main(arguments) == 20
    assert supervisor == [
        Config(
            interfaces=("eth0", "eth2"),
            ports=(8080, 8081),
            shadow=ShadowUrl("10.0.0.9", 8080),
            target="web",
            shadow_interface="eth1",
            sample=0.5,
            duration_s=1.5,
            requests=7,
            methods=frozenset({"GET", "POST"}),
            workers=2,
            data_dir=tmp_path / "data",
            write=tmp_path / "out.pcapng",
            write_limit=5_000_000,
            metrics=("127.0.0.1", 9464),
            guard=("10.0.0.9", 7077),
            guard_key=tmp_path / "key",
            guard_calls=tmp_path / "calls",
            observe_egress=Egress("eth0", (80,)),
            loader="libbpf",
            json=True,
            allow_same_interface=True,
            require_shadow=True,
            mechanism="clsact",
            user="nobody",
            runtime_dir=tmp_path,
            session=SessionKey(SessionKind.COOKIE, "sid"),
            production_build="a",
            shadow_build="b",
            debug=True,
            isolate=True,
            isolate_address=ip_interface("10.0.0.77/24"),
            isolate_gateway=ip_address("10.0.0.1"),
            notrack="off",
            seccomp="require",
            dry_run=True,
            unguarded=True,
        )
    ]
    assert (tmp_path / "data").is_dir()


def test_an_interface_is_enough_with_a_file(
    supervisor: list[Config], no_system_file: Path, tmp_path: Path
) -> None:
    """The system's file has the rest."""
    no_system_file.write_text(
        f'port = 80\nshadow = "http://s"\njson = true\ndata-dir = "{tmp_path}"\n', encoding="utf-8"
    )
    assert main(["attach", "--iface", "eth0"]) == 20
    (config,) = supervisor
    assert (config.interfaces, config.ports, config.json) == (("eth0",), (80,), True)


def test_an_unwritable_data_directory(
    supervisor: list[Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 before anything starts."""
    (tmp_path / "file").touch()
    arguments = f"attach --iface e --port 1 --shadow http://s --data-dir {tmp_path}/file/x"
    assert main(arguments.split()) == 2
    assert supervisor == []
    assert f"--data-dir {tmp_path}/file/x: cannot write there" in capsys.readouterr().err


def test_the_hidden_flag_stays_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    """--mechanism is for tests and for hosts where TCX misbehaves."""
    assert main(["attach", "--help"]) == 0
    assert "--mechanism" not in capsys.readouterr().out
