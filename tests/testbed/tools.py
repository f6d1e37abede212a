"""curl and wrk, the real ones, run on a host."""

from __future__ import annotations

import re
import subprocess
from typing import NamedTuple

from tests.testbed.host import Host

_UNITS_US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}
_SIZES = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


class CurlResult(NamedTuple):
    """``status`` 0: no response; ``exit`` is curl's own status (7 refused, 28 timed out...)."""

    status: int
    body: bytes
    headers: str
    exit: int


class WrkResult(NamedTuple):
    """wrk's own account; ``errors`` are its socket errors by kind, ``bad_status`` non-2xx/3xx."""

    requests: int
    seconds: float
    rate: float
    latency_us: dict[str, float]
    errors: dict[str, int]
    bad_status: int


def curl(host: Host, url: str, *options: str, timeout: float = 10.0) -> CurlResult:
    """One request with curl; ``options`` are curl's (``-I``, ``--data-binary``, ``-H``...)."""
    done = subprocess.run(
        host.command(
            "curl", "-sS", "-g", "-D", "/dev/stderr", "-m", f"{timeout:g}", *options, "--", url
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout + 5,
        check=False,
    )
    headers = done.stderr.decode(errors="replace")
    statuses = re.findall(r"^HTTP/[\d.]+ (\d{3})", headers, re.MULTILINE)
    body = b"" if {"-I", "--head"} & set(options) else done.stdout  # curl prints the head there
    return CurlResult(int(statuses[-1]) if statuses else 0, body, headers, done.returncode)


def wrk(
    host: Host, url: str, *, connections: int = 16, seconds: int = 2, threads: int = 1
) -> WrkResult:
    """Closed-loop load with wrk for whole ``seconds``; raises CalledProcessError, ValueError."""
    done = host.run(
        "wrk",
        f"-t{threads}",
        f"-c{connections}",
        f"-d{seconds}s",
        "--latency",
        url,
        timeout=seconds + 20,
    )
    return parse_wrk(done.stdout)


def parse_wrk(text: str) -> WrkResult:
    """Read what ``wrk --latency`` prints; raises ValueError when it is something else."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)(\w?)", text)
    if total is None or rate is None:
        raise ValueError(f"not wrk's output: {text!r}")
    percentiles = re.findall(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    found = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    errors = (int(number) for number in found.groups()) if found else (0, 0, 0, 0)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return WrkResult(
        requests=int(total.group(1)),
        seconds=float(total.group(2)) * _UNITS_US[total.group(3)] / 1e6,
        rate=float(rate.group(1)) * _SIZES[rate.group(2)],
        latency_us={f"p{rank}": float(n) * _UNITS_US[unit] for rank, n, unit in percentiles},
        errors=dict(zip(("connect", "read", "write", "timeout"), errors, strict=True)),
        bad_status=int(bad.group(1)) if bad else 0,
    )
