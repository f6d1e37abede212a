"""libbpf and bcc make the same tap of the same source, and say in one line why they cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from shadow_agent.kernel import bcc_loader, bpf, libbpf_loader, program
from shadow_agent.kernel.layout import Counter
from shadow_agent.kernel.load import load
from shadow_agent.kernel.program import MAPS, Loader, LoadError, source_folder
from tests.kernel import frames
from tests.kernel.conftest import ENTRIES, MakeTap
from tests.kernel.frames import GET, frame, ip, tcp

SENT = {
    "tap_ingress": (4, True),
    "tap_egress": (6, False),
    "tap_loopback": (4, False),
}


@pytest.fixture
def need_bcc(bcc_headers: None) -> None:
    """bcc itself, and headers for it."""
    if bcc_loader.find_bcc() is None:
        pytest.skip("bcc (python3-bpfcc)")


def _one_line(error: pytest.ExceptionInfo[LoadError], *parts: str) -> None:
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 600
    for part in parts:
        assert part in text


def _open_fds() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_the_verifier_is_done_soon(built_object: None) -> None:
    """Every program takes less than a quarter of the steps after which a kernel refuses one."""
    loaded = load(Loader.LIBBPF, ENTRIES)
    steps = {}
    for name, fd in loaded.programs.items():
        fields = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
        found = [line.split()[1] for line in fields if line.startswith("verified_insns")]
        steps[name] = int(found[0]) if found else 0  # Linux 5.16 tells
    loaded.close()
    assert max(steps.values()) < 250_000, steps


@pytest.mark.parametrize("loader", [Loader.LIBBPF, Loader.BCC])
def test_loads_what_was_asked_for(make_tap: MakeTap, need_bcc: None, loader: Loader) -> None:
    """The same programs and maps under the same names, and nothing open that is not owned."""
    before = _open_fds()
    loaded = load(loader, ENTRIES)
    assert loaded.loader is loader
    assert tuple(loaded.programs) == ENTRIES
    assert tuple(loaded.maps) == MAPS
    for name, fd in loaded.programs.items():
        # bcc loads a program under the same name
        assert bpf.program_info(fd).name == name[:15]
    assert not any(
        os.get_inheritable(fd) for fd in (*loaded.programs.values(), *loaded.maps.values())
    )
    assert _open_fds() == before + len(ENTRIES) + len(MAPS)
    loaded.close()
    assert _open_fds() == before


def test_both_loaders_make_the_same_records(make_tap: MakeTap, need_bcc: None) -> None:
    """Three frames through either; records differ in their time only."""
    results = []
    for loader in (Loader.LIBBPF, Loader.BCC):
        tap = make_tap(*ENTRIES, loader=loader)
        outcomes = []
        for entry, (family, request) in SENT.items():
            ends = frames.request_ends(family)
            ends = ends if request else ends.reversed()
            records, counted = tap.run(entry, frame(ip(ends) / tcp(ends, GET)))
            assert counted == {Counter.COPIED: 1}
            outcomes += [r._replace(ts=0) for r in records]
        results.append(outcomes)
    assert len(results[0]) == 3
    assert results[0] == results[1]


def test_both_loaders_cut_pieces_and_classes_alike(make_tap: MakeTap, need_bcc: None) -> None:
    """Each size class, and a record without payload, on either."""
    for loader in (Loader.LIBBPF, Loader.BCC):
        tap = make_tap("tap_ingress", loader=loader)
        ends = frames.request_ends(4)
        for length in (1, 256, 257, 1025, 3000):
            (record,), _ = tap.run("tap_ingress", frame(ip(ends) / tcp(ends, b"z" * length)))
            assert record.payload == b"z" * length
        (record,), _ = tap.run("tap_ingress", frame(ip(ends) / tcp(ends, flags="S")))
        assert (record.length, record.taken) == (0, 80)


def test_auto_takes_the_object_where_there_is_one(make_tap: MakeTap) -> None:
    """No compiler runs on a host where the object was built."""
    tap = make_tap("tap_ingress", loader=Loader.AUTO)
    assert tap.loaded.loader is Loader.LIBBPF


def test_auto_compiles_where_there_is_no_object(
    need_bcc: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An install without clang."""
    monkeypatch.setattr("shadow_agent.kernel.load.OBJECT", tmp_path / "none.o")
    loaded = load(Loader.AUTO, ["tap_ingress"])
    assert loaded.loader is Loader.BCC
    loaded.close()


def test_no_object(tmp_path: Path) -> None:
    """Names the file and the command that makes it."""
    with pytest.raises(LoadError) as error:
        libbpf_loader.load(tmp_path / "tap.bpf.o", ["tap_ingress"])
    _one_line(error, str(tmp_path / "tap.bpf.o"), "make bpf")


@pytest.mark.parametrize("content", [b"", b"no object at all", None])
def test_broken_object(
    tmp_path: Path, content: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """Empty, text, or cut in half: one line that names the file, and none of libbpf's own."""
    broken = tmp_path / "tap.bpf.o"
    whole = program.OBJECT.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2] if content is None else content)
    before = _open_fds()
    with pytest.raises(LoadError) as error:
        libbpf_loader.load(broken, ["tap_ingress"])
    _one_line(error, "tap.bpf.o")
    assert _open_fds() == before
    assert capfd.readouterr() == ("", "")


def test_object_of_another_version(tmp_path: Path) -> None:
    """A program that the object does not have is named, with the fix."""
    before = _open_fds()
    with pytest.raises(LoadError) as error:
        libbpf_loader.load(program.OBJECT, ["tap_ingress", "tap_of_tomorrow"])
    _one_line(error, "tap_of_tomorrow", "make bpf")
    assert _open_fds() == before


def test_object_that_the_kernel_refuses(tmp_path: Path) -> None:
    """One line, not the verifier's log."""
    source = tmp_path / "bad.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'SEC("tc") int tap_ingress(struct __sk_buff *skb)'
        "{ return *(volatile int *)(long)skb->data; }\n"
        'char LICENSE[] SEC("license") = "GPL";\n'
    )
    compiled = tmp_path / "bad.o"
    triplet = sysconfig.get_config_var("MULTIARCH")
    subprocess.run(
        ["clang", "-target", "bpf", "-O2", "-g", f"-I/usr/include/{triplet}",
         "-c", source, "-o", compiled],
        check=True,
    )  # fmt: skip
    with pytest.raises(LoadError) as error:
        libbpf_loader.load(compiled, ["tap_ingress"])
    _one_line(error, "the kernel refused bad.o", "doctor")


def _without_headers(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a mount namespace where /lib/modules is empty."""
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /lib/modules && exec "$@"', "sh",
         sys.executable, "-c", script],
        capture_output=True, text=True, check=True, env=os.environ | environment,
    )  # fmt: skip


LOAD = (
    "from shadow_agent.kernel.load import load\n"
    "from shadow_agent.kernel.program import Loader, LoadError\n"
    "try: load(Loader.BCC, ['tap_ingress'])\n"
    "except LoadError as exc: print(exc)\n"
)


def test_bcc_without_kernel_headers() -> None:
    """One line that names the headers; nothing of the compiler's on stderr."""
    if bcc_loader.find_bcc() is None:
        pytest.skip("bcc (python3-bpfcc)")
    package = str(Path(program.__file__).parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    done = _without_headers(LOAD, PYTHONPATH=path)
    (line,) = done.stdout.splitlines()
    assert "headers" in line
    assert "libbpf" in line
    assert done.stderr == ""


def test_bcc_with_broken_source(
    need_bcc: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The compiler's first error, in one line, and nothing on stderr."""
    for name in ("record.h", "maps.h", "parse.h", "slots.h"):
        (tmp_path / name).write_bytes((source_folder() / name).read_bytes())
    broken = (source_folder() / "tap.bpf.c").read_text() + "\nint tomorrow = nothing_of_the_kind;\n"
    (tmp_path / "tap.bpf.c").write_text(broken)
    before = _open_fds()
    with pytest.raises(LoadError) as error:
        bcc_loader.load(tmp_path, ["tap_ingress"])
    _one_line(error, "tap.bpf.c", "nothing_of_the_kind")
    assert _open_fds() == before
    assert capfd.readouterr() == ("", "")


def test_bcc_with_a_program_that_is_not_there(need_bcc: None) -> None:
    """Named in one line."""
    with pytest.raises(LoadError) as error:
        load(Loader.BCC, ["tap_of_tomorrow"])
    _one_line(error, "tap_of_tomorrow")


def test_bcc_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names Debian's package, which is not PyPI's of the same name."""
    monkeypatch.setattr(bcc_loader, "find_bcc", lambda: None)
    with pytest.raises(LoadError) as error:
        load(Loader.BCC, ["tap_ingress"])
    _one_line(error, "python3-bpfcc")
