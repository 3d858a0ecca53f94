"""Trajectory numbers from files to tables and back: analyze, measure and validate keep them."""

import json

import h5py
import numpy as np
import pytest

from l2hmc_bridge.adapters.records.history import read_history
from l2hmc_bridge.cli import main
from tests.analysis.test_statistics import ar1
from tests.conftest import REFERENCE
from tests.support import samples

LENGTH = 6000
TAU = 4.5


def table(path, numbers, chain=0, seed=3):
    """A CSV of an AR(1) series with tau_int 4.5, at these trajectories alone."""
    values = 0.6 + 0.001 * ar1(seed, LENGTH, TAU)[0]
    lines = [f"{chain},{number},{values[number - 1]:.15f}" for number in numbers]
    path.write_text("\n".join(["chain,trajectory,plaquette", *lines]) + "\n")
    return path


def with_holes(seed=1):
    return (1 + np.flatnonzero(np.random.default_rng(seed).random(LENGTH) > 0.25)).tolist()


def analysed(capsys, *words) -> dict:
    capsys.readouterr()
    assert main(["analyze", *map(str, words), "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)[0]


def test_analyze_says_gaps_and_tau_is_that_of_the_whole(tmp_path, capsys):
    path = table(tmp_path / "holes.csv", with_holes())
    found = analysed(capsys, path, "--cut", 0)
    entry = found["observables"]["plaquette"]
    assert abs(entry["tau_int"] - TAU) < 3 * entry["tau_int_error"] < 3
    assert found["trajectories"] == LENGTH and entry["samples"] < 0.8 * LENGTH
    assert f"of {LENGTH} trajectory numbers from 1 to {LENGTH} are missing" in found["gaps"]
    assert main(["analyze", str(path)]) == 0
    assert "trajectory numbers from 1 to" in capsys.readouterr().out
    assert analysed(capsys, table(tmp_path / "full.csv", range(1, LENGTH + 1)))["gaps"] is None


def test_cut_counts_numbers(tmp_path, capsys):
    numbers = [*range(1, 101), *range(1001, LENGTH + 1)]
    found = analysed(capsys, table(tmp_path / "a.csv", numbers), "--cut", 1500)
    assert found["observables"]["plaquette"]["samples"] == LENGTH - 1500


def test_json_and_hdf5_keep_them_too(tmp_path, capsys):
    numbers = with_holes()
    path = table(tmp_path / "a.csv", numbers)
    rows = [dict(zip(("chain", "trajectory", "plaquette"), line.split(","), strict=True))
            for line in path.read_text().splitlines()[1:]]
    rows = [{**row, "chain": 0, "trajectory": int(row["trajectory"]),
             "plaquette": float(row["plaquette"])} for row in rows]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["trajectory"] = [numbers]
        file["plaquette"] = [[row["plaquette"] for row in rows]]
    found = [analysed(capsys, tmp_path / f"a.{kind}") for kind in ("csv", "json", "h5")]
    for one in found:
        one.pop("path")
    assert found[0] == found[1] == found[2]


def test_chains_keep_their_own_numbers(tmp_path, capsys):
    one, other = (table(tmp_path / name, with_holes(seed), chain, seed)
                  for name, seed, chain in (("a", 1, 0), ("b", 2, 1)))
    both = tmp_path / "both.csv"
    both.write_text(one.read_text() + "\n".join(other.read_text().splitlines()[1:]) + "\n")
    history = read_history(both)
    assert [one.tolist() for one in history.series["plaquette"].numbered()] == [
        with_holes(1), with_holes(2)]
    entry = analysed(capsys, both)["observables"]["plaquette"]
    assert abs(entry["tau_int"] - TAU) < 3 * entry["tau_int_error"]


def stream(folder, numbers):
    folder.mkdir()
    for number in numbers:
        samples.written(samples.CASES["nersc"], folder,
                        samples.configuration(number, (2, 2, 2, 2))).rename(
            folder / f"cfg_{number}.nersc")
    return folder


@pytest.mark.parametrize("kind", ["csv", "json", "h5"])
def test_measure_keeps_numbers_and_says_gaps(kind, tmp_path, capsys):
    folder = stream(tmp_path / "s", (10, 20, 40, 50, 90))
    out = tmp_path / f"m.{kind}"
    assert main(["measure", str(folder), f"--{kind}", str(out)]) == 0
    assert ("s: 4 of 9 trajectory numbers from 10 to 90 (every 10th) are missing: 30, 60 to 80"
            in capsys.readouterr().err)
    series = read_history(out).series["plaquette"]
    assert series.numbered()[0].tolist() == [10, 20, 40, 50, 90] and series.trajectories == 90
    assert main(["measure", str(folder), "--extend"]) == 0
    assert read_history(folder).series["plaquette"].numbered()[0].tolist() == [10, 20, 40, 50, 90]


def test_validate_says_gaps_of_both_streams(tmp_path, capsys):
    one = table(tmp_path / "one.csv", with_holes(), seed=3)
    other = table(tmp_path / "other.csv", range(1, LENGTH + 1), seed=4)
    assert main(["validate", str(one), "--against", str(other), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert any(note.startswith(f"{one}: ") and "are missing" in note for note in found["notes"])
    assert not any(note.startswith(f"{other}: ") and "missing" in note for note in found["notes"])
    # The same without numbers is another tau_int, as a negative control.
    tau = [stream["observables"]["plaquette"]["tau_int"] for stream in found["streams"]]
    assert abs(tau[0] - tau[1]) < 1.5


def test_the_cases_of_public_reports(capsys):
    for name in ("full.csv", "holes.csv"):
        path = REFERENCE.parent / "cases" / name
        if not path.exists():
            pytest.skip(f"{name} not found")
        found = analysed(capsys, path)
        entry = found["observables"]["plaquette"]
        assert abs(entry["tau_int"] - 4.5) < 2 * entry["tau_int_error"]
        assert found["trajectories"] == 8000


def test_extents_in_names_are_none(tmp_path, capsys):
    """A field on 2,2,2,4 that is called after its lattice has no number, in no verb."""
    path = samples.written(samples.CASES["milc"], tmp_path,
                           samples.configuration(1, (4, 2, 2, 2))).rename(tmp_path / "lat.2224")
    assert main(["info", "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["metadata"]["trajectory"] is None
    assert main(["measure", str(path), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["trajectory"] is None
    hmc = ["--kernel", "hmc", "--beta", "6", "--tune", "0", "--steps", "1"]
    assert main(["sample", "--in", str(path), "--out", str(tmp_path / "s"), "-n", "1", *hmc]) == 0
    assert (tmp_path / "s" / "cfg_1.milc").exists()
    assert main(["sample", "--continue", str(path), *hmc]) == 1
    assert "found the extents 2224 of its lattice" in capsys.readouterr().err
