"""``kernel/layout.py`` says what ``bpf/record.h`` says: sizes, offsets, values."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sysconfig
from pathlib import Path

import pytest

from shadow_agent.kernel import layout
from shadow_agent.kernel.program import source_folder

HEADER = source_folder() / "record.h"

RECORD_FIELDS = {
    "ts_ns": (0, 8), "remote_addr": (8, 16), "local_addr": (24, 16), "remote_port": (40, 2),
    "local_port": (42, 2), "seq": (44, 4), "ack": (48, 4), "length": (52, 4), "copied": (56, 4),
    "ifindex": (60, 4), "number": (64, 4), "family": (68, 1), "tcp_flags": (69, 1),
    "direction": (70, 1), "role": (71, 1), "final": (72, 1), "pad": (73, 1),
    "urgent": (74, 2), "pad_end": (76, 4),
}  # fmt: skip


def _body(kind: str, name: str) -> str:
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.search(rf"{kind} {name} {{(.*?)}};", text, flags=re.DOTALL)
    assert found is not None, f"no {kind} {name} in record.h"
    return found[1]


def _members(name: str) -> list[str]:
    """Member names of a struct in order."""
    return re.findall(r"(\w+)(?:\[\w+\])*;", re.sub(r"\]\[", "][", _body("struct", name)))


def _constants(name: str) -> list[str]:
    return re.findall(r"(\w+)(?: = \w+)?,", _body("enum", name))


SHIFTS = (
    "COST_SHIFT",
    "NUMBER_EPOCH_SHIFT",
    "NUMBER_EPOCHS",
    "NUMBER_SURE",
    "NUMBER_TENANCY_SHIFT",
)

ASKED = (
    [("sizeof record", "sizeof(struct record)"), ("sizeof control", "sizeof(struct control)")]
    + [("sizeof counters", "sizeof(struct counters)")]
    + [
        (f"{kind} {struct_name}.{member}", expression.format(struct_name, member))
        for struct_name in ("record", "control", "counters")
        for member in _members(struct_name)
        for kind, expression in (
            ("offset", "__builtin_offsetof(struct {0}, {1})"),
            ("size", "sizeof(((struct {0} *)0)->{1})"),
        )
    ]
    + [
        (constant, constant)
        for enum in ("role", "direction", "counter")
        for constant in _constants(enum)
    ]
    + [(macro, macro) for macro in ("PIECE_MAX", "PIECES_MAX", "SHARDS_MAX", "PORT_WORDS", *SHIFTS)]
)


def _program() -> str:
    values = ", ".join(expression for _, expression in ASKED)
    return f'#include "{HEADER}"\nunsigned long long asked[] = {{ {values} }};\n'


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(name)
    return found


def _native(folder: Path) -> dict[str, int]:
    source = folder / "print.c"
    source.write_text(
        f"#include <stdio.h>\n{_program()}"
        "int main(void) { for (unsigned i = 0; i < sizeof(asked) / sizeof(*asked); i++)"
        ' printf("%llu\\n", asked[i]); }\n',
        encoding="utf-8",
    )
    binary = folder / "print"
    subprocess.run([_tool("clang"), "-Wall", "-Werror", source, "-o", binary], check=True)
    printed = subprocess.run([binary], check=True, capture_output=True, text=True).stdout
    return dict(zip((name for name, _ in ASKED), map(int, printed.split()), strict=True))


def _bpf(folder: Path) -> dict[str, int]:
    """As the BPF target lays it out: read from the object's data section."""
    source, binary = folder / "asked.c", folder / "asked.o"
    source.write_text(_program(), encoding="utf-8")
    triplet = sysconfig.get_config_var("MULTIARCH")
    subprocess.run(
        [
            *(_tool("clang"), "-target", "bpf", "-O2", "-Wall", "-Werror"),
            *(f"-I/usr/include/{triplet}", "-c", str(source), "-o", str(binary)),
        ],
        check=True,
    )
    data = _section(binary.read_bytes(), b".data")
    return dict(
        zip((name for name, _ in ASKED), struct.unpack(f"={len(ASKED)}Q", data), strict=True)
    )


def _section(elf: bytes, name: bytes) -> bytes:
    (table,) = struct.unpack_from("=Q", elf, 40)
    size, count, names = struct.unpack_from("=3H", elf, 58)
    headers = [struct.unpack_from("=IIQQQQ", elf, table + i * size) for i in range(count)]
    strings = headers[names][4]
    for header in headers:
        start = strings + header[0]
        if elf[start : elf.index(b"\0", start)] == name:
            return elf[header[4] : header[4] + header[5]]
    raise AssertionError(f"no section {name!r}")


@pytest.fixture(params=[_native, _bpf], ids=["native", "bpf"])
def compiled(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, int]:
    """Every size, offset and value as one compiler sees it."""
    values: dict[str, int] = request.param(tmp_path)
    return values


def test_record_has_the_fields_that_the_decoder_unpacks(compiled: dict[str, int]) -> None:
    """Same members, same places, same sizes; the Struct covers them all."""
    assert {
        m: (compiled[f"offset record.{m}"], compiled[f"size record.{m}"])
        for m in _members("record")
    } == RECORD_FIELDS
    assert compiled["sizeof record"] == layout.RECORD.size


def test_record_struct_unpacks_each_field_from_its_place(compiled: dict[str, int]) -> None:
    """The layout string reads each field where the compiler puts it."""
    raw = bytes(range(layout.RECORD.size))
    unpacked = list(layout.RECORD.unpack(raw))
    names = [m for m in _members("record") if not m.startswith("pad")]
    key = ["remote_addr", "local_addr", "remote_port", "local_port"]
    expected: list[int | bytes] = [
        int.from_bytes(raw[at : at + size], "little" if struct.pack("=H", 1)[0] else "big")
        for at, size in (
            (compiled[f"offset record.{m}"], compiled[f"size record.{m}"])
            for m in names
            if m not in key
        )
    ]
    expected.insert(1, raw[compiled["offset record.remote_addr"] : compiled["offset record.seq"]])
    assert unpacked == expected


def test_ring_reader_knows_where_role_and_final_are(compiled: dict[str, int]) -> None:
    """The two bytes that the supervisor looks at without decoding."""
    from shadow_agent.kernel import ring  # noqa: PLC0415 - its private constants are the subject

    assert compiled["offset record.role"] == ring._ROLE_AT
    assert compiled["offset record.final"] == ring._FINAL_AT


def test_control_offsets(compiled: dict[str, int]) -> None:
    """Every member of the control page but padding has its ControlField, and no other exists."""
    offsets = {
        member.upper(): compiled[f"offset control.{member}"]
        for member in _members("control")
        if not member.startswith("pad")
    }
    assert offsets == {field.name: int(field) for field in layout.ControlField}
    assert compiled["sizeof control"] == layout.CONTROL_SIZE
    assert compiled["PORT_WORDS"] == layout.PORT_WORDS


def test_counters(compiled: dict[str, int]) -> None:
    """Same counters under the same numbers, for the same number of roles."""
    names = [name for name in _constants("counter") if name != "COUNTERS"]
    assert {name: compiled[name] for name in names} == {c.name: int(c) for c in layout.Counter}
    assert compiled["COUNTERS"] == len(layout.Counter)
    assert compiled["ROLES"] == layout.COUNTED_ROLES == len(layout.Role)
    assert compiled["sizeof counters"] == 8 * layout.COUNTED_ROLES * len(layout.Counter)


def test_roles_directions_and_limits(compiled: dict[str, int]) -> None:
    """Enums and limits that both sides use."""
    from shadow_agent.flow.segment import Direction  # noqa: PLC0415 - the record's own direction

    assert {r.name: int(r) for r in layout.Role} == {
        "PRODUCTION": compiled["ROLE_PRODUCTION"],
        "SHADOW": compiled["ROLE_SHADOW"],
    }
    assert {d.name: int(d) for d in Direction} == {
        "REQUEST": compiled["DIRECTION_REQUEST"],
        "RESPONSE": compiled["DIRECTION_RESPONSE"],
    }
    assert compiled["PIECE_MAX"] == layout.PIECE_MAX
    assert all(compiled[name] == getattr(layout, name) for name in SHIFTS)
    assert compiled["SHARDS_MAX"] == layout.SHARDS_MAX
