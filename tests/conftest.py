"""What every test shares: the switch that lets no skip pass unseen.

With ``SHADOW_AGENT_REQUIRE=1`` a skip is a failure, because on the machine that runs CI every
kernel feature and tool is there and a skip means that a promise went untested. The few exceptions
are lines of ``allowed_skips.txt``: a pattern of test ids, and the reason.
"""

import contextlib
import os
from collections.abc import Generator, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")


def required() -> bool:
    """Whether a skipped test counts as failed in this run."""
    return os.environ.get("SHADOW_AGENT_REQUIRE", "0") not in {"", "0"}


def allowed_skips(text: str) -> dict[str, str]:
    """Map each pattern of test ids to its reason.

    Raises:
        pytest.UsageError: a line has no reason.
    """
    allowed: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        pattern, _, reason = (part.strip() for part in line.partition("|"))
        if not reason:
            raise pytest.UsageError(
                f"{ALLOWED_SKIPS.name}:{number}: no reason given (fix: PATTERN | REASON)"
            )
        allowed[pattern] = reason
    return allowed


def is_allowed(nodeid: str) -> bool:
    """Whether a line of ``allowed_skips.txt`` excuses this test."""
    patterns = allowed_skips(ALLOWED_SKIPS.read_text(encoding="utf-8"))
    return any(fnmatchcase(nodeid, pattern) for pattern in patterns)


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip that nothing excuses into a failure that repeats the skip's own reason."""
    if not report.skipped or hasattr(report, "wasxfail") or is_allowed(report.nodeid):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    report.outcome = "failed"
    report.longrepr = f"skipped although SHADOW_AGENT_REQUIRE is set: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge every test that skips itself or is marked so."""
    report = yield
    if required():
        refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge every module that skips itself whole, as ``importorskip`` does."""
    report = yield
    if required():
        refuse_skip(report)
    return report


@pytest.fixture(scope="session")
def bcc_headers() -> Iterator[None]:
    """Headers where bcc looks for them.

    For this test machine only: its kernel has none, and Debian's of another version will do for
    a program that uses stable fields only. A link that was there stays; ours is removed.
    """
    folder = Path("/lib/modules", os.uname().release)
    installed = sorted(Path("/lib/modules").glob("*-*/build"))
    made: list[Path] = []
    if "BCC_KERNEL_SOURCE" not in os.environ and not (folder / "build").exists():
        if not installed:
            pytest.skip("kernel headers (linux-headers-amd64)")
        folder.mkdir(exist_ok=True)
        for name in ("build", "source"):
            link = folder / name
            if not link.exists():
                link.symlink_to((installed[-1].parent / name).resolve())
                made.append(link)
    yield
    for link in made:
        link.unlink()
    if made:
        with contextlib.suppress(OSError):
            folder.rmdir()
