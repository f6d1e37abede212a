"""The options, of all commands together."""

import inspect
from collections.abc import Callable
from typing import get_args

import pytest

from shadow_agent.cli import attach, config, ctl, detach, doctor, options, read, replay, status
from shadow_agent.config.keys import KEYS

COMMANDS = [
    attach.attach,
    config.check,
    ctl.epoch,
    ctl.pause,
    ctl.resume,
    ctl.sample,
    detach.detach,
    doctor.doctor,
    read.read,
    replay.replay,
    status.status,
]


def flags(command: Callable[..., object]) -> set[str]:
    """A command's parameters, named as keys of the file."""
    return {name.replace("_", "-") for name in inspect.signature(command).parameters}


def test_every_option_of_attach_may_come_from_the_file() -> None:
    """And every key of the file from an option, but for --config; --speed is of replay."""
    assert flags(attach.attach) == set(KEYS) - {"speed"} | {"config"}
    assert "speed" in flags(replay.replay)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_an_option_means_the_same_everywhere(command: Callable[..., object]) -> None:
    """No command has a flag of its own making, but for arguments and what only one can mean."""
    assert flags(command) <= set(KEYS) | {"config", "build", "file", "fraction", "quiet"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_every_command_can_be_debugged(command: Callable[..., object]) -> None:
    """The line of an internal error says so."""
    assert "debug" in flags(command)


def test_a_shared_option_has_a_help_text() -> None:
    """Written as a sentence."""
    shared = [get_args(value)[1] for value in vars(options).values() if get_args(value)]
    assert len(shared) > 5
    assert all(one.help.endswith(".") for one in shared)
