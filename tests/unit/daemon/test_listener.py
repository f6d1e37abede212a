"""Where the operator said, or an error that names the flag."""

from __future__ import annotations

import socket

import pytest

from shadow_agent.daemon.listener import listen
from shadow_agent.errors import UsageError


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_listens(host: str) -> None:
    """At an address or a name; a port of nobody's choice is free."""
    with listen((host, 0), "--metrics") as listener:
        address = listener.getsockname()[:2]
        with socket.create_connection(address, timeout=10):
            listener.accept()[0].close()


def test_a_port_that_is_taken() -> None:
    """The operator hears which flag, and where."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UsageError, match=rf"--hello 127\.0\.0\.1:{port}: .*free port"):
            listen(("127.0.0.1", port), "--hello")


def test_an_address_of_another_host() -> None:
    """Neither may it be bound, nor does a name lead anywhere."""
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(UsageError, match="--metrics"):
            listen((host, 0), "--metrics")
