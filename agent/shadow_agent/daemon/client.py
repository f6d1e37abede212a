"""The client's end of a running agent's control socket.

One connection, one question: a JSON object in one line, ``{"command": …, …}``, and one line back,
``{"ok": true, …}`` or ``{"ok": false, "error": …}``. The socket is RUNTIME_DIR/TARGET.sock; one
that nobody answers is left over from an agent that was killed, and as good as absent.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from shadow_agent.errors import ExitCode, HostError, OperatorError, UsageError

ANSWER_S: Final = 5.0
# Detaching is answered after the drain (limits.drain-s, 5 by default) and the summary.
DETACH_S: Final = 60.0
# A status with the default 500 endpoints is below 200 kB.
MAX_ANSWER_BYTES: Final = 16 << 20
_POLL_S: Final = 0.05
_SUFFIX: Final = ".sock"
_LOOK: Final = "look at the agent's log; production does not wait for it"


class NotAttachedError(HostError):
    """Nothing runs under that target."""


class RefusedError(OperatorError):
    """The agent understood, and said no."""

    exit_code = ExitCode.USAGE


class SilentError(OperatorError):
    """The agent is there but gives no proper answer."""


def targets(runtime_dir: Path) -> list[str]:
    """The targets that are attached now, sorted. Raises HostError without the right to ask."""
    try:
        names = sorted(path.stem for path in runtime_dir.iterdir() if path.suffix == _SUFFIX)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise _not_permitted(runtime_dir) from error
    return [name for name in names if attached(runtime_dir, name)]


def attached(runtime_dir: Path, target: str) -> bool:
    """Whether an agent listens for this target. Raises HostError."""
    try:
        _connect(runtime_dir, target, ANSWER_S).close()
    except NotAttachedError:
        return False
    except SilentError:  # too busy to accept, so it lives
        return True
    return True


def resolve(runtime_dir: Path, target: str | None) -> str:
    """The target to talk to: the one named, or the only one there is.

    Raises NotAttachedError, UsageError when it must be named, HostError.
    """
    if target is not None:
        return target
    found = targets(runtime_dir)
    if not found:
        raise NotAttachedError("nothing is attached", "start one with `shadow-agent attach`")
    if len(found) > 1:
        raise UsageError(f"several targets are attached: {', '.join(found)}", "name one: --target")
    return found[0]


def ask(
    runtime_dir: Path,
    target: str,
    command: str,
    arguments: Mapping[str, object] = MappingProxyType({}),
    timeout_s: float = ANSWER_S,
) -> dict[str, Any]:
    """Send a command and return the answer without its ``ok``.

    Raises NotAttachedError, RefusedError, SilentError, HostError.
    """
    answer = ask_all(runtime_dir, [target], command, arguments, timeout_s)[target]
    if isinstance(answer, OperatorError):
        raise answer
    return answer


def ask_all(
    runtime_dir: Path,
    names: Iterable[str],
    command: str,
    arguments: Mapping[str, object] = MappingProxyType({}),
    timeout_s: float = ANSWER_S,
) -> dict[str, dict[str, Any] | OperatorError]:
    """Ask several targets at once: the answer of each, or why there is none."""
    deadline = time.monotonic() + timeout_s
    question = json.dumps({"command": command, **arguments}).encode() + b"\n"
    answers: dict[str, dict[str, Any] | OperatorError] = {}
    with ExitStack() as open_channels:
        channels = {}
        for name in names:
            try:
                channel = open_channels.enter_context(_connect(runtime_dir, name, timeout_s))
                channel.sendall(question)
                channels[name] = channel
            except (OperatorError, OSError) as error:
                answers[name] = _explained(error, name, command)
        for name, channel in channels.items():
            try:
                answers[name] = _answer(name, command, _line(channel, deadline))
            except (OperatorError, OSError) as error:
                answers[name] = _explained(error, name, command)
    return answers


def wait_gone(runtime_dir: Path, target: str, timeout_s: float) -> bool:
    """Wait until nothing is attached under the target; False when it still is."""
    deadline = time.monotonic() + timeout_s
    while attached(runtime_dir, target):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _connect(runtime_dir: Path, target: str, timeout_s: float) -> socket.socket:
    path = runtime_dir / f"{target}{_SUFFIX}"
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.settimeout(timeout_s)
        channel.connect(str(path))
    except OSError as error:
        channel.close()
        raise _no_connection(error, path, target) from error
    return channel


def _no_connection(error: OSError, path: Path, target: str) -> OperatorError:
    match error:
        case FileNotFoundError() | ConnectionRefusedError() | NotADirectoryError():
            return NotAttachedError(
                f"target {target}: not attached", "`shadow-agent status` lists what is"
            )
        case PermissionError():
            return _not_permitted(path)
        case BlockingIOError() | TimeoutError():  # its queue of connections is full
            return SilentError(f"target {target}: accepts no connection", _LOOK)
        case _:
            what = f"{path}: {error.strerror or error}"
            return UsageError(what, "check --runtime-dir and --target")


def _explained(error: OperatorError | OSError, target: str, command: str) -> OperatorError:
    if isinstance(error, OperatorError):
        return error
    if isinstance(error, TimeoutError):
        return SilentError(f"target {target}: no answer to {command} in time", _LOOK)
    return SilentError(f"target {target}: {error.strerror} on {command}", _LOOK)


def _line(channel: socket.socket, deadline: float) -> bytes:
    """Bytes up to the first line end, or up to the end or the size limit."""
    received = bytearray()
    while b"\n" not in received[-1:] and len(received) <= MAX_ANSWER_BYTES:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        channel.settimeout(left)
        piece = channel.recv(1 << 16)
        if not piece:
            break
        received += piece
    return bytes(received)


def _answer(target: str, command: str, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SilentError(
            f"target {target}: {len(line)} bytes that are no answer to {command}",
            _LOOK,
        )
    if not found.pop("ok", False):
        raise RefusedError(f"target {target}: {found.get('error', 'refused without a reason')}")
    return found


def _not_permitted(path: Path) -> HostError:
    return HostError(f"{path}: permission denied", "run as root")
