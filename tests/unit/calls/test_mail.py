"""Mail handed over."""

from __future__ import annotations

from shadow_agent.calls.call import Body, Call
from shadow_agent.calls.mail import MailReader
from tests.unit.calls.pieces import calls_of

KEY = b"k" * 32
DIALOGUE = (
    b"EHLO me\r\nAUTH PLAIN AGEAYg==\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\n"
    b"DATA\r\nSubject: x\r\n\r\nhello\r\n..dot\r\n.\r\nQUIT\r\n"
)
MESSAGE = b"Subject: x\r\n\r\nhello\r\n..dot\r\n"


def _calls(data: bytes) -> list[Call]:
    return calls_of(lambda: MailReader(KEY), data)


def test_a_message() -> None:
    """Size, hash, number of recipients: no address, no word of it."""
    (call,) = _calls(DIALOGUE)
    body = Body(KEY)
    body.add(b"\r\n" + MESSAGE)
    assert (call.protocol, call.method, call.size, call.recipients, call.complete) == (
        "smtp", "MAIL", len(MESSAGE), 2, True,
    )  # fmt: skip
    assert call.body_hash == body.digest()


def test_an_empty_message() -> None:
    """A dot alone."""
    (call,) = _calls(b"DATA\r\n.\r\n")
    assert (call.size, call.complete) == (0, True)


def test_what_was_cut_is_a_call() -> None:
    """In the message, or before there was one."""
    (call,) = _calls(b"RCPT TO:<a@b>\r\nDATA\r\nSubject: long enough\r\n")
    assert (call.complete, call.recipients) == (False, 1)
    (call,) = _calls(b"EHLO me\r\n")
    assert not call.complete


def test_replies_lead_to_the_message() -> None:
    """Each command has its code; secrets are asked for and forgotten."""
    reader = MailReader(KEY)
    codes = []
    for line in (
        *(b"EHLO a", b"AUTH LOGIN", b"dXNlcg==", b"cGFzcw==", b"AUTH PLAIN", b"AHUAcA=="),
        *(b"AUTH CRAM-MD5", b"MAIL FROM:<>", b"RCPT TO:<x>", b"DATA", b"\r\n.", b"STARTTLS"),
        *(b"VRFY a", b"NOOP", b"FOO", b"QUIT"),
    ):
        reader.feed(line + b"\r\n")
        codes += [reply[:3] for reply in reader.replies]
        reader.replies.clear()
    assert b" ".join(codes) == (b"250 334 334 235 334 235 504 250 250 354 250 454 252 250 502 221")
    assert reader.closed


def test_lines_without_end_are_cut() -> None:
    """Memory is bounded."""
    reader = MailReader(KEY)
    for _ in range(100):
        reader.feed(b"A" * 65_536)
    assert len(reader._buffer) <= 4096
    reader.feed(b"\r\nDATA\r\n")
    for _ in range(100):
        reader.feed(b"A" * 65_536)
    assert len(reader._buffer) <= 4096
