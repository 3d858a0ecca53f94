"""The verb convert: one file, many, an ensemble and back; what is lost; what is refused."""

import subprocess
import sys

import h5py
import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.files.ensemble import open_ensemble
from l2hmc_bridge.cli import main
from l2hmc_bridge.fields.configuration import Configuration
from tests.support import samples
from tests.support.places import ROOT

MILC = ROOT / "examples" / "data" / "milc_l4x6x8x10_b6.0.ildg"


@pytest.fixture
def stream(tmp_path):
    """Five ILDG files of one stream, numbers of one and two digits."""
    for number in range(8, 13):
        meta = dict(samples.META, trajectory=number, lfn=f"lfn://x/cfg_{number}")
        field = Configuration(samples.random_links(number), meta)
        files.write(tmp_path / f"cfg_{number}.lime", field)
    return tmp_path


@pytest.mark.parametrize("suffix", ["nersc", "scidac", "milc", "openqcd", "hirep", "npy", "h5",
                                    "lime"])
def test_any_to_any(tmp_path, suffix, capsys):
    first, back = tmp_path / f"a.{suffix}", tmp_path / "back.ildg"
    assert main(["convert", str(MILC), str(first)]) == 0
    assert f"{MILC} -> {first}" in capsys.readouterr().out
    layout = ["--layout", "pyquda"] if suffix == "npy" else []
    assert main(["convert", str(first), str(back), *layout]) == 0
    assert torch.equal(files.read(back).links, files.read(MILC).links)


def test_a_text_that_does_not_state_its_lattice_is_written(tmp_path, capsys):
    source, text = tmp_path / "a.ildg", tmp_path / "b.txt"
    files.write(source, samples.configuration())
    assert main(["convert", str(source), str(text), "--format", "bridge"]) == 0
    assert f"{source} -> {text}; lost: beta, trajectory" in capsys.readouterr().out
    found = files.read(text, lattice=files.header(source)["lattice"])
    assert torch.equal(found.links, files.read(source).links)


def test_what_is_lost_is_said(tmp_path, capsys):
    source = tmp_path / "a.ildg"
    files.write(source, samples.configuration())
    expected = {
        "nersc": [], "h5": [], "scidac": ["lfn"],
        "milc": ["beta", "trajectory", "lfn", "ensemble_id", "ensemble_label",
                 "parameters of the ensemble", "precision (64 to 32 bits)"],
        "openqcd": ["beta", "trajectory", "lfn", "ensemble_id", "ensemble_label",
                    "parameters of the ensemble"],
    }
    for suffix, lost in expected.items():
        assert main(["convert", str(source), str(tmp_path / f"b.{suffix}")]) == 0
        told = capsys.readouterr().out
        assert told.strip().partition("; lost: ")[2] == ", ".join(lost)


def test_options_reach_the_writer(tmp_path):
    out = tmp_path / "a.nersc"
    assert main(["convert", str(MILC), str(out), "--rows", "2", "--precision", "32"]) == 0
    meta = files.read(out).meta
    assert (meta["rows"], meta["precision"]) == (2, 32)
    out = tmp_path / "b.bin"
    assert main(["convert", str(MILC), str(out), "--format", "ildg", "--lfn", "lfn://me"]) == 0
    assert files.read(out).meta["lfn"] == "lfn://me"
    out = tmp_path / "c.h5"
    assert main(["convert", str(MILC), str(out), "--dialect", "pyquda"]) == 0
    assert files.read(out).meta["dialect"] == "PyQUDA"
    out = tmp_path / "d.h5"
    assert main(["convert", str(MILC), str(out), "--compression", "gzip"]) == 0
    with h5py.File(out) as file:
        assert file["links"].compression == "gzip"


def test_reunitarize_is_recorded(tmp_path):
    plain, projected, again = tmp_path / "a.ildg", tmp_path / "b.ildg", tmp_path / "c.nersc"
    assert main(["convert", str(MILC), str(plain)]) == 0
    assert main(["convert", str(MILC), str(projected), "--reunitarize"]) == 0
    assert main(["convert", str(projected), str(again)]) == 0
    assert files.read(plain).meta["unitarity"] > 1e-9
    for path in (projected, again):
        meta = files.read(path).meta
        assert meta["unitarity"] < 1e-14 and meta["determinant"] < 1e-14
        assert "projected to SU(3)" in meta["reunitarized"] and "9.3e-08" in meta["reunitarized"]
    assert "reunitarized" not in files.read(plain).meta
    change = (files.read(projected).links - files.read(MILC).links).abs().max()
    assert 0 < change < 2e-7


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_many_files_by_pattern(stream, jobs):
    out = stream / "out"
    out.mkdir()
    arguments = [str(stream / "cfg_*.lime"), str(out / "t{trajectory:04d}.nersc"), "--jobs", jobs]
    assert main(["convert", *arguments]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        f"t{number:04d}.nersc" for number in range(8, 13)
    ]
    for number in range(8, 13):
        back = files.read(out / f"t{number:04d}.nersc")
        assert torch.equal(back.links, samples.random_links(number))
        assert back.meta["trajectory"] == number


def test_an_ensemble_into_one_file_and_back(stream, capsys):
    whole = stream / "all.h5"
    assert main(["convert", str(stream / "cfg_*.lime"), str(whole)]) == 0
    found = open_ensemble(whole)
    assert [one.meta["trajectory"] for one in found] == list(range(8, 13))
    assert [one.meta["lfn"] for one in found] == [f"lfn://x/cfg_{n}" for n in range(8, 13)]
    assert main(["convert", str(whole), str(stream / "back_{trajectory}.ildg")]) == 0
    for number in range(8, 13):
        one, two = (files.read(stream / f"{name}_{number}.{suffix}")
                    for name, suffix in (("cfg", "lime"), ("back", "ildg")))
        assert torch.equal(one.links, two.links)
        for key in ("beta", "trajectory", "lfn", "ensemble_id", "ensemble_label", "info"):
            assert one.meta[key] == two.meta[key]
    assert main(["convert", str(whole), str(stream / "one.ildg"), "--index", "2"]) == 0
    assert files.read(stream / "one.ildg").meta["trajectory"] == 10
    assert main(["convert", str(whole), str(stream / "two.ildg"), "--index", "5"]) == 1
    assert "--index: expected 0 to 4, found 5" in capsys.readouterr().err


def test_existing_files_are_kept(tmp_path, capsys):
    out = tmp_path / "a.nersc"
    out.write_bytes(b"precious")
    assert main(["convert", str(MILC), str(out)]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.startswith(f"l2hmc-bridge: {out}: ") and "--force" in told
    assert out.read_bytes() == b"precious"
    assert main(["convert", str(MILC), str(out), "--force"]) == 0
    assert files.read(out).meta["format"] == "nersc"


def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys):
    bad = tmp_path / "bad.ildg"
    raw = bytearray(MILC.read_bytes())
    raw[len(raw) // 2] ^= 1
    bad.write_bytes(raw)
    out = tmp_path / "out.nersc"
    assert main(["convert", str(bad), str(out)]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"{bad}: checksum: expected" in told
    assert not out.exists()


def test_wrong_targets(stream, capsys):
    pattern = str(stream / "cfg_*.lime")
    for out, status, told in (
        (stream / "one.nersc", 2, "configurations"),
        (stream / "x_{name}.nersc", 2, "braces"),
        (stream / "x_{stem.path}.nersc", 2, "braces"),
        (stream / "none" / "x_{index}.nersc", 1, "folder"),
        (stream / "a.unknown", 1, "suffix"),
    ):
        assert main(["convert", pattern, str(out)]) == status
        assert told in capsys.readouterr().err
    files.write(stream / "again_8.lime", files.read(stream / "cfg_8.lime"))
    two = [str(stream / "cfg_8.lime"), str(stream / "again_8.lime")]
    assert main(["convert", *two, str(stream / "y_{trajectory}.nersc")]) == 1
    assert "expected one configuration for each name" in capsys.readouterr().err
    assert not list(stream.glob("*.nersc"))


def test_unknown_option_of_a_format(tmp_path, capsys):
    assert main(["convert", str(MILC), str(tmp_path / "a.milc"), "--rows", "2"]) == 1
    assert "format milc: expected options of none, found rows" in capsys.readouterr().err


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from l2hmc_bridge.cli import main
import l2hmc_bridge.adapters.files
resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["ildg", "nersc", "milc", "openqcd", "npy", "h5"])
def test_a_write_that_the_system_refuses_leaves_the_old_file(tmp_path, suffix):
    out = tmp_path / f"a.{suffix}"
    out.write_bytes(b"precious")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "convert", str(MILC), str(out), "--force"],
        cwd=ROOT, text=True, capture_output=True,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and f"{out}: could not be written" in done.stderr
    assert out.read_bytes() == b"precious" and list(tmp_path.iterdir()) == [out]


def chains(folder, numbers=(4, 8)):
    """A stream of two chains."""
    for chain in range(2):
        (folder / f"chain_{chain}").mkdir(parents=True)
        for number in numbers:
            field = Configuration(samples.random_links(10 * chain + number),
                                  {"trajectory": number})
            files.write(folder / f"chain_{chain}" / f"cfg_{number}.ildg", field)
    return folder


def test_a_stream_with_chains_is_converted(tmp_path, capsys):
    folder = chains(tmp_path / "stream")
    pattern = tmp_path / "out" / "chain_{chain}" / "cfg_{trajectory:05}.nersc"
    (tmp_path / "out").mkdir()
    assert main(["convert", str(folder), str(pattern)]) == 0
    for chain in range(2):
        for number in (4, 8):
            made = files.read(tmp_path / "out" / f"chain_{chain}" / f"cfg_{number:05}.nersc")
            assert torch.equal(made.links, samples.random_links(10 * chain + number))
    assert main(["convert", str(folder), str(tmp_path / "all.h5")]) == 0
    whole = open_ensemble(tmp_path / "all.h5")
    assert [whole.header(n)["trajectory"] for n in range(4)] == [4, 8, 4, 8]
    assert [source.chain for source in whole.sources] == [0, 0, 1, 1]
    again = str(tmp_path / "out" / "again_{chain}_{trajectory}.nersc")
    assert main(["convert", str(tmp_path / "all.h5"), again]) == 0
    assert torch.equal(files.read(tmp_path / "out" / "again_1_8.nersc").links, made.links)
    with h5py.File(tmp_path / "all.h5", "a") as file:
        del file["chain"]  # as files were before
    assert [source.chain for source in open_ensemble(tmp_path / "all.h5").sources] == [0] * 4
    capsys.readouterr()
    assert main(["convert", str(folder), str(tmp_path / "x_{trajectory}.ildg")]) == 1
    assert "use {index}, or {chain}" in capsys.readouterr().err
    assert not list(tmp_path.glob("x_*"))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_no_input_of_the_same_call_is_overwritten(stream, capsys):
    """Files whose own numbers are one ahead of their names: each target is the next input."""
    for number in range(12, 7, -1):
        (stream / f"cfg_{number}.lime").rename(stream / f"cfg_{number + 1}.lime")
    before = contents(stream)
    pattern = str(stream / "cfg_{index}.lime").replace("{index}", "1{index}")
    for words in ([str(stream / "cfg_*.lime"), pattern],
                  [str(stream), str(stream / "cfg_9.lime")[:-5] + ".h5"]):
        status = main(["convert", *words, "--force"])
        assert status == (1 if words[1] == pattern else 0)
    assert "is no input of the same call" in capsys.readouterr().err
    assert {name: data for name, data in contents(stream).items() if name in before} == before


def test_one_configuration_may_replace_itself(stream, capsys):
    path = stream / "cfg_8.lime"
    before = files.read(path).links
    assert main(["convert", str(path), str(path), "--force"]) == 0
    assert torch.equal(files.read(path).links, before)
    assert main(["convert", str(stream / "cfg_*.lime"), str(stream / "{stem}.lime"),
                 "--force"]) == 0
    assert torch.equal(files.read(path).links, before)


def test_nothing_is_written_if_one_name_is_taken(stream, capsys):
    out = stream / "out"
    out.mkdir()
    (out / "cfg_12.nersc").write_text("mine")
    assert main(["convert", str(stream), str(out / "{stem}.nersc")]) == 1
    assert "cfg_12.nersc" in capsys.readouterr().err and len(list(out.iterdir())) == 1


@pytest.mark.parametrize("pattern", [
    "{stem.path}.nersc", "{index!r}.nersc", "{index:1000000000}.nersc", "{stem:>400}.nersc",
    "{trajectory.__class__}.nersc", "{0}.nersc", "{}.nersc", "{index.nersc", "{name}.nersc",
    "{index:_}.nersc", "{stem[0]}.nersc"])
def test_patterns_have_known_fields_alone(stream, pattern, capsys):
    assert main(["convert", str(stream), str(stream / pattern)]) == 2
    assert "OUT" in capsys.readouterr().err


def test_no_target_lies_outside_the_named_folder(stream, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (stream / "cfg_8.lime").rename(stream / "...lime")  # whose stem is ".."
    assert main(["convert", str(stream / "...lime"), str(out / "{stem}" / "a.nersc")]) == 1
    assert "expected part of a file's name" in capsys.readouterr().err
    (tmp_path / "elsewhere").mkdir()
    (out / "cfg_9").symlink_to(tmp_path / "elsewhere")
    words = ["convert", str(stream / "cfg_9.lime"), str(out / "{stem}" / "a.nersc"), "--force"]
    assert main(words) == 1
    assert "expected a file in" in capsys.readouterr().err
    assert not list((tmp_path / "elsewhere").iterdir())


def test_special_files_are_never_replaced(stream, capsys):
    import os

    os.mkfifo(stream / "pipe.nersc")
    (stream / "link.nersc").symlink_to(stream / "cfg_9.lime")
    before = contents(stream)
    for name in ("pipe.nersc", "link.nersc"):
        assert main(["convert", str(stream / "cfg_8.lime"), str(stream / name), "--force"]) == 1
        assert name in capsys.readouterr().err
    assert contents(stream) == before
