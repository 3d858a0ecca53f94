"""`measure`: records, files, streams; what cannot be read is named and the rest is measured."""

import csv
import io
import json

import h5py
import numpy as np
import pytest
import torch

from l2hmc_bridge.adapters.files import (
    measure_files as measuring,
    sources as configurations,
    table as files,
)
from l2hmc_bridge.adapters.records.history import read_history
from l2hmc_bridge.cli import main
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.observables import flow, standard as obs
from tests.conftest import reference_file
from tests.support.fields import rough_links

LATTICE = (2, 4, 6, 2)  # t, x, y, z


@pytest.fixture
def stream(tmp_path, generator):
    """Two chains of three configurations, trajectories 4, 8, 12."""
    fields = {}
    for chain in range(2):
        folder = tmp_path / "stream" / f"chain_{chain}"
        folder.mkdir(parents=True)
        for trajectory in (4, 8, 12):
            links = rough_links(generator, LATTICE)
            fields[chain, trajectory] = links
            files.write(folder / f"cfg_{trajectory}.ildg", Configuration(links, {}))
    return tmp_path / "stream", fields


def run(capsys, *arguments) -> tuple[int, str, str]:
    status = main(["measure", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_json_has_every_key_and_the_right_numbers(stream, capsys):
    folder, fields = stream
    status, out, _ = run(capsys, folder, "--json", "--flow-time", "0.3", "--flow-step", "0.05")
    records = json.loads(out)
    assert status == 0 and len(records) == 6
    assert [(r["chain"], r["trajectory"]) for r in records] == sorted(fields)
    for record in records:
        links = fields[record["chain"], record["trajectory"]]
        for name, value in obs.measure(links).items():
            if name in record:
                assert record[name] == pytest.approx(float(value), abs=1e-13), name
        assert {"plaquette", "plaquette_spatial", "plaquette_temporal", "link_trace",
                "topological_charge", "topological_charge_5li", "energy_density",
                "polyakov_loop", "flow", "path"} <= set(record)
        loop = complex(obs.polyakov_loop(links))
        assert record["polyakov_loop"] == pytest.approx([loop.real, loop.imag], abs=1e-14)
        assert [point["t"] for point in record["flow"]] == [0.0, 0.1, 0.2, 0.3]
        (_, flowed), = flow.integrate(links, [0.2], 0.05)
        point = record["flow"][2]
        assert point["energy_density"] == pytest.approx(float(obs.energy_density(flowed)))
        assert record["lattice"] == [4, 6, 2, 2]


@pytest.mark.slow
def test_jobs_and_batches_change_nothing(stream, capsys):
    folder, _ = stream
    _, alone, _ = run(capsys, folder / "chain_0" / "cfg_4.ildg", "--json")
    _, together, _ = run(capsys, folder, "--json")
    _, processes, _ = run(capsys, folder, "--json", "--jobs", "2")
    assert json.loads(together) == json.loads(processes)
    for name in ("plaquette", "topological_charge_5li", "energy_density"):
        assert json.loads(alone)[0][name] == pytest.approx(json.loads(together)[0][name], abs=1e-14)


def test_files_out(stream, tmp_path, capsys):
    folder, _ = stream
    arguments = [folder, "--flow-time", "0.1", "--json", tmp_path / "a.json", "--csv",
                 tmp_path / "a.csv", "--h5", tmp_path / "a.h5"]
    status, out, err = run(capsys, *arguments)
    assert status == 0 and out == ""  # files in place of the table
    assert [line for line in err.splitlines() if line.startswith("wrote ")] == [
        f"wrote {tmp_path / name}" for name in ("a.json", "a.csv", "a.h5")]
    records = json.loads((tmp_path / "a.json").read_text())
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert [float(row["plaquette"]) for row in rows] == [r["plaquette"] for r in records]
    assert float(rows[0]["flow_0.1_energy_density"]) == records[0]["flow"][1]["energy_density"]
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["plaquette"][()].tolist() == [r["plaquette"] for r in records]
        assert file["flow/energy_density"].shape == (6, 2)
    status, _, err = run(capsys, *arguments)
    assert status == 1 and "--force" in err
    assert run(capsys, *arguments, "--force")[0] == 0


def test_history_is_extended_in_place(stream, capsys):
    folder, fields = stream
    with h5py.File(folder / "history.h5", "w") as file:
        file["plaquette"] = np.zeros((2, 12))
        file.attrs["beta"] = 6.0
    for _ in range(2):  # a second time replaces the first
        assert run(capsys, folder, "--extend", "--flow-time", "0.1")[0] == 0
    with h5py.File(folder / "history.h5") as file:
        assert file["plaquette"].shape == (2, 12) and file.attrs["beta"] == 6.0
        group = file["measurements"]
        assert group["trajectory"][()].tolist() == [[4, 8, 12], [4, 8, 12]]
        expected = float(obs.energy_density(fields[1, 8]))
        assert group["energy_density"][1, 1] == pytest.approx(expected)
        assert group["flow/topological_charge"].shape == (2, 3, 2)
    assert sorted(path.name for path in folder.iterdir()) == ["chain_0", "chain_1", "history.h5"]


def test_conventions_smearing_and_wilson_loops(stream, capsys):
    folder, fields = stream
    path = folder / "chain_0" / "cfg_4.ildg"
    links = fields[0, 4]
    _, out, _ = run(capsys, path, "--json", "--convention", "gpt", "--wilson-loops", "2",
                    "--smear", "stout", "--smear-steps", "2")
    (record,) = json.loads(out)
    assert record["energy_density"] == pytest.approx(float(obs.energy_density(links, False)))
    assert record["wilson_loops"][1][0] == pytest.approx(float(obs.wilson_loop(links, 2, 1)))
    smeared = flow.stout(links, 0.1, 2)
    assert record["smeared"]["plaquette"] == pytest.approx(float(obs.plaquette(smeared)))


def test_loops_longer_than_the_lattice_are_said(stream, capsys):
    path = stream[0] / "chain_0" / "cfg_4.ildg"
    least = min(json.loads(run(capsys, path, "--json")[1])[0]["lattice"])
    for longest in (least - 1, least):
        status, _, err = run(capsys, path, "--json", "--wilson-loops", str(longest))
        assert status == 0 and ("longer wind around the lattice" in err) == (longest >= least)


def test_json_before_the_file_means_standard_output(stream, capsys):
    folder, _ = stream
    status, out, _ = run(capsys, "--json", folder / "chain_0" / "cfg_4.ildg")
    assert status == 0 and len(json.loads(out)) == 1


def test_a_bad_file_is_named_and_the_others_are_measured(stream, capsys):
    folder, _ = stream
    broken = folder / "chain_0" / "cfg_8.ildg"
    content = bytearray(broken.read_bytes())
    content[len(content) // 2] ^= 1
    broken.write_bytes(content)
    status, out, err = run(capsys, folder, "--json")
    assert status == 1 and len(json.loads(out)) == 5
    assert "cfg_8.ildg" in err and "checksum" in err and len(err.strip().splitlines()) == 1
    assert len(json.loads(run(capsys, folder, "--json", "--no-verify")[1])) == 6


@pytest.mark.parametrize(
    "arguments, status, word",
    [
        (["absent.ildg"], 1, "found none"),
        (["."], 1, "found none"),
        ([], 2, "FILE"),
        (["FILE", "--flow-time", "-1"], 1, "flow time"),
        (["FILE", "--flow-time", "1", "--flow-step", "0.5"], 1, "flow step"),
        (["FILE", "--flow-time", "1", "--flow-step", "-1"], 1, "flow step"),
        (["FILE", "--flow-time", "inf"], 1, "flow time"),
        (["FILE", "--flow-time", "1", "--flow-every", "inf"], 2, "--flow-every"),
        (["FILE", "--flow-time", "1", "--flow-tolerance", "nan"], 2, "--flow-tolerance"),
        (["FILE", "--smear", "stout", "--smear-parameter", "nan"], 1, "smearing"),
        (["FILE", "--smear", "ape", "--smear-parameter", "50"], 1, "0 <= alpha <= 1 of APE"),
        (["FILE", "--flow-every", "0.1"], 2, "--flow-every: expected --flow-time with it"),
        (["FILE", "--extend"], 2, "STREAM"),
    ],
)
def test_bad_input(stream, tmp_path, monkeypatch, capsys, arguments, status, word):
    folder, _ = stream
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    path = str(folder / "chain_0" / "cfg_4.ildg")
    found, _, err = run(capsys, *[path if a == "FILE" else a for a in arguments])
    assert found == status and word in err and "Traceback" not in err


def test_real_files_of_one_configuration_agree(capsys):
    names = ["milc_l4x6x8x10_b6.0.ildg", "grid_l4x6x8x10.ildg", "pyquda_l4x6x8x10.openqcd"]
    _, out, _ = run(capsys, *map(reference_file, names), "--json")
    records = json.loads(out)
    for record in records[1:]:
        assert record["topological_charge"] == pytest.approx(
            records[0]["topological_charge"], abs=1e-14
        )
    assert torch.tensor([r["lattice"] for r in records]).unique(dim=0).tolist() == [[4, 6, 8, 10]]


def test_screen_shows_everything_that_was_measured(stream, capsys):
    folder, fields = stream
    status, out, _ = run(capsys, folder, "--flow-time", "0.3", "--smear", "stout",
                         "--wilson-loops", "2")
    assert status == 0
    for word in ("chain_1/cfg_8.ildg", "t0 / a^2", "smeared", "W(R,T)", "T = 2"):
        assert word in out, word
    links = fields[1, 8]
    assert f"{float(obs.wilson_loop(links, 2, 1)):.8f}" in out
    smeared = obs.measure_flowed(flow.stout(links, 0.1, 10))
    assert f"{float(smeared['energy_density']):.8f}" in out


def test_records_say_how_they_were_measured(stream, tmp_path, capsys):
    folder, _ = stream
    arguments = ["--convention", "gpt", "--flow-time", "0.1", "--flow-kernel", "zeuthen"]
    _, out, _ = run(capsys, folder, *arguments, "--json", "--h5", tmp_path / "o.h5")
    for record in json.loads(out):
        assert (record["convention"], record["flow_kernel"], record["flow_step"]) == (
            "gpt", "zeuthen", 0.02)
    with h5py.File(tmp_path / "o.h5") as file:
        assert file.attrs["convention"] == "gpt" and file.attrs["flow_kernel"] == "zeuthen"
    assert json.loads(run(capsys, folder, "--json")[1])[0]["convention"] == "traceless"
    (tmp_path / "o.json").write_text(out)
    for name in ("o.h5", "o.json"):
        series = read_history(tmp_path / name).series
        assert series["topological_charge"].convention == "convention gpt"
        assert series["topological_charge_flowed"].convention == (
            "convention gpt, flow kernel zeuthen")
        assert series["plaquette"].convention == ""


def test_what_is_not_finite_is_null_in_json(stream, capsys):
    folder, _ = stream
    status, out, _ = run(capsys, folder, "--smear", "stout", "--smear-parameter", "1e200", "--json")
    values = [value for record in json.loads(out) for value in record["smeared"].values()]
    assert status == 0 and None in values and "NaN" not in out


def test_large_files_are_read_one_at_a_time(stream, monkeypatch):
    folder, _ = stream
    sources = configurations.find([folder])
    assert [len(group) for group in measuring._groups(sources, 1)] == [6]
    monkeypatch.setattr(measuring, "BYTES_PER_GROUP", 2 * sources[0].path.stat().st_size)
    assert [len(group) for group in measuring._groups(sources, 1)] == [2, 2, 2]
    monkeypatch.setattr(measuring, "BYTES_PER_GROUP", 1)
    assert [len(group) for group in measuring._groups(sources, 1)] == [1] * 6
