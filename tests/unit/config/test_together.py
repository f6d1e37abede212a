"""Values that do not go together: named where they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shadow_agent.config import load
from shadow_agent.errors import UsageError

BASE = {"iface": ["eth0"], "port": [80], "shadow": "http://10.0.0.9:80"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('shadow-iface = "eth0"', "1: shadow-iface: eth0 is the tapped interface"),
        ('# a guard\nguard = "10.0.0.9:7"', "2: guard: 10.0.0.9:7 needs --guard-key FILE"),
        (f'runtime-dir = "/{"x" * 100}"', "1: runtime-dir: /x"),
        ("[limits]\nmax-held-bytes = 10", "2: limits.max-held-bytes: max-held-bytes-per-flow is"),
        ('[identity]\nmarker = "X-A: 1"\nrequest-id = "x-a"', "2: identity.marker: two marks"),
        ("[budget]\nburst = 3", "2: budget.burst: says nothing by itself"),
        ("[budget]\nbytes_burst = 3", "2: budget.bytes_burst: says nothing by itself"),
        ("[breaker]\npause-s = 20", "2: breaker.pause-s: pause-s is above longest-pause-s"),
        ("isolate = true", "1: isolate: the namespace has no address"),
        ('isolate-gateway = "10.0.0.1"', "1: isolate-gateway: without --isolate"),
        (
            'isolate = true\nisolate-address = "10.0.0.7/24"\nisolate-gateway = "10.0.1.1"',
            "3: isolate-gateway: 10.0.1.1 is not in 10.0.0.0/24",
        ),
        ("[target.eth0-80.budget]\nburst = 3", "2: target.eth0-80.budget.burst: says nothing"),
    ],
)
def test_a_file(tmp_path: Path, text: str, said: str) -> None:
    """FILE:LINE: KEY, the reason and the fix."""
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load({**BASE, "target": "eth0-80"}, path)
    assert str(caught.value).startswith(f"{path}:{said}")
    assert "; " in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"shadow_iface": "eth0"}, r"^--shadow-iface: eth0 is the tapped.*--allow-same"),
        ({"runtime_dir": "/" + "x" * 100}, "^--runtime-dir: .*too long for a socket"),
        ({"guard": "10.0.0.9:7"}, "^--guard: 10.0.0.9:7 needs --guard-key"),
        ({"isolate": True}, "^--isolate: the namespace has no address"),
        ({"isolate_address": "10.0.0.77/24"}, "^--isolate-address: without --isolate"),
        ({"isolate_gateway": "10.0.0.1"}, "^--isolate-gateway: without --isolate"),
    ],
)
def test_flags(tmp_path: Path, flags: dict[str, Any], said: str) -> None:
    """By their names, also where a file says the same of another."""
    path = tmp_path / "own.toml"
    path.write_text('shadow-iface = "eth1"\nruntime-dir = "/run/x"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        load({**BASE, **flags}, path)


def test_what_goes_together() -> None:
    """The shadow by the tapped interface, when it is asked for by name."""
    allowed = load({**BASE, "shadow_iface": "eth0", "allow_same_interface": True})
    assert allowed.shadow_interface == "eth0"
