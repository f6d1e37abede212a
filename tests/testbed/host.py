"""A host of the testbed: a namespace with addresses, in which commands and servers run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.testbed.ns import Namespace
from tests.testbed.process import Process

REPO = Path(__file__).resolve().parents[2]


class Host(Namespace):
    """``role`` is client, prod, shadow or service; ``v4``, ``v6`` where other hosts reach it."""

    def __init__(self, name: str, role: str, v4: str, v6: str, directory: Path) -> None:
        super().__init__(name)
        self.role = role
        self.v4 = v4
        self.v6 = v6
        self.directory = directory
        self.processes: list[Process] = []

    def url(self, port: int, path: str = "", *, ipv6: bool = False) -> str:
        """``http://HOST:PORT`` + ``path``, the IPv6 address in brackets."""
        return f"http://[{self.v6}]:{port}{path}" if ipv6 else f"http://{self.v4}:{port}{path}"

    def spawn(
        self,
        *argv: str | Path,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Process:
        """Start a command inside; the testbed ends it. ``env`` is added to ours."""
        base = name or Path(argv[0]).name
        unique = f"{len(self.processes):02d}-{self.role}-{base}"
        process = Process(unique, self.command(*argv), self.directory, env, cwd)
        self.processes.append(process)
        return process

    def python(self, module: str, *args: str, name: str | None = None) -> Process:
        """Start ``python -m module args`` of this repository inside, with this interpreter."""
        path = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH", "")]))
        name = name or module.rpartition(".")[2]
        return self.spawn(sys.executable, "-m", module, *args, name=name, env={"PYTHONPATH": path})

    def run(
        self, *argv: str | Path, timeout: float = 30.0, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end.

        Raises CalledProcessError (``check``) or TimeoutExpired.
        """
        return subprocess.run(
            self.command(*argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=check,
        )
