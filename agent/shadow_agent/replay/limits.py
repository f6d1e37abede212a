"""What bounds the replay of one target."""

from __future__ import annotations

from typing import NamedTuple


class PoolLimits(NamedTuple):
    """Times in seconds, sizes in bytes. What is over one is shed or ends by its name."""

    connect_timeout: float = 1.0
    first_byte_timeout: float = 10.0
    whole_timeout: float = 30.0
    idle_close: float = 15.0  # below the keep-alive timeouts of common servers
    max_connections: int = 1024
    max_queue: int = 64
    max_queue_age: float = 5.0
    max_backlog_bytes: int = 4 << 20
    max_reply_head: int = 64 << 10
    max_reply_body: int = 1 << 30
    max_kept_reply: int = 0  # of a JSON answer in pieces, where values are looked for in it
