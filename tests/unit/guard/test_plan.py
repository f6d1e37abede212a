"""Options of the guard, checked before anything is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.errors import UsageError
from shadow_agent.guard.plan import Options, make_plan


def _options(tmp_path: Path, **more: object) -> Options:
    for name, text in (("pay", '{"status": 201}'), ("mail", '{"protocol": "smtp"}')):
        (tmp_path / name).write_text(text)
    return Options(command=("true",), cgroup=Path("x"), **more)  # type: ignore[arg-type]


def test_a_plan(tmp_path: Path) -> None:
    """Answers by method for each address and port; resolvers are allowed."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 10.0.0.53\n")
    stubs = (
        f"POST 10.0.0.9:80={tmp_path}/pay", f"10.0.0.9:80={tmp_path}/pay",
        f"10.0.0.8:25={tmp_path}/mail",
    )  # fmt: skip
    plan = make_plan(_options(tmp_path, allow=("10.1.0.0/16",), stub=stubs), conf)
    assert [str(one.network) for one in plan.allowed] == ["10.1.0.0/16", "10.0.0.53/32"]
    assert [(one.address, one.port, sorted(one.answers)) for one in plan.stubs] == [
        ("10.0.0.9", 80, ["", "POST"]),
        ("10.0.0.8", 25, [""]),
    ]
    assert plan.stubs[1].mail
    assert plan.notes == ()
    assert len(plan.key) == 32


def test_notes(tmp_path: Path) -> None:
    """What the operator may not have meant."""
    plan = make_plan(_options(tmp_path, allow=("127.0.0.1",)), tmp_path / "none")
    assert "127.0.0.1/32" in plan.notes[0]
    assert "no resolver" in plan.notes[1]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"stub": ("POST 10.0.0.8:25={}/mail",)}, "SMTP has no method"),
        ({"stub": ("10.0.0.9:80={}/pay", "10.0.0.9:80={}/pay")}, "was given before"),
        ({"stub": ("10.0.0.9:80={}/mail", "GET 10.0.0.9:80={}/pay")}, "both SMTP and HTTP"),
        ({"hello": "0.0.0.0:7000"}, "needs --guard-key"),
        ({"stub": ("10.0.0.9:80={}/none",)}, "No such file"),
    ],
)
def test_bad_ones_are_refused(tmp_path: Path, more: dict[str, object], reason: str) -> None:
    """One line."""
    filled = {
        name: tuple(one.format(tmp_path) for one in value) if isinstance(value, tuple) else value
        for name, value in more.items()
    }
    with pytest.raises(UsageError, match=reason):
        make_plan(_options(tmp_path, **filled))


def test_a_hello_needs_an_address(tmp_path: Path) -> None:
    """And a key."""
    key = tmp_path / "key"
    key.write_bytes(b"k" * 40)
    key.chmod(0o600)
    assert make_plan(_options(tmp_path, hello="[::1]:7000", key=key)).hello == ("::1", 7000)
    with pytest.raises(UsageError, match="--hello"):
        make_plan(_options(tmp_path, hello="7000", key=key))


def test_a_command_is_needed(tmp_path: Path) -> None:
    """Else nothing would be guarded."""
    with pytest.raises(UsageError, match="no COMMAND"):
        make_plan(Options(command=(), cgroup=tmp_path))
