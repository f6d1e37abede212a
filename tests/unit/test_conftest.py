"""The switch that turns skips into failures, run on small test suites of its own."""

from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"

SUITE = """
    import pytest

    def test_passes():
        pass

    def test_skips():
        pytest.skip("no such kernel feature")

    @pytest.mark.skipif(True, reason="no such tool")
    def test_marked():
        pass

    @pytest.mark.xfail(reason="known", strict=True)
    def test_known():
        assert False
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A suite of one passing, two skipped and one expectedly failing test."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.path.joinpath("allowed_skips.txt").write_text("", encoding="utf-8")
    pytester.makepyfile(test_suite=SUITE)
    return pytester


def test_skips_pass_by_default(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's machine may lack what it lacks."""
    monkeypatch.delenv("SHADOW_AGENT_REQUIRE", raising=False)
    suite.runpytest_inprocess().assert_outcomes(passed=1, skipped=2, xfailed=1)


def test_required_skips_fail(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI a skip fails and repeats its reason; an expected failure stays one."""
    monkeypatch.setenv("SHADOW_AGENT_REQUIRE", "1")
    result = suite.runpytest_inprocess()
    outcomes = result.parseoutcomes()
    assert outcomes.get("passed") == 1
    assert outcomes.get("xfailed") == 1
    assert "skipped" not in outcomes
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*SHADOW_AGENT_REQUIRE is set: *no such kernel feature*"])
    result.stdout.fnmatch_lines(["*SHADOW_AGENT_REQUIRE is set: *no such tool*"])


def test_required_module_skip_fails(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that skips itself whole fails as well."""
    monkeypatch.setenv("SHADOW_AGENT_REQUIRE", "1")
    suite.makepyfile(test_whole='import pytest\npytest.importorskip("no_such_module")\n')
    result = suite.runpytest_inprocess("test_whole.py")
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*SHADOW_AGENT_REQUIRE is set: *no_such_module*"])


def test_allowed_skips_pass(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line with a reason excuses the tests that its pattern names."""
    monkeypatch.setenv("SHADOW_AGENT_REQUIRE", "1")
    suite.path.joinpath("allowed_skips.txt").write_text(
        "test_suite.py::test_* | this suite is about skipping\n", encoding="utf-8"
    )
    suite.runpytest_inprocess().assert_outcomes(passed=1, skipped=2, xfailed=1)


def test_a_line_without_a_reason_is_refused(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An excuse without a reason is none: the run stops and names the line."""
    monkeypatch.setenv("SHADOW_AGENT_REQUIRE", "1")
    suite.path.joinpath("allowed_skips.txt").write_text("test_suite.py::*\n", encoding="utf-8")
    result = suite.runpytest_inprocess()
    assert result.ret != pytest.ExitCode.OK
    assert "allowed_skips.txt:1: no reason given" in result.stdout.str() + result.stderr.str()
