"""The gates file: what may be written, and what a slip of the pen is told."""

from pathlib import Path

import pytest

from shadow_agent.config.gates import read_gates
from shadow_agent.errors import ExitCode, UsageError
from shadow_agent.verdict.gates import Gate, Gates, Kind


def _read(tmp_path: Path, text: str) -> Gates:
    path = tmp_path / "gates.toml"
    path.write_text(text, encoding="utf-8")
    return read_gates(path)


def _gates(tmp_path: Path, text: str) -> dict[str, Gate]:
    return {gate.name: gate for gate in _read(tmp_path, text).gates}


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    """Nothing need be written."""
    assert _read(tmp_path, "") == Gates()


def test_limits(tmp_path: Path) -> None:
    """Relative, absolute, both, off; what is not named keeps its default."""
    found = _gates(tmp_path, """
max_p50 = "off"
max_p95 = "+12.5%"
max_p99 = ["+10%", "250ms"]
max_p999 = "2s"
max_error_rate = "0.5%"
max_mismatch_rate = "+1%"
min_throughput = "99%"
""")  # fmt: skip
    assert "p50" not in found
    assert found["p95"].margin == 0.125
    assert (found["p99"].margin, found["p99 limit"].limit_us) == (0.10, 250_000)
    assert (found["p999 limit"].quantile, found["p999 limit"].limit_us) == (0.999, 2e6)
    assert (found["error_rate"].margin, found["error_rate"].absolute) == (0.005, True)
    assert (found["mismatch_rate"].margin, found["mismatch_rate"].absolute) == (0.01, False)
    assert (found["throughput"].kind, found["throughput"].margin) == (Kind.COMPLETION, 0.01)
    assert found["typical"] == Gates().gates[0]


def test_settings(tmp_path: Path) -> None:
    """Floors, waived segments, and the rest."""
    found = _read(tmp_path, 'min_coverage = 0.9\nwaive = ["endpoint GET /old"]\nratio = 1.5\n')
    assert (found.min_coverage, found.ratio) == (0.9, 1.5)
    assert found.waive == {"endpoint GET /old"}


@pytest.mark.parametrize(("text", "told"), [
    ('\nmax_p59x = "+1%"', ":2: max_p59x: no such gate; write max_p99"),
    ('max_errors = "1%"', ":1: max_errors: no such gate; write max_error_rate"),
    ("zz = 1", ":1: zz: no such gate; there are: max_typical"),
    ('max_p95 = "10%"', ':1: max_p95: \'10%\' of what?; write "+10%"'),
    ("max_p95 = 10", ':1: max_p95: 10 is no limit; write "+10%"'),
    ("max_p95 = []", ":1: max_p95: an empty list; write"),
    ('max_p95 = "0ms"', ":1: max_p95: '0ms' is no limit"),
    ('max_typical = "5ms"', ":1: max_typical: '5ms' is no limit"),
    ('max_error_rate = "101%"', ":1: max_error_rate: '101%' is no limit"),
    ('min_throughput = "+1%"', ":1: min_throughput: it is a share"),
    ("min_coverage = 2", ":1: min_coverage: 2 is out of range; write 0 to 1"),
    ("alpha = nan", ":1: alpha: nan is not a number"),
    ("waive = [1]", ":1: waive: 1 is not a printable"),
    ("min_pairs = 0", ":1: min_pairs: "),
    ("max_p95 =", ":1: not TOML"),
])  # fmt: skip
def test_a_slip_of_the_pen(tmp_path: Path, text: str, told: str) -> None:
    """File, line, key and the fix; exit 2."""
    with pytest.raises(UsageError) as raised:
        _read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path}/gates.toml{told}")
    assert raised.value.exit_code is ExitCode.USAGE


def test_no_file(tmp_path: Path) -> None:
    """The flag is named."""
    with pytest.raises(UsageError, match="--gates"):
        read_gates(tmp_path / "none.toml")


def test_every_gate_off(tmp_path: Path) -> None:
    """A verdict on nothing would be go."""
    names = "max_typical max_p50 max_p95 max_p99 max_error_rate max_mismatch_rate min_throughput"
    with pytest.raises(UsageError, match="every gate is off"):
        _read(tmp_path, "".join(f'{name} = "off"\n' for name in names.split()))
