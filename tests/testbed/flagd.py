"""A flagd of our own: its evaluation protocol over gRPC, from a file of flags.

Run as ``python -m tests.testbed.flagd FILE PORT [CERT KEY]``; port 0 is any, and is printed. It
must not live in a process that forks: gRPC has threads. Both versions of the protocol are served.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

_WATCH_S = 0.05
_PROTOCOL = "openfeature.schemas.protobuf.flagd.evaluation"


def spawn(
    flags: Path, port: int = 0, tls: tuple[Path, Path] | None = None
) -> tuple[subprocess.Popen[str], int]:
    """A started server that listens, on loopback, and its port; the caller ends it."""
    files = [] if tls is None else [str(one) for one in tls]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.testbed.flagd", str(flags), str(port), *files],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def _serve(flags: Path, port: int, files: list[str]) -> None:
    import grpc  # noqa: PLC0415 - not in the process of the tests, which forks

    class Service:
        """Reads the file for each answer; a change of it is an event. The rest is not there."""

        ResolveAll = ResolveString = ResolveInt = ResolveObject = None

        def __init__(self, messages: ModuleType) -> None:
            self._messages = messages

        def ResolveBoolean(self, request: Any, context: Any) -> Any:  # noqa: N802 - as the protocol has it
            return self._resolve(request, context, "ResolveBooleanResponse", bool)

        def ResolveFloat(self, request: Any, context: Any) -> Any:  # noqa: N802 - as the protocol has it
            return self._resolve(request, context, "ResolveFloatResponse", float)

        def EventStream(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802 - as the protocol has it
            yield self._messages.EventStreamResponse(type="provider_ready")
            seen = flags.read_bytes()
            while context.is_active():
                time.sleep(_WATCH_S)
                if flags.read_bytes() != seen:
                    seen = flags.read_bytes()
                    event = self._messages.EventStreamResponse(type="configuration_change")
                    event.data.update({"flags": {name: {} for name in json.loads(seen)}})
                    yield event

        def _resolve(self, request: Any, context: Any, answer: str, kind: type) -> Any:
            known = json.loads(flags.read_bytes())
            if request.flag_key not in known:
                context.abort(grpc.StatusCode.NOT_FOUND, "no such flag")
            value = known[request.flag_key]
            if isinstance(value, bool) is not (kind is bool):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "another type")
            return getattr(self._messages, answer)(value=kind(value), reason="STATIC", variant="v")

    server = grpc.server(ThreadPoolExecutor(8))
    for version in ("v1", "v2"):
        messages = import_module(f"{_PROTOCOL}.{version}.evaluation_pb2")
        stubs = import_module(f"{_PROTOCOL}.{version}.evaluation_pb2_grpc")
        stubs.add_ServiceServicer_to_server(Service(messages), server)
    if files:
        cert, key = (Path(name).read_bytes() for name in files)
        bound = server.add_secure_port(
            f"127.0.0.1:{port}", grpc.ssl_server_credentials([(key, cert)])
        )
    else:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print(bound, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
