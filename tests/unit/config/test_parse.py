"""Single values: what is taken, what is refused with which reason."""

from pathlib import Path

import pytest

from shadow_agent.config import SessionKey, SessionKind, ShadowUrl, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://10.0.0.9:8080", ShadowUrl("10.0.0.9", 8080)),
        ("http://10.0.0.9", ShadowUrl("10.0.0.9", 80)),
        ("http://10.0.0.9:8080/", ShadowUrl("10.0.0.9", 8080)),
        ("HTTP://Shadow.Internal:1", ShadowUrl("shadow.internal", 1)),
        ("http://shadow_build-2:65535", ShadowUrl("shadow_build-2", 65535)),
        ("http://[2001:DB8:0::9]:8080", ShadowUrl("2001:db8::9", 8080)),
        ("http://[::1]", ShadowUrl("::1", 80)),
        ("http://[fe80::9%25Eth1]:80", ShadowUrl("fe80::9%Eth1", 80)),
        ("http://[::ffff:10.0.0.9]:80", ShadowUrl("10.0.0.9", 80)),
    ],
)
def test_a_shadow_url(text: str, expected: ShadowUrl) -> None:
    """Names, IPv4 and IPv6, in one spelling each."""
    assert parse.shadow_url(text) == expected
    assert parse.shadow_url(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://10.0.0.9", "TLS to the shadow is not supported yet"),
        ("10.0.0.9:8080", "write http://HOST:PORT"),
        ("shadow:8080", "write http://HOST:PORT"),
        ("http:10.0.0.9", "write http://HOST:PORT"),
        ("ftp://10.0.0.9", "write http://HOST:PORT"),
        ("http://", "lacks a host"),
        ("http://:80", "lacks a host"),
        ("http://host:", "lacks a host or a port"),
        ("http://host:0", "port 0"),
        ("http://host:65536", "out of range"),
        ("http://host:http", "write http://HOST:PORT"),
        ("http://host/path", "goes on after the port"),
        ("http://host?q", "goes on after the port"),
        ("http://host/?", "goes on after the port"),
        ("http://host#f", "goes on after the port"),
        ("http://me:secret@host", "a user name"),
        ("http://2001:db8::9", "write http://HOST:PORT"),
        ("http://[2001:db8::g]:80", "IPv6"),
        ("http://[10.0.0.9]:80", "write http://HOST:PORT"),
        ("http://10.0.0.999", "no IPv4 address"),
        ("http://10.0.9", "no IPv4 address"),
        ("http://0.0.0.0:80", "no address to connect to"),
        ("http://[::]:80", "no address to connect to"),
        ("http://ho st", "space"),
        ("http://ho\nst", "printable"),
        ("http://-host", "no host name"),
        ("http://a..b", "no host name"),
        ("http://b\u00fccher", "xn--"),
        ("", "non-empty"),
        (8080, "printable, non-empty string"),
    ],
)
def test_no_shadow_url(text: object, reason: str) -> None:
    """Each refusal says why; a password never comes back."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse.shadow_url(text)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("GET", {"GET"}),
        ("get, Head", {"GET", "HEAD"}),
        (["GET", "POST"], {"GET", "POST"}),
        ("all", None),
        ("ALL", None),
        (["all"], None),
    ],
)
def test_methods(given: object, expected: set[str] | None) -> None:
    """A list by comma or by TOML, or all of them."""
    assert parse.methods(given) == expected


@pytest.mark.parametrize(
    "given", ["", "GET,", "GET POST", "G(T", [], [1], 7, "GET,all,", "all,GET"]
)
def test_no_methods(given: object) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"method|printable|empty"):
        parse.methods(given)


def test_interfaces_and_ports_repeat() -> None:
    """One or a list, each once, in order."""
    assert parse.interfaces("eth0") == ("eth0",)
    assert parse.interfaces(["eth1", "eth0", "eth1"]) == ("eth1", "eth0")
    assert parse.ports(8080) == (8080,)
    assert parse.ports([80, 443, 80]) == (80, 443)


@pytest.mark.parametrize("given", ["", "a/b", "a b", ".", "..", "x" * 16, 5, [], ["ok", ""]])
def test_no_interface(given: object) -> None:
    """What the kernel would not take as a name."""
    with pytest.raises(ValueError, match=r"interface|printable|empty"):
        parse.interfaces(given)


@pytest.mark.parametrize("given", [0, 65536, -1, True, "80", 80.0, []])
def test_no_port(given: object) -> None:
    """Whole numbers of 1 to 65535, and a bool is none."""
    with pytest.raises(ValueError, match=r"range|whole|empty"):
        parse.ports(given)


def test_a_target_is_a_file_name_too() -> None:
    """Letters, digits, dots, dashes; not the folder itself, not a path."""
    assert parse.target("eth0-8080_a.b") == "eth0-8080_a.b"
    for bad in ("", ".", "..", "a/b", "a b", "x" * 65, "\u00e4"):
        with pytest.raises(ValueError, match=r"name|printable"):
            parse.target(bad)


def test_the_default_target_names_what_is_tapped() -> None:
    """Interfaces and ports, made fit for a name."""
    assert parse.default_target(("eth0",), (8080,)) == "eth0-8080"
    assert parse.default_target(("eth0", "eth1"), (80, 81)) == "eth0-eth1-80-81"
    assert parse.default_target(("br@0",), (80,)) == "br_0-80"
    long = parse.default_target(tuple(f"interface{i}" for i in range(20)), (80,))
    assert parse.target(long) == long


def test_numbers() -> None:
    """Whole or not, and where they end."""
    assert parse.fraction(1) == 1.0
    assert parse.fraction(0.05) == 0.05
    assert parse.seconds(5) == 5.0
    for function, bad in (
        (parse.fraction, 1.01),
        (parse.fraction, -0.1),
        (parse.fraction, float("nan")),
        (parse.fraction, "1"),
        (parse.fraction, True),
        (parse.seconds, 0),
        (parse.seconds, float("inf")),
        (parse.seconds, 1e300),
        (parse.whole(1), 0),
        (parse.whole(1, 16), 17),
    ):
        with pytest.raises(ValueError, match=r"range|number"):
            function(bad)


def test_a_ring_is_a_power_of_two_of_pages() -> None:
    """As the kernel wants it, said before the kernel says EINVAL."""
    assert parse.ring_size(4096) == 4096
    for bad in (2048, 3 << 20, 1 << 31):
        with pytest.raises(ValueError, match=r"power|range"):
            parse.ring_size(bad)


def test_metrics_listen_where_told() -> None:
    """HOST:PORT, IPv6 in brackets."""
    assert parse.listen_address("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert parse.listen_address("[::1]:9464") == ("::1", 9464)
    assert parse.listen_address("localhost:1") == ("localhost", 1)
    for bad in ("9464", ":9464", "host:", "host:x", "host:0", "::1:9464", "[host]:1", "h:\u0661"):
        with pytest.raises(ValueError, match=r"HOST:PORT|range|IPv6"):
            parse.listen_address(bad)


def test_session_keys() -> None:
    """By connection, header or cookie."""
    assert parse.session("connection") == SessionKey()
    assert parse.session("header:X-User") == SessionKey(SessionKind.HEADER, "X-User")
    assert parse.session("cookie:sid") == SessionKey(SessionKind.COOKIE, "sid")
    for bad in ("", "connection:x", "header:", "header:a b", "query:x", "cookie"):
        with pytest.raises(ValueError, match=r"session key|printable"):
            parse.session(bad)


def test_a_folder_is_absolute() -> None:
    """The agent's working directory may change."""
    assert parse.folder("x") == Path.cwd() / "x"
    assert parse.folder(Path("/var/lib/x")) == Path("/var/lib/x")


def test_builds_and_flags() -> None:
    """Texts have an end, flags are true or false."""
    assert parse.build("v1.2-3-gabc") == "v1.2-3-gabc"
    assert parse.flag(True) is True
    with pytest.raises(ValueError, match="too many"):
        parse.build("x" * 129)
    with pytest.raises(ValueError, match="true or false"):
        parse.flag("yes")
    with pytest.raises(ValueError, match="one of a, b"):
        parse.one_of("a", "b")("c")


def test_a_speed() -> None:
    """A factor, as a flag or a key has it, or as fast as it goes."""
    assert [parse.speed(one) for one in ("2", 2, 0.5, "max")] == [2.0, 2.0, 0.5, float("inf")]
    for wrong in ("fast", "", 0, -1, "nan", "inf", 1e7, True, None, [1]):
        with pytest.raises(ValueError, match="no speed; give 1 for as captured"):
            parse.speed(wrong)
