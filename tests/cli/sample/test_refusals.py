"""Bad input to `sample`: one line on stderr with file, expected and found; nothing is written."""

import dataclasses
import re

import numpy as np
import pytest

from l2hmc_bridge.adapters.streams.stream_files import StreamFiles
from l2hmc_bridge.stream.start import Start
from l2hmc_bridge.systems.actions import cold_start, gauge_action
from tests.cli.sample.test_sample import (
    contents,
    differences,
    hmc,
    make_bundle,
    sample,
    write_start,
)


def edited(tmp_path, name, change, suffix="ildg"):
    """A good file whose bytes `change` alters."""
    path = write_start(tmp_path / f"{name}.{suffix}")
    path.write_bytes(change(path.read_bytes()))
    return path


def rewritten(tmp_path, name, change, trace=None):
    """A NERSC file whose links `change` alters, with the checksum that fits them."""
    path = write_start(tmp_path / f"{name}.nersc")
    data = path.read_bytes()
    end = data.index(b"END_HEADER\n") + len(b"END_HEADER\n")
    values = change(np.frombuffer(data[end:], ">f8").copy()).astype(">f8").tobytes()
    words = np.frombuffer(values, ">u4").astype(np.uint64).sum() % 2**32
    head = re.sub(rb"CHECKSUM = \w+", b"CHECKSUM = %08x" % int(words), data[:end])
    if trace:
        head = re.sub(rb"(LINK_TRACE = )(\S+)", trace, head)
    path.write_bytes(head + values)
    return path


def negative(match) -> bytes:
    number = match[2][1:] if match[2].startswith(b"-") else b"-" + match[2]
    return match[1] + number


def with_nan(values):
    values[7] = np.nan
    return values


BAD = {
    "missing": (lambda d: d / "none.ildg", "expected a file, found none"),
    "folder": (lambda d: d, "expected a configuration file, found a folder"),
    "empty": (lambda d: edited(d, "empty", lambda _: b""), "empty"),
    "truncated": (lambda d: edited(d, "short", lambda b: b[:-2000]), "expected"),
    "truncated nersc": (lambda d: edited(d, "short", lambda b: b[:-8], "nersc"), "truncated"),
    "over-long": (lambda d: edited(d, "long", lambda b: b + b"x" * 80), "expected"),
    "over-long nersc": (lambda d: edited(d, "long", lambda b: b + b"x" * 8, "nersc"), "over-long"),
    "magic": (lambda d: edited(d, "magic", lambda b: b"\0\1\2\3" + b[4:]), "--from"),
    "checksum": (lambda d: edited(d, "bit", lambda b: b[:-700] + bytes([b[-700] ^ 1]) + b[-699:]),
                 "checksum: expected"),
    "plaquette": (lambda d: edited(d, "plaquette", lambda b: re.sub(
        rb"(PLAQUETTE = 0\.)\d\d", rb"\g<1>01", b), "nersc"), "plaquette: expected"),
    "determinant": (lambda d: rewritten(d, "minus", lambda v: -v, negative),
                    "links: expected periodic links in SU(3), found det U = -1 on"),
    "nan": (lambda d: rewritten(d, "nan", with_nan), "expected"),
    "su2": (lambda d: edited(d, "su2", lambda b: b.replace(
        b"DATATYPE = 4D_SU3_GAUGE_3x3", b"DATATYPE = 4D_SU2_GAUGE"), "nersc"), "4D_SU3_GAUGE"),
    "5D": (lambda d: edited(d, "five", lambda b: b.replace(
        b"<spacetime>4<", b"<spacetime>5<")), "spacetime"),
}


def refused(capsys, tmp_path, status, *parts) -> str:
    """Asserts one line on stderr with all of `parts`, and no folder out; returns the line."""
    out, err = capsys.readouterr()
    lines = err.strip().splitlines()
    assert status == 1 and out == "" and len(lines) == 1, err
    for part in parts:
        assert str(part) in lines[0]
    assert not (tmp_path / "out").exists()
    return lines[0]


@pytest.mark.parametrize("case", BAD)
def test_bad_files(case, tmp_path, capsys):
    make, found = BAD[case]
    path = make(tmp_path)
    before = path.read_bytes() if path.is_file() else None
    status = hmc(path, tmp_path / "out", "-n", 1)
    refused(capsys, tmp_path, status, path, found)
    assert before is None or path.read_bytes() == before


def test_no_beta(tmp_path, capsys):
    path = write_start(tmp_path / "start.ildg", beta=None)
    refused(capsys, tmp_path, hmc(path, tmp_path / "out", "-n", 1), path, "expected beta", "--beta")
    assert hmc(path, tmp_path / "out", "-n", 1, "--beta", 5.7) == 0


def test_lattices_and_betas_that_differ(tmp_path, capsys):
    one = write_start(tmp_path / "one.ildg")
    for other, found in ((write_start(tmp_path / "two.ildg", lattice=(2, 2, 2, 4)), "2,2,4,2"),
                         (write_start(tmp_path / "three.ildg", beta=5.9), "found 5.9")):
        status = sample("--in", one, "--in", other, "--out", tmp_path / "out", "-n", 1,
                        "--kernel", "hmc")
        refused(capsys, tmp_path, status, other, found)


def test_an_odd_extent_where_masks_need_even_ones(tmp_path, capsys):
    path = write_start(tmp_path / "odd.ildg", lattice=(4, 2, 3, 2))
    good = make_bundle(tmp_path / "b.safetensors")
    status = sample("--in", path, "--out", tmp_path / "out", "-n", 1, "--bundle", good)
    refused(capsys, tmp_path, status, path, "expected even extents", "--kernel hmc")
    assert hmc(path, tmp_path / "out", "-n", 1) == 0


def test_bundles_that_do_not_fit(tmp_path, capsys):
    start = write_start(tmp_path / "start.ildg")

    def run(path, *words):
        return sample("--in", start, "--out", tmp_path / "out", "-n", 1, "--bundle", path, *words)

    other = make_bundle(tmp_path / "iwasaki.safetensors", action=gauge_action("iwasaki", 2.6))
    refused(capsys, tmp_path, run(other, "--action", "wilson"), other, "wilson", "iwasaki")
    altered = make_bundle(tmp_path / "altered.safetensors")
    data = altered.read_bytes()
    altered.write_bytes(data[:-40] + bytes([data[-40] ^ 1]) + data[-39:])
    refused(capsys, tmp_path, run(altered), altered, "expected hash", "altered")
    group = make_bundle(tmp_path / "group.safetensors")
    group.write_bytes(group.read_bytes().replace(b'"group":"su3"', b'"group":"su2"'))
    refused(capsys, tmp_path, run(group), group)
    ungated = make_bundle(tmp_path / "ungated.safetensors", gated=False)
    refused(capsys, tmp_path, run(ungated), ungated, "expected a gate report", "--ungated")
    refused(capsys, tmp_path, run(tmp_path / "no.safetensors"), "no.safetensors", "found no such")
    refused(capsys, tmp_path, run(start), start, "expected a safetensors bundle")
    assert run(ungated, "--ungated", "--tune", 0) == 0


def test_a_kernel_that_fails_the_quick_gate_records_nothing(tmp_path, capsys, monkeypatch):
    """Here an inverse that does not fit its map by 1e-6."""
    from l2hmc_bridge.l2hmc.kernel import L2HMC

    start = write_start(tmp_path / "start.ildg")
    path = make_bundle(tmp_path / "b.safetensors")
    honest = L2HMC.inverse

    def wrong(self, at, closed=True):
        honest(self, at, closed)
        at.unkick(0, 1e-6)

    monkeypatch.setattr(L2HMC, "inverse", wrong)
    words = ["--in", start, "-n", 1, "--bundle", path, "--tune", 0]
    status = sample(*words, "--out", tmp_path / "out")
    refused(capsys, tmp_path, status, start, "inverse: P after Phi", "--ungated")
    assert sample(*words, "--out", tmp_path / "out", "--ungated") == 0


def test_an_output_folder_that_is_not_free(tmp_path, capsys):
    start = write_start(tmp_path / "start.ildg")
    stream = tmp_path / "stream"
    assert hmc(start, stream, "-n", 2) == 0
    before = contents(stream)
    capsys.readouterr()
    status = hmc(start, stream, "-n", 2, "--beta", 5.8)
    refused(capsys, tmp_path, status, stream, "found a stream", "--resume")
    assert differences(before, contents(stream)) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "cfg_13.ildg").write_bytes(b"precious")
    status = hmc(start, tmp_path / "mine", "-n", 2)
    refused(capsys, tmp_path, status, tmp_path / "mine", "expected a new or empty folder")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["cfg_13.ildg"]
    status = hmc(start, start, "-n", 2)
    refused(capsys, tmp_path, status, start, "found a file")
    status = hmc(start, tmp_path / "no" / "where", "-n", 2)
    refused(capsys, tmp_path, status, tmp_path / "no" / "where", "to exist (--out)")


def test_a_refusal_is_one_line_for_a_start_to_be_projected_too(tmp_path, capsys):
    """What is said of a single-precision start comes after everything was checked."""
    start = write_start(tmp_path / "start.ildg", precision=32)
    assert hmc(start, tmp_path / "s", "-n", 1) == 0
    assert "projected to SU(3) once" in capsys.readouterr().err
    for words, found in ((("--beta", -1), "beta"), (("--format", "jpeg"), "format"),
                         (("--integrator", "euler"), "integrator")):
        refused(capsys, tmp_path, hmc(start, tmp_path / "out", "-n", 1, *words), found)
    refused(capsys, tmp_path, hmc(start, tmp_path / "s", "-n", 1), "found a stream")


def test_fields_that_do_not_fit_into_memory(tmp_path, capsys):
    for lattice in ("4000,4000,4000,4000", "4000000000,4000000000,4000000000,4000"):
        status = sample("--start", "cold", "--lattice", lattice, "--beta", 6, "-n", 1, "--kernel",
                        "hmc", "--out", tmp_path / "out")
        refused(capsys, tmp_path, status, "memory", "smaller lattice")


def test_beta_of_the_command_line_decides_between_files(tmp_path, capsys):
    one = write_start(tmp_path / "one.ildg")
    other = write_start(tmp_path / "other.ildg", beta=5.9)
    words = ("--in", one, "--in", other, "--kernel", "hmc", "-n", 1, "--tune", 0)
    status = sample(*words, "--out", tmp_path / "out")
    refused(capsys, tmp_path, status, other, "--beta decides")
    assert sample(*words, "--out", tmp_path / "out", "--beta", 5.7) == 0
    found = capsys.readouterr().err
    assert f"{other} says beta 5.9; --beta 5.7 is used" in found and f"{one} says" not in found


def test_a_free_field_has_no_action_to_check(tmp_path):
    start = write_start(tmp_path / "start.ildg")
    assert hmc(start, tmp_path / "s", "-n", 1, "--beta", 0) == 0


def test_resume_of_what_is_no_stream(tmp_path, capsys):
    start = write_start(tmp_path / "start.ildg")
    (tmp_path / "empty").mkdir()
    for path, found in ((start, "found a file"), (tmp_path / "none", "found none"),
                        (tmp_path / "empty", "expected a stream with a state.safetensors")):
        refused(capsys, tmp_path, sample("--in", path, "--resume"), path, found)
    assert list((tmp_path / "empty").iterdir()) == []


def test_values_that_no_table_has(tmp_path, capsys):
    start = write_start(tmp_path / "start.ildg")
    for words, found in ((("--integrator", "euler"), "omf4"), (("--action", "other"), "wilson"),
                         (("--format", "jpeg"), "nersc"),
                         (("--format", "raw"), "--lattice"), (("--device", "cuda:99"), "--device"),
                         (("--beta", -1), "beta")):
        refused(capsys, tmp_path, hmc(start, tmp_path / "out", "-n", 1, *words), found)


@pytest.mark.parametrize("words", [
    [], ["--in", "x"], ["--in", "x", "--out", "o"], ["--out", "o", "-n", "1"],
    ["--in", "x", "--start", "cold", "--out", "o", "-n", "1"],
    ["--start", "cold", "--out", "o", "-n", "1"],
    ["--start", "cold", "--lattice", "4,4,4,4", "--out", "o", "-n", "1"],
    ["--start", "cold", "--lattice", "4,4,4", "--beta", "6", "--out", "o", "-n", "1"],
    ["--in", "x", "--out", "o", "-n", "0"],
    ["--in", "x", "--out", "o", "-n", "1", "--lattice", "4,4,4"],
    ["--in", "x", "--out", "o", "-n", "1", "--accept", "unitarity"],
    ["--in", "x", "--out", "o", "-n", "1", "--steps", "3"],
    ["--in", "x", "--out", "o", "-n", "1", "--threads", "1000000"],
    ["--in", "x", "--out", "o", "-n", "1", "--kernel", "hmc", "--bundle", "b"],
    ["--in", "x", "--in", "y", "--chains", "3", "--out", "o", "-n", "1", "--kernel", "hmc"],
    ["--in", "x", "--resume", "--seed", "3"], ["--in", "x", "--resume", "--tune", "3"],
    ["--in", "x", "--in", "y", "--resume"], ["--resume"],
    ["--in", "x", "--resume", "--out", "o"], ["--nonsense"],
    *(["--in", "x", "--out", "o", "-n", "1", "--kernel", "hmc", option, value]
      for option in ("--beta", "--step-size", "--max-seconds") for value in ("nan", "inf")),
])
def test_wrong_usage(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sample(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Error:" in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["raw", "lyncs", None])
def test_an_input_format_that_is_not_written_becomes_ildg(name):
    start = Start(cold_start((2, 2, 2, 2)), [0], [{}], "x.bin", format=name)
    assert StreamFiles().output_format(start, None) == ("ildg", "ildg")
    assert any("x.bin: format" in sentence for sentence in start.notes) == (name is not None)
    start = dataclasses.replace(start, format="nersc")
    assert StreamFiles().output_format(start, None) == ("nersc", "nersc")
