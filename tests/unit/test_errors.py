"""Errors: one printable line, the right exit code."""

from shadow_agent.errors import (
    ExitCode,
    HostError,
    OperatorError,
    ShadowUnreachable,
    UsageError,
    one_line,
)


def test_exit_codes_are_the_contract() -> None:
    """Scripts branch on these numbers."""
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "INTERNAL": 1,
        "USAGE": 2,
        "HOST": 3,
        "SHADOW_UNREACHABLE": 4,
        "NO_GO": 10,
        "INCONCLUSIVE": 20,
        "INVALID": 30,
    }


def test_each_error_has_its_exit_code() -> None:
    """The class decides, so nobody passes a number around."""
    assert OperatorError("x").exit_code is ExitCode.INTERNAL
    assert UsageError("x").exit_code is ExitCode.USAGE
    assert HostError("x").exit_code is ExitCode.HOST
    assert ShadowUnreachable("x").exit_code is ExitCode.SHADOW_UNREACHABLE


def test_what_and_fix_are_one_line() -> None:
    """The fix follows what is wrong; both stay available by themselves."""
    error = UsageError("--port 0: out of range", "give 1 to 65535")
    assert str(error) == "--port 0: out of range; give 1 to 65535"
    assert (error.what, error.fix) == ("--port 0: out of range", "give 1 to 65535")
    assert str(HostError("no libbpf")) == "no libbpf"


def test_a_hostile_name_cannot_break_the_line() -> None:
    """Line ends and terminal escapes from a file or the wire come out harmless."""
    assert one_line("a\n  b\tc\r\n") == "a b c"
    assert one_line("\x1b[31mred\x07") == "\\x1b[31mred\\x07"
    assert one_line("\u202eevil") == "\\u202eevil"
    assert "\n" not in str(UsageError("x\ny", "z\n"))
