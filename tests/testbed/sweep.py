"""Remove what earlier runs left behind whose owner is dead (``kill -9``); live runs are spared."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from tests.testbed.names import parse
from tests.testbed.ns import RUN_DIR, Namespace


def leftovers() -> list[Path]:
    """Namespaces and directories of testbeds whose owning process no longer lives."""
    found = []
    for parent in (RUN_DIR, Path(tempfile.gettempdir())):
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(parent.iterdir()):
                name = parse(path.name)
                if name is None or name[0].owner_alive():
                    continue
                with contextlib.suppress(FileNotFoundError):
                    # In a world-writable folder only what is ours may be trusted.
                    if path.lstat().st_uid == os.geteuid():
                        found.append(path)
    return found


def sweep() -> list[str]:
    """Kill the processes in left-over namespaces, remove these and their files; the names."""
    swept = []
    for path in leftovers():
        if path.parent == RUN_DIR:
            namespace = Namespace(path.name)
            with contextlib.suppress(TimeoutError):
                namespace.kill_all()
            namespace.remove()
        else:
            shutil.rmtree(path, ignore_errors=True)
        swept.append(path.name)
    return swept
