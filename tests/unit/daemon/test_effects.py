"""Who watches side effects, and what the summary has of it."""

from __future__ import annotations

import pwd
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from shadow_agent.calls.effects import Effects
from shadow_agent.calls.tried import Mark
from shadow_agent.config import Config, ShadowUrl
from shadow_agent.daemon.effects import SideEffects
from shadow_agent.daemon.hello import Guarded
from shadow_agent.replay.sockets import Endpoint
from tests.unit.isolated import needs_root

NOBODY = pwd.getpwnam("nobody")
SHADOW = Endpoint(
    family=socket.AF_INET, address=("10.0.0.9", 80), key=b"\0" * 16, port=80, interface="lo"
)


def _made(**more: Any) -> SideEffects:
    config = Config(
        interfaces=("lo",), ports=(80,), shadow=ShadowUrl("10.0.0.9", 80), target="x", **more
    )
    with ExitStack() as stack:
        return SideEffects(config, SHADOW, NOBODY, stack)


def test_nobody_watches() -> None:
    """Then nothing is said, rather than that there were none."""
    assert _made().status() == {"guard": None, "side_effects": None}
    assert _made().finish() == {"guard": None, "side_effects": None}


@needs_root
def test_a_file_of_calls(tmp_path: Path) -> None:
    """The shadow's side alone is no comparison."""
    path = tmp_path / "calls.jsonl"
    path.write_bytes(
        orjson.dumps({"n": 1, "event": "call", "protocol": "http", "host": "a", "port": 80})
    )
    found = _made(guard_calls=path).finish()["side_effects"]
    assert [row["host"] for row in found["shadow"]] == ["a"]
    assert (found["production"], found["only_shadow"], found["notes"]) == (None, None, [])


@needs_root
def test_half_a_record_is_no_all_clear(tmp_path: Path) -> None:
    """What is in it counts; from what is not, nothing is concluded, and why is a note."""
    path = tmp_path / "calls.jsonl"
    path.write_bytes(orjson.dumps({"n": 7, "event": "call", "protocol": "http", "host": "a"}))
    made = _made(guard_calls=path)
    egress = Effects()
    egress.add({"event": "call", "protocol": "http", "host": "b"})
    for calls, only in (
        (egress, ["a"]),
        (Effects.load([["http", "", "a", 0, "", 1, 0, []]]), None),
    ):

        class Watch:
            def finish(self) -> tuple[Effects | None, dict[str, Any]]:
                return calls, {}  # noqa: B023 - of this turn

        made._egress = Watch()  # type: ignore[assignment]
        found = made.finish()["side_effects"]
        assert found["notes"] == ["6 lines of the guard's record are lost or overwritten"]
        assert found["only_production"] is None
        rows = found["only_shadow"]
        assert (rows and [row["host"] for row in rows]) == only


def test_what_a_guard_said_is_shown_while_it_vouches() -> None:
    """Silent, it says why not, and nothing of what was once so."""
    made = _made()
    mark = Mark("run-1", 0, 0, 0, 0)
    said = Guarded(True, "/c", 7, 1, (), (80,), 1.0, mark, ())

    class Watch:
        guarded = said
        why: str | None = None

        def trouble(self, now: float) -> str | None:
            return self.why

    watch = Watch()
    made.vouch, made._where = watch, "h:1"  # type: ignore[assignment]
    shown = made.status()["guard"]
    assert (shown["vouched"], shown["trouble"], shown["said"]["active"]) == (True, None, True)
    watch.why = "it does not answer"
    assert made.status()["guard"] == {
        "where": "h:1", "vouched": False, "trouble": "it does not answer", "said": None,
    }  # fmt: skip


@needs_root
def test_what_went_wrong_is_a_note(tmp_path: Path) -> None:
    """A file that is not there, a process that died: null, and why."""
    made = _made(guard_calls=tmp_path / "none")

    class Dead:
        def finish(self) -> tuple[Effects | None, dict[str, Any]]:
            return None, {}

    made._egress = Dead()  # type: ignore[assignment]
    found = made.finish()["side_effects"]
    assert (found["production"], found["shadow"]) == (None, None)
    assert "died" in found["notes"][0]
    assert "No such file" in found["notes"][1]


def test_a_guard_that_cannot_be_asked_is_a_note() -> None:
    """Its calls are not known, which is not none."""
    made = _made()

    class Silent:
        guarded = None

        def calls(self) -> Effects | None:
            return None

        def trouble(self, now: float) -> str:
            return "it does not answer"

    made.vouch, made._where = Silent(), "10.0.0.9:7"  # type: ignore[assignment]
    found = made.finish()
    assert found["guard"] == {
        "where": "10.0.0.9:7", "vouched": False, "trouble": "it does not answer", "said": None,
    }  # fmt: skip
    assert found["side_effects"]["shadow"] is None
    assert "could not be asked" in found["side_effects"]["notes"][0]
