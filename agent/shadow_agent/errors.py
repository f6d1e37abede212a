"""Errors an operator sees: one line with what, where and the fix, and the exit code it ends in.

Programming errors are no OperatorError: they end in exit code 1 and a traceback with ``--debug``.
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """How the command ends (a contract: scripts and CI branch on it)."""

    # Did what was asked; for a verdict: go.
    DONE = 0
    # A defect of the agent itself.
    INTERNAL = 1
    # The command line or the configuration is wrong.
    USAGE = 2
    # This host cannot do it: kernel feature, capability, interface.
    HOST = 3
    # --require-shadow was given and the shadow does not answer.
    SHADOW_UNREACHABLE = 4
    # The shadow is measurably worse.
    NO_GO = 10
    # Too little was seen to decide.
    INCONCLUSIVE = 20
    # The measurement itself failed: the harness, not the build, is at fault.
    INVALID = 30


class OperatorError(Exception):
    """Something the operator can put right.

    ``what`` names the thing and where it is, ``fix`` what to do about it. ``str()`` is always one
    printable line, also when a name in it came from a file or from the wire.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(self, what: str, fix: str = "") -> None:
        self.what = what
        self.fix = fix
        super().__init__(one_line(f"{what}; {fix}" if fix else what))


class UsageError(OperatorError):
    """The command line or the configuration is wrong."""

    exit_code = ExitCode.USAGE


class HostError(OperatorError):
    """This host cannot do it, or not for this user."""

    exit_code = ExitCode.HOST


class ShadowUnreachable(OperatorError):
    """The shadow does not answer and ``--require-shadow`` was given."""

    exit_code = ExitCode.SHADOW_UNREACHABLE


def one_line(text: str) -> str:
    """The text on one line: white space runs become a space, what cannot be printed is escaped."""
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)
