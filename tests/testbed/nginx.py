"""Real nginx, as production (``v1``) or as the shadow (``v2``) build of the same little shop.

``PAGES`` is the one place that says what each build answers; ``DIFFERENCES`` is derived from it,
so that a demo or test can state which differences must be found and that no other is.
"""

from __future__ import annotations

import json
import pwd
import re
import subprocess
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from tests.testbed.host import Host
from tests.testbed.process import Process

BIG_BYTES = 1 << 20
SLOW_S = {"v1": 0.02, "v2": 0.08}


class Build(StrEnum):
    """Which version of the service a server runs."""

    V1 = "v1"
    V2 = "v2"


class Kind(StrEnum):
    """In what a page of v2 differs from v1."""

    STATUS = "status"
    BODY = "body"
    LATENCY = "latency"


class Page(NamedTuple):
    """A location of the nginx configuration, per build; ``v2`` None: as in v1."""

    location: str
    target: str
    v1: str
    v2: str | None = None
    difference: Kind | None = None
    method: str = "GET"


class Difference(NamedTuple):
    """What a comparison of v1 with v2 must find: ``detail`` is "200→404" for a status."""

    method: str
    target: str
    kind: Kind
    detail: str


def _slow(build: str) -> str:
    return f'echo_sleep {SLOW_S[build]}; echo \'{{"report":"ready"}}\';'


PAGES = (
    Page("= /", "/", "return 200 'welcome to the shop\\n';"),
    Page("= /health", "/health", 'return 200 \'{"status":"ok"}\';'),
    Page("= /api/items", "/api/items", 'return 200 \'[{"id":1},{"id":2},{"id":3}]\';'),
    Page(
        "~ ^/api/items/(\\d+)$",
        "/api/items/7",
        'return 200 \'{"id":$1,"name":"item $1","stock":5}\';',
    ),
    Page("= /api/slow", "/api/slow", _slow("v1"), _slow("v2"), Kind.LATENCY),
    Page(
        "= /api/price",
        "/api/price",
        'return 200 \'{"id":1,"price":10.00}\';',
        'return 200 \'{"id":1,"price":12.50}\';',
        Kind.BODY,
    ),
    Page("= /api/gone", "/api/gone", "return 200 'still here\\n';", "return 404;", Kind.STATUS),
    Page("= /api/fails", "/api/fails", "return 200 'fine\\n';", "return 500;", Kind.STATUS),
    Page("= /api/empty", "/api/empty", "return 204;"),
    # echo has no length to declare, so HTTP/1.1 gets it chunked; the flush makes two chunks of it.
    Page("= /chunked", "/chunked", "echo first; echo_flush; echo second;"),
    Page("= /big", "/big", "alias {html}/big;"),
    Page(
        "= /api/orders",
        "/api/orders",
        'echo_read_request_body; echo_status 201; echo \'{"order":"accepted"}\';',
        method="POST",
    ),
)


def _difference(page: Page) -> Difference | None:
    if page.difference is None or page.v2 is None:
        return None
    details = {
        Kind.STATUS: "→".join(re.findall(r"return (\d+)", page.v1 + page.v2)),
        Kind.BODY: "body",
        Kind.LATENCY: f"+{(SLOW_S['v2'] - SLOW_S['v1']) * 1000:.0f} ms",
    }
    return Difference(page.method, page.target, page.difference, details[page.difference])


DIFFERENCES = tuple(found for found in map(_difference, PAGES) if found is not None)
SAME = tuple(page.target for page in PAGES if page.difference is None and page.method == "GET")

_CONFIG = """\
load_module {modules}/ngx_http_echo_module.so;
daemon off;
worker_processes {workers};
user {user};
pid {prefix}/pid;
error_log {prefix}/error.log warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    log_format requests escape=json '{{"method":"$request_method","target":"$request_uri",'
        '"status":$status,"body_bytes":$body_bytes_sent,"connection":$connection,'
        '"peer":"$remote_addr"}}';
    access_log {access};
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout {keepalive_s}s;
    client_max_body_size 256m;
    default_type application/octet-stream;
    sendfile on;
    server {{
        listen 0.0.0.0:{port} backlog=4096;
        listen [::]:{port} ipv6only=on backlog=4096;
        location = /nginx_status {{ stub_status; access_log off; }}
{locations}
    }}
}}
"""


class Nginx:
    """A running nginx; the testbed ends it, ``stop`` does so earlier."""

    def __init__(self, host: Host, build: Build, port: int, prefix: Path, process: Process) -> None:
        self.host = host
        self.build = build
        self.port = port
        self.prefix = prefix
        self.process = process
        self._asked = 0

    def stop(self) -> int:
        """End it at once (SIGTERM), dropping connections; exit status."""
        return self.process.stop()

    def served(self) -> int:
        """Requests it has read so far, by its own count (asked on loopback, not counting that)."""
        url = f"http://127.0.0.1:{self.port}/nginx_status"
        text = self.host.run("curl", "-sf", "-m", "5", url).stdout
        self._asked += 1
        requests = int(text.splitlines()[2].split()[2])
        return requests - self._asked

    def requests(self) -> list[dict[str, Any]]:
        """What the access log holds: method, target, status, body_bytes, connection, peer."""
        log = self.prefix / "access.log"
        return [json.loads(line) for line in log.read_text().splitlines()]

    def errors(self) -> str:
        """The error log."""
        return (self.prefix / "error.log").read_text()


def start(
    host: Host,
    build: Build | str = Build.V1,
    port: int = 8080,
    *,
    workers: int = 1,
    access_log: bool = False,
    keepalive_s: int = 3600,
) -> Nginx:
    """Start nginx on ``host``, IPv4 and IPv6; returns when it listens.

    Raises FileNotFoundError when nginx or its echo module is not installed, ChildProcessError with
    nginx's own words when it does not start.
    """
    build = Build(build)
    serial = len(host.processes)
    prefix = host.directory / f"{serial:02d}-{host.role}-nginx-{build}"
    html = prefix / "html"
    html.mkdir(parents=True)
    (html / "big").write_bytes(bytes(range(256)) * (BIG_BYTES // 256))
    config = prefix / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            modules=_modules(),
            workers=workers,
            user=_worker_user(),
            prefix=prefix,
            access=f"{prefix}/access.log requests" if access_log else "off",
            keepalive_s=keepalive_s,
            port=port,
            locations="\n".join(_location(page, build, html) for page in PAGES),
        )
    )
    log = prefix / "error.log"
    process = host.spawn("nginx", "-p", prefix, "-c", config, "-e", log, name=f"nginx-{build}")
    try:
        host.wait_listening(port, pid=process.pid)
    except ChildProcessError as error:
        raise ChildProcessError(f"{error}: {process.errors().strip()}") from None
    return Nginx(host, build, port, prefix, process)


def _location(page: Page, build: Build, html: Path) -> str:
    text = page.v2 if build is Build.V2 and page.v2 is not None else page.v1
    return f"        location {page.location} {{ {text.replace('{html}', str(html))} }}"


def _modules() -> Path:
    told = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"--modules-path=(\S+)", told)
    modules = Path(found.group(1) if found else "/usr/lib/nginx/modules")
    if not (modules / "ngx_http_echo_module.so").exists():
        raise FileNotFoundError(f"{modules}: no echo module (fix: install libnginx-mod-http-echo)")
    return modules


def _worker_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "www-data" if "www-data" in names else "nobody"
