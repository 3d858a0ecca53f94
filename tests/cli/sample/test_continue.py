"""`sample --continue`: the host's next configuration, named, written and accompanied as its own."""

import json
import re
import struct

import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.format.checks import status_of
from l2hmc_bridge.adapters.records import host_log
from l2hmc_bridge.adapters.records.history import read_history
from l2hmc_bridge.cli import main
from tests.cli.sample.test_sample import make_bundle, sample
from tests.conftest import reference_file
from tests.support.hosts import HOSTS, RESTART, leave


def go_on(path, *words) -> int:
    return sample("--continue", path, "--kernel", "hmc", "--beta", 5.7, "--steps", 2, "--tune", 2,
                  *words)


def entries(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / host_log.NAME).read_text().splitlines()]


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def untouched(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", HOSTS)
def test_two_updates_of_every_host(kind, tmp_path, capsys):
    """Numbers, names, format, precision and rows go on; the record has both; the links move."""
    host, path = HOSTS[kind], leave(tmp_path, kind)
    before = names(tmp_path)
    assert go_on(path, "--seed", 5) == 0
    second = tmp_path / host.name.format(host.first + 1)
    assert sample("--continue", second, "-n", 2) == 0
    last = tmp_path / host.name.format(host.first + 3)
    fresh = {one.format(host.first + step) for one in (host.name, *host.sides) for step in (1, 3)}
    assert names(tmp_path) == before | fresh | {host_log.NAME}
    metas = [files.header(one) for one in (path, second, last)]
    for key in ("format", "precision", "lattice", "rows", "dialect"):
        told = {str(meta.get(key)) for meta in metas}
        assert len(told) == 1, (key, told)
    found = [files.read(one) for one in (path, second, last)]
    assert all(status_of(one.meta) in ("pass", "warn") for one in found)
    assert (found[1].links - found[2].links).abs().max() > 1e-3
    first, then = entries(tmp_path)
    assert (first["from"], first["to"], then["to"]) == (path.name, second.name, last.name)
    assert [row["trajectory"] for row in then["rows"]] == [[host.first + 2], [host.first + 3]]
    assert then["seed"] == 5 and then["factor"] == first["factor"]
    assert len({row["delta_h"][0] for row in (*first["rows"], *then["rows"])}) == 3
    tolerance = 1e-6 if host.options.get("precision") == 32 or host.format == "milc" else 1e-12
    assert then["rows"][-1]["plaquette"][0] == pytest.approx(found[2].meta["plaquette"],
                                                             abs=tolerance)
    out, err = capsys.readouterr()
    assert f"{last}: written" in out and "as before on this stream" in err
    assert err.count("sampled with the wilson action at beta 5.7, no quarks: right only if") == 2


def test_the_same_seed_repeats_an_update_and_another_does_not(tmp_path):
    path = leave(tmp_path, "gpt")
    target = tmp_path / "ckpoint_lat.101"
    found = []
    for words in (("--seed", 3), (), ("--seed", 4)):
        assert go_on(path, "-n", 2, *words) == 0
        found.append(files.read(target).links)
        target.unlink()
    energies = [[row["delta_h"] for row in entry["rows"]] for entry in entries(tmp_path)]
    assert torch.equal(found[0], found[1]) and energies[0] == energies[1] != energies[2]


def test_three_calls_are_one_of_three_trajectories(tmp_path):
    """Bit for bit: nothing depends on where the calls were cut."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, parts = leave(tmp_path / "a", "gpt"), leave(tmp_path / "b", "gpt")
    assert go_on(whole, "-n", 3, "--seed", 7) == 0
    assert go_on(parts, "--seed", 7) == 0
    for number in (100, 101):
        assert sample("--continue", tmp_path / "b" / f"ckpoint_lat.{number}") == 0
    one, other = (files.read(tmp_path / name / "ckpoint_lat.102").links for name in "ab")
    assert torch.equal(one, other)
    energies = [row["delta_h"] for entry in entries(tmp_path / "b") for row in entry["rows"]]
    assert energies == [row["delta_h"] for row in entries(tmp_path / "a")[0]["rows"]]


REAL = {
    "gpt_l4x6x8x10.nersc": "ckpoint_lat.7", "grid_l4x6x8x10.ildg": "ckpoint_lat.7",
    "grid_l4x6x8x10.2row.nersc": "ckpoint_lat.7", "pyquda_l4x6x8x10.npy": "cfg_7.npy",
    "milc_l4x6x8x10_b6.0.milc": "l46810.7", "milc_l4x6x8x10_b6.0.scidac": "l46810.7",
    "weak_field.lime": "weak.00007.lime",
}


@pytest.mark.parametrize("name", REAL)
def test_files_that_the_codes_wrote(name, tmp_path):
    """One trained update of the bundle that ships; precision, rows and lattice are the host's."""
    path = tmp_path / REAL[name]
    path.write_bytes(reference_file(name).read_bytes())
    words = ["--without-rng"] if name.startswith("grid") else []
    assert sample("--continue", path, "--beta", 6.0, "--tune", 0, "--seed", 1, *words) == 0
    target = tmp_path / REAL[name].replace("7", "8")
    old, new = files.read(path).meta, files.read(target).meta
    for key in ("format", "precision", "rows", "lattice"):
        assert old.get(key) == new.get(key)
    assert abs(old["plaquette"] - new["plaquette"]) < 0.2  # weak fields heat up at once
    assert entries(tmp_path)[0]["kernel"]["kind"] == "l2hmc"


def test_the_trained_update_is_the_default_and_its_tuning_is_kept(tmp_path, capsys):
    path = leave(tmp_path, "gpt")
    bundle = make_bundle(tmp_path / "b.safetensors")
    words = ("--bundle", bundle, "--beta", 5.7, "--tune", 2)
    assert sample("--continue", path, *words) == 0
    assert "tuned on a copy" in capsys.readouterr().err
    assert sample("--continue", tmp_path / "ckpoint_lat.100") == 0
    assert "tuned" not in capsys.readouterr().err.replace("--tune tunes", "")
    assert sample("--continue", tmp_path / "ckpoint_lat.101", "--beta", 5.8, "--tune", 2) == 0
    assert "tuned on a copy" in capsys.readouterr().err
    one, two, three = entries(tmp_path)
    assert one["kernel"] == two["kernel"] == three["kernel"] and one["kernel"]["kind"] == "l2hmc"
    assert one["factor"] == two["factor"] and three["action"]["beta"] == 5.8


def test_grid_gets_a_copy_of_its_generators(tmp_path, capsys):
    path = leave(tmp_path, "grid")
    assert go_on(path) == 0
    state = tmp_path / "ckpoint_rng.120"
    assert (tmp_path / "ckpoint_rng.121").read_bytes() == state.read_bytes()
    assert "right only if the host has not drawn from it since 120" in capsys.readouterr().err


def test_gpt_needs_none_and_that_is_said(tmp_path, capsys):
    assert go_on(leave(tmp_path, "gpt")) == 0
    assert "GPT saves none; Grid does not start without" in capsys.readouterr().err


def test_chroma_gets_its_restart_file_in_step(tmp_path):
    path = leave(tmp_path, "chroma")
    assert go_on(path, "-n", 2) == 0
    found = (tmp_path / "run_restart_122.xml").read_text()
    assert found == RESTART.format(number=122, production=1000)
    assert files.header(tmp_path / "run_cfg_122.lime")["lfn"] == "lfn://test/run_cfg_122.lime"


def test_chroma_is_told_how_many_updates_are_left(tmp_path, capsys):
    """As saveState: NUpdatesThisRun shrinks to what warm-up and production leave."""
    path = leave(tmp_path, "chroma")
    restart = tmp_path / "run_restart_120.xml"
    restart.write_text(RESTART.format(number=120, production=25))
    assert go_on(path) == 0
    assert "<NUpdatesThisRun>4</" in (tmp_path / "run_restart_121.xml").read_text()
    assert go_on(tmp_path / "run_cfg_121.lime", "-n", 4) == 0
    assert "<NUpdatesThisRun>0</" in (tmp_path / "run_restart_125.xml").read_text()
    assert "Chroma will have nothing left to do" in capsys.readouterr().err


def test_openqcd_is_told_in_log_and_rng(tmp_path):
    """What check_old_log and import_ranlux of a -a run look at."""
    path = leave(tmp_path, "openqcd")
    state = (tmp_path / "Snoopy137.rng").read_bytes()
    assert go_on(path) == 0
    assert (tmp_path / "Snoopy137.rng").read_bytes() == struct.pack("<i", 9) + state[4:]
    found = re.findall(r"(\w+) no (\d+)", (tmp_path / "Snoopy137.log").read_text())
    assert found == [("Trajectory", "32"), ("Configuration", "8"), ("Configuration", "9")]


def test_side_files_elsewhere(tmp_path, capsys):
    path, elsewhere = leave(tmp_path, "openqcd"), tmp_path / "dat"
    elsewhere.mkdir()
    for kind in ("log", "rng"):
        (tmp_path / f"Snoopy137.{kind}").rename(elsewhere / f"Snoopy137.{kind}")
    assert go_on(path, "--side-files", elsewhere) == 0
    assert "Configuration no 9" in (elsewhere / "Snoopy137.log").read_text()
    assert go_on(tmp_path / "Snoopy137n9") == 0
    assert "openQCD takes Snoopy137n10 with -c, without -a" in capsys.readouterr().err


def test_leading_zeros_are_kept(tmp_path):
    path = leave(tmp_path, "gpt")
    padded = path.rename(tmp_path / "ckpoint_lat.0099")
    assert go_on(padded) == 0
    assert (tmp_path / "ckpoint_lat.0100").is_file()


def test_the_record_is_a_history(tmp_path, capsys):
    """Every trajectory once, repeated ones too, for `analyze` and whoever reads histories."""
    path = leave(tmp_path, "gpt")
    for _ in range(2):
        (tmp_path / "ckpoint_lat.102").unlink(missing_ok=True)
        assert go_on(path, "-n", 3, "--seed", 2) == 0
    assert sample("--continue", tmp_path / "ckpoint_lat.102", "-n", 9) == 0
    history = read_history(tmp_path / host_log.NAME)
    found = history.series["delta_h"].chains[0].tolist()
    told = [row["delta_h"][0] for entry in entries(tmp_path)[1:] for row in entry["rows"]]
    assert len(found) == 12 and found == told
    assert main(["analyze", str(tmp_path / host_log.NAME)]) == 0
    assert "1 chain(s) of 12 trajectories" in capsys.readouterr().out


def test_an_unfinished_line_of_the_record_is_cut_off(tmp_path):
    path = leave(tmp_path, "gpt")
    assert go_on(path) == 0
    with open(tmp_path / host_log.NAME, "ab") as file:
        file.write(b'{"stream":"ckp')
    assert go_on(tmp_path / "ckpoint_lat.100") == 0
    assert len(entries(tmp_path)) == 2
