"""What is known of a target, before anybody renders it."""

from __future__ import annotations

import subprocess
import sys


def test_it_needs_no_renderer() -> None:
    """An agent without --metrics does not load prometheus_client: 30 ms of its start."""
    code = "import sys, shadow_agent.daemon.supervisor; print('prometheus_client' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
