"""Every scenario runs on asyncio's event loop and on the one that workers use."""

from functools import partial

import pytest

from tests.unit.replay.bed import LOOPS, Play, play


@pytest.fixture(name="play", params=LOOPS)
def fixture_play(request: pytest.FixtureRequest) -> Play:
    """Plays a scenario on one of the event loops."""
    return partial(play, LOOPS[request.param])
