"""The section on segments."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.config import as_dict, as_toml, load
from shadow_agent.errors import UsageError

FLAGS = {"iface": ["eth0"], "port": [80], "shadow": "http://10.0.0.9:8080"}


def write(folder: Path, text: str) -> Path:
    """A file with segments."""
    path = folder / "own.toml"
    path.write_text(f"[segments]\n{text}\n", encoding="utf-8")
    return path


def test_all_keys(tmp_path: Path) -> None:
    """As they are meant, and the file that is printed says the same."""
    document = tmp_path / "openapi.json"
    document.write_text('{"openapi": "3.1.0", "paths": {"/users/{id}": {}}}')
    text = f"""
templates = ["/orders/{{id}}/**"]
openapi = "{document}"
max-words = 30
cohort = "jwt:plan"
max-cohorts = 7
region = ["192.0.2.0/24 eu west", "2001:db8::/32 us"]
health = ["/up"]
health-agents = ["probe/"]
"""
    config = load(FLAGS, write(tmp_path, text))
    terms = config.segments.terms(9)
    assert terms.templates == ("/orders/{id}/**", "/users/{id}")
    assert (terms.most_endpoints, terms.most_words, terms.most_cohorts) == (9, 30, 7)
    assert str(terms.cohort) == "jwt:plan"
    assert terms.networks == (("192.0.2.0/24", "eu west"), ("2001:db8::/32", "us"))
    assert (terms.health_paths, terms.health_agents) == (("/up",), ("probe/",))
    again = tmp_path / "again.toml"
    again.write_text(as_toml(config), encoding="utf-8")
    assert load({}, again) == config
    assert as_dict(config)["segments"]["openapi"] == str(document)


def test_region_by_header(tmp_path: Path) -> None:
    """One key for both."""
    config = load(FLAGS, write(tmp_path, 'region = "header:CF-IPCountry"'))
    assert str(config.segments.region.source) == "header:CF-IPCountry"
    assert as_dict(config)["segments"]["region"] == "header:CF-IPCountry"
    assert "region" not in as_dict(load(FLAGS))["segments"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('templates = "/a"', "2: segments.templates: '/a' is not a list"),
        ('templates = ["/a", "b"]', "2: segments.templates: 'b' can never match"),
        ('openapi = "/nowhere.json"', "2: segments.openapi: /nowhere.json: No such file"),
        ('cohort = "X-Plan"', "2: segments.cohort: 'X-Plan' says nothing of a request; write"),
        ('region = "cookie:r"', "2: segments.region: 'cookie:r' is no region; write"),
        ('region = ["10.0.0.0/8"]', "2: segments.region: '10.0.0.0/8' names no region; write"),
        ('region = ["10.0.0.1/8 a"]', "2: segments.region: '10.0.0.1/8' is no network"),
        ('health = ["up"]', "2: segments.health: 'up' is no path; write"),
        ('health-agents = ["é"]', "2: segments.health-agents: 'é' begins no User-Agent"),
        ("max-words = 1", "2: segments.max-words: 1 is out of range"),
        ('cohorts = "a"', "2: segments: unknown key cohorts; did you mean cohort?"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, line: str) -> None:
    """File, line, key, reason, fix."""
    with pytest.raises(UsageError) as caught:
        load(FLAGS, write(tmp_path, text))
    assert str(caught.value).startswith(f"{tmp_path}/own.toml:{line}")


def test_a_document_that_is_none(tmp_path: Path) -> None:
    """Its name and line, behind those of the key."""
    document = tmp_path / "api.yaml"
    document.write_text("openapi: 3.1.0\n")
    with pytest.raises(UsageError) as caught:
        load(FLAGS, write(tmp_path, f'openapi = "{document}"'))
    assert f"{document}: not JSON in line 1" in str(caught.value)
    assert "YAML is not read" in str(caught.value)
