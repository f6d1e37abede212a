"""Card numbers (Luhn), phone numbers and IBANs (mod 97) among the digits of a text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from shadow_agent.policy.linear import compile_bytes, find_all

# One run of digits with a little between them: what a person or a form puts into a number.
_RUN: Final = compile_bytes(rb"[0-9](?:(?:[ ()._\-/+\t]|\xc2?\xa0|%20){0,3}[0-9]){6,}")
_GROUP: Final = compile_bytes(rb"[0-9]+")

# ISO/IEC 7812: lengths in use, and first digits of payment cards (1 and 7: airlines, petrol;
# every time stamp of today in seconds, milliseconds or nanoseconds begins with 1).
_CARD: Final = range(13, 20)
_CARD_FIRST: Final = frozenset(b"2345689")
# E.164: at most 15 digits with the country's; fewer than 7 reach nobody.
_PHONE: Final = range(7, 16)
# Written nationally: 0 and at least 8 more.
_NATIONAL: Final = range(9, 14)
_NORTH_AMERICA: Final = (3, 3, 4)

# ISO 13616 registry: country → length.
_REGISTRY: Final = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 "
    "DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 "
    "HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 "
    "MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 "
    "RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 "
    "VA22 VG24 XK20 YE30"
)
_IBAN_LENGTHS: Final = {entry[:2]: int(entry[2:]) for entry in _REGISTRY.split(" ")}
_IBAN_MIN: Final = 15
_IBAN_MAX: Final = 34
_BETWEEN: Final = b" -\t._"


class _Group(NamedTuple):
    start: int
    end: int


def numbers(text: bytes) -> Iterator[tuple[int, int, str]]:
    """Start, end and kind ("card" or "phone") of each; they may overlap."""
    for run in find_all(_RUN, text):
        offset = run.start()
        groups = [
            _Group(offset + one.start(), offset + one.end()) for one in _GROUP.finditer(run.group())
        ]
        yield from _cards(text, groups)
        yield from _phones(text, groups)


def _cards(text: bytes, groups: list[_Group]) -> Iterator[tuple[int, int, str]]:
    for index, first in enumerate(groups):
        if text[first.start] not in _CARD_FIRST:
            continue
        # Luhn doubles every second digit from the right: both sums are kept, the length decides.
        count, odd, even, end = 0, 0, 0, 0
        for group in groups[index : index + _CARD.stop]:
            if count + group.end - group.start >= _CARD.stop:
                break
            for digit in text[group.start : group.end]:
                value = digit - 48
                doubled = value * 2 - 9 if value > 4 else value * 2
                even += doubled if count % 2 == 0 else value
                odd += doubled if count % 2 else value
                count += 1
            total = even if count % 2 == 0 else odd
            if count in _CARD and total % 10 == 0:
                end = group.end
        if end:
            yield first.start, end, "card"


def _phones(text: bytes, groups: list[_Group]) -> Iterator[tuple[int, int, str]]:
    taken = 0
    for index, first in enumerate(groups):
        if first.start < taken:
            continue
        start = _plus(text, first.start)
        if start is not None:
            end = _reach(groups, index, _PHONE)
        elif text.startswith(b"00", first.start):
            start, end = first.start, _reach(groups, index, range(_PHONE.start + 2, 18))
        elif text.startswith(b"0", first.start) and _is_trunk(text, groups, index):
            start, end = first.start, _reach(groups, index, _NATIONAL)
        else:
            start, end = first.start, _north_american(text, groups, index)
        # nobody writes one with _, but many a file's name has a date and a time so
        if end and b"_" not in text[start:end]:
            yield start, end, "phone"
            taken = end


def _plus(text: bytes, start: int) -> int | None:
    """Where the ``+`` in front of these digits is, perhaps with a parenthesis between."""
    for prefix in (b"+", b"%2B", b"%2b", b"+(", b"(+"):
        if start >= len(prefix) and text[start - len(prefix) : start] == prefix:
            return start - len(prefix)
    return None


def _reach(groups: list[_Group], index: int, wanted: range) -> int:
    """The end of as many groups as make a count of digits within ``wanted``, or 0."""
    count = end = 0
    for group in groups[index : index + wanted.stop]:
        count += group.end - group.start
        if count >= wanted.stop:
            break
        if count in wanted:
            end = group.end
    return end


def _is_trunk(text: bytes, groups: list[_Group], index: int) -> bool:
    """Whether a leading 0 is dialled: not of a decimal fraction, nor of a date."""
    first = groups[index]
    size = first.end - first.start
    if size == 1 or text[first.start - 1 : first.start] in (b".", b","):
        return False
    third = groups[index + 2 : index + 3]
    is_date = size == 2 and bool(third) and third[0].end - third[0].start == 4
    return not (is_date and text[first.end : first.end + 1] in (b".", b"-", b"/"))


def _north_american(text: bytes, groups: list[_Group], index: int) -> int:
    three = groups[index : index + 3]
    sizes = tuple(group.end - group.start for group in three)
    if sizes == _NORTH_AMERICA and text[three[0].start] in b"23456789":
        return three[2].end
    return 0


def iban_end(text: bytes, start: int) -> int:
    """The end of the IBAN that begins there, or 0. Single separators between are allowed."""
    country = text[start : start + 2].decode("ascii", "replace").upper()
    length = _IBAN_LENGTHS.get(country)
    shortest, longest = (length, length) if length else (_IBAN_MIN, _IBAN_MAX)
    characters = bytearray()
    at = start
    while at < len(text) and len(characters) < longest:
        one = text[at : at + 1]
        if one.isalnum():
            characters += one
            at += 1
        elif text.startswith(b"\xc2\xa0", at):
            at += 2
            continue
        elif text.startswith(b"%20", at):
            at += 3
            continue
        elif one[0] in _BETWEEN and text[at + 1 : at + 2].isalnum():
            at += 1
            continue
        else:
            break
        whole = not text[at : at + 1].isalnum()
        if len(characters) >= shortest and whole and _mod_97(bytes(characters)) == 1:
            return at
    return 0


def _mod_97(characters: bytes) -> int:
    """ISO 7064: the first four at the end, letters as 10 to 35."""
    return int("".join(str(int(c, 36)) for c in (characters[4:] + characters[:4]).decode())) % 97
