"""A testbed for a module, with what one test started ended before the next begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed import Testbed, nginx
from tests.testbed.needs import missing

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here builds namespaces."""
    lacking = missing()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.net)
            if lacking is not None:
                item.add_marker(pytest.mark.skip(reason=lacking))


def ended_after(bed: Testbed) -> Iterator[Testbed]:
    """Lend a built testbed to one test; what the test started is ended, however it went."""
    before = {id(process) for host in bed.hosts for process in host.processes}
    yield bed
    started = [p for host in bed.hosts for p in host.processes if id(p) not in before]
    for process in started:
        if process.running:
            process.terminate()
    for process in reversed(started):
        process.stop(timeout=10)
    for device in ("lo", bed.service_iface, bed.shadow_iface):
        bed.prod.run("tc", "qdisc", "del", "dev", device, "clsact", check=False)


@pytest.fixture(scope="module")
def plain_bed() -> Iterator[Testbed]:
    """Client, production and shadow, for all tests of a module."""
    with Testbed() as built:
        yield built


@pytest.fixture
def bed(plain_bed: Testbed) -> Iterator[Testbed]:
    """A plain testbed on which nothing runs."""
    yield from ended_after(plain_bed)


@pytest.fixture
def served(bed: Testbed) -> Testbed:
    """Production and shadow run, alike."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    return bed
