"""`sample` from the command line: what it writes, how it goes on, what it refuses."""

import json
import math

import h5py
import numpy as np
import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.cli import main
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.recorded import state as checkpoint
from l2hmc_bridge.systems.actions import gauge_action
from tests.conftest import reference_file
from tests.l2hmc.test_kernel import make_kernel
from tests.support import gates, independent
from tests.support.fields import rough_links
from tests.support.streams import contents, differences

LATTICE = (4, 2, 6, 2)  # t, x, y, z


def write_start(path, trajectory=12, beta=5.7, lattice=LATTICE, seed=1, **options):
    """A thermalised-enough field in a file; its format is what the suffix says."""
    links = rough_links(torch.Generator().manual_seed(seed), lattice, width=0.45)
    meta = {"beta": beta, "trajectory": trajectory, "lfn": "lfn://test/run/start"}
    files.write(path, Configuration(links, meta), **options)
    return path


@pytest.fixture
def start(tmp_path):
    return write_start(tmp_path / "start.ildg")


def make_bundle(path, kind="all", action=None, gated=True, seed=1):
    """A bundle with random networks and a gate report that says it passed."""
    generator = torch.Generator().manual_seed(seed)
    kernel = make_kernel(kind, generator, "omf2", steps=1, step=0.15,
                         action=action or gauge_action("wilson", 5.7))
    bundle.save(path, kernel, {"purpose": "test"}, (5.6, 6.2))
    if gated:
        gates.write(path)
    return path


def sample(*words) -> int:
    return main(["sample", *map(str, words)])


def hmc(start, out, *words) -> int:
    return sample("--in", start, "--out", out, "--kernel", "hmc", "--seed", 1, "--tune", 5,
                  *words)


def summary_of(folder) -> dict:
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize("name, reader", [("ildg", independent.read_ildg),
                                          ("nersc", independent.read_nersc)])
def test_configurations_pass_an_independent_reader(name, reader, tmp_path, capsys):
    """Names continue the input's number; metadata is carried; the last is the saved state."""
    start = write_start(tmp_path / f"start.{name}")
    assert hmc(start, tmp_path / "s", "-n", 3) == 0
    written = sorted((tmp_path / "s").glob("cfg_*"))
    assert [path.name for path in written] == [f"cfg_{n}.{name}" for n in (13, 14, 15)]
    state = checkpoint.load(tmp_path / "s").state
    last = reader(written[-1])
    assert np.array_equal(last["links"], state.links[0].numpy())
    with h5py.File(tmp_path / "s" / "history.h5") as file:
        for path, plaquette in zip(written, file["plaquette"][0], strict=True):
            assert independent.plaquette(reader(path)["links"]) == pytest.approx(plaquette)
            meta = files.read(path).meta
            assert meta["beta"] == 5.7 and meta["trajectory"] == int(path.stem[4:])
            assert meta["lfn"] == f"lfn://test/run/{path.name}"
    assert "3 of 3" in capsys.readouterr().out


def test_lyncs_reads_what_was_written(start, tmp_path):
    lyncs_io = pytest.importorskip("lyncs_io", reason="the extra lyncs is not installed")
    assert hmc(start, tmp_path / "s", "-n", 1) == 0
    path = tmp_path / "s" / "cfg_13.ildg"
    loaded = np.asarray(lyncs_io.load(str(path), format="lime"))
    links = files.read(path).links[0].numpy()  # [mu,t,x,y,z], mu = t,x,y,z
    ordered = links[[1, 2, 3, 0]].transpose(1, 4, 3, 2, 0, 5, 6)
    assert np.array_equal(loaded.reshape(ordered.shape), ordered)


@pytest.mark.parametrize("kind", ["hmc", "l2hmc"])
def test_resumed_equals_uninterrupted(kind, start, tmp_path):
    words = ["--in", start, "--seed", 4, "--tune", 4, "--kernel", kind, "--save-every", 2,
             "--check-reversibility", 3]
    if kind == "l2hmc":
        words += ["--bundle", make_bundle(tmp_path / "b.safetensors")]
    assert sample(*words, "--out", tmp_path / "whole", "-n", 8) == 0
    assert sample(*words, "--out", tmp_path / "parts", "-n", 4) == 0
    if kind == "l2hmc":
        (tmp_path / "b.safetensors").unlink()  # the stream keeps its own copy
    assert sample("--in", tmp_path / "parts", "--resume", "-n", 4) == 0
    assert differences(contents(tmp_path / "whole"), contents(tmp_path / "parts")) == []


def test_tuning_is_on_a_copy_and_recorded(start, tmp_path):
    """The factor is kept on resume, and it alone tells streams of different tuning apart."""
    for tune in (0, 7):
        assert sample("--in", start, "--out", tmp_path / f"t{tune}", "--kernel", "hmc", "-n", 2,
                      "--seed", 1, "--tune", tune) == 0
    assert summary_of(tmp_path / "t0")["tuning_factor"] == 1
    definition = checkpoint.load(tmp_path / "t7").definition
    assert definition.factor != 1
    step = definition.kernel.step_size * definition.factor
    assert sample("--in", start, "--out", tmp_path / "same", "--kernel", "hmc", "-n", 2,
                  "--seed", 1, "--tune", 0, "--step-size", repr(step)) == 0
    with h5py.File(tmp_path / "t7" / "history.h5") as one, h5py.File(
            tmp_path / "same" / "history.h5") as other:
        assert one["delta_h"][()] == pytest.approx(other["delta_h"][()], abs=1e-9)
        assert one["plaquette"][()] == pytest.approx(other["plaquette"][()], abs=1e-12)
    assert sample("--in", tmp_path / "t7", "--resume", "-n", 1) == 0
    assert checkpoint.load(tmp_path / "t7").definition == definition


def test_chains_from_one_file_and_from_several(tmp_path, capsys):
    one = write_start(tmp_path / "one.ildg", trajectory=5, seed=1)
    two = write_start(tmp_path / "two.ildg", trajectory=70, seed=2)
    assert sample("--in", one, "--in", two, "--out", tmp_path / "several", "--kernel", "hmc",
                  "-n", 2, "--seed", 1) == 0
    assert {str(path.relative_to(tmp_path / "several"))
            for path in (tmp_path / "several").rglob("cfg_*")} == {
        "chain_0/cfg_6.ildg", "chain_0/cfg_7.ildg", "chain_1/cfg_71.ildg", "chain_1/cfg_72.ildg"}
    assert files.read(tmp_path / "several" / "chain_1" / "cfg_72.ildg").meta["lfn"].endswith(
        "/chain_1/cfg_72.ildg")
    assert len(summary_of(tmp_path / "several")["chains"]) == 2
    assert "chain 1" in capsys.readouterr().out
    assert hmc(one, tmp_path / "copies", "-n", 2, "--chains", 3) == 0
    with h5py.File(tmp_path / "copies" / "history.h5") as file:
        assert file["trajectory"][()].tolist() == [[6, 7]] * 3
        assert len(set(file["delta_h"][:, 0])) == 3  # each with its own momenta


def test_one_of_several_chains_is_the_chain_alone(start, tmp_path):
    """Chain 0 of three makes the trajectories that it makes alone."""
    for chains in (1, 3):
        assert sample("--in", start, "--out", tmp_path / str(chains), "--kernel", "hmc", "-n", 3,
                      "--seed", 1, "--tune", 0, "--chains", chains) == 0
    with h5py.File(tmp_path / "1" / "history.h5") as one, h5py.File(
            tmp_path / "3" / "history.h5") as other:
        assert one["delta_h"][0] == pytest.approx(other["delta_h"][0], abs=1e-9)


def test_a_single_precision_start_is_projected_once(tmp_path, capsys):
    start = write_start(tmp_path / "start.ildg", precision=32)
    assert hmc(start, tmp_path / "s", "-n", 2, "--check-reversibility", 1) == 0
    assert "projected to SU(3) once" in capsys.readouterr().err
    found = summary_of(tmp_path / "s")
    assert found["start_projected"] and 1e-9 < found["start_unitarity_defect"][0] < 1e-5
    assert found["reversibility_defect"] < 1e-11
    last = files.read(tmp_path / "s" / "cfg_14.ildg")
    assert last.meta["precision"] == 64 and "projected" in last.meta["reunitarized"]
    assert float(su3.unitarity_defect(last.links)) < 1e-12


def test_a_double_precision_start_is_not_touched(start, tmp_path, capsys):
    assert hmc(start, tmp_path / "s", "-n", 1) == 0
    assert "projected" not in capsys.readouterr().err
    assert not summary_of(tmp_path / "s")["start_projected"]


def test_unitarity_holds_over_a_hundred_trajectories(start, tmp_path):
    assert hmc(start, tmp_path / "s", "-n", 100, "--save-every", 1000) == 0
    assert summary_of(tmp_path / "s")["reunitarised"] == 0
    links = files.read(tmp_path / "s" / "cfg_112.ildg").links
    assert float(su3.unitarity_defect(links)) < 1e-12
    assert float(su3.determinant_defect(links)) < 1e-12


@pytest.mark.parametrize("kind", ["cold", "hot"])
def test_start_without_a_file(kind, tmp_path):
    assert sample("--start", kind, "--lattice", "2,4,2,4", "--beta", 6, "--out", tmp_path / "s",
                  "-n", 12, "--kernel", "hmc", "--seed", 3) == 0
    found = summary_of(tmp_path / "s")
    assert found["lattice"] == [2, 4, 2, 4] and found["thermalised"] == 50
    assert found["thermalised_by"] == "heatbath"
    assert found["acceptance"] > 0.5 and 0.5 < found["plaquette"]["value"] < 0.75
    assert (tmp_path / "s" / "cfg_12.ildg").is_file()


def test_beta_and_format_of_the_command_line_win(start, tmp_path, capsys):
    assert hmc(start, tmp_path / "s", "-n", 1, "--beta", 5.9, "--format", "nersc") == 0
    assert "says beta 5.7; --beta 5.9 is used" in capsys.readouterr().err
    assert summary_of(tmp_path / "s")["beta"] == 5.9
    written = tmp_path / "s" / "cfg_13.nersc"
    assert files.detect(written).name == "nersc" and files.read(written).meta["beta"] == 5.9


def test_seed_is_drawn_and_recorded(start, tmp_path):
    seeds = set()
    for name in "ab":
        assert sample("--in", start, "--out", tmp_path / name, "--kernel", "hmc", "-n", 1,
                      "--tune", 0) == 0
        seeds.add(summary_of(tmp_path / name)["seed"])
    assert len(seeds) == 2
    assert sample("--in", start, "--out", tmp_path / "again", "--kernel", "hmc", "-n", 1,
                  "--tune", 0, "--seed", summary_of(tmp_path / "b")["seed"]) == 0
    assert differences(contents(tmp_path / "b"), contents(tmp_path / "again")) == []


def test_max_seconds_stops_and_resume_finishes(start, tmp_path, capsys):
    assert hmc(start, tmp_path / "s", "-n", 30, "--max-seconds", 1e-3, "--tune", 0) == 0
    assert "stopped by --max-seconds 0.001 after 1 of 30" in capsys.readouterr().err
    found = summary_of(tmp_path / "s")
    assert (found["trajectories"], found["target"], found["complete"]) == (1, 30, False)
    assert sample("--in", tmp_path / "s", "--resume") == 0
    assert summary_of(tmp_path / "s")["complete"]
    assert sample("--in", tmp_path / "s", "--resume") == 0
    assert "all of 30 trajectories are there already" in capsys.readouterr().err


def test_history_names_its_circumstances(start, tmp_path):
    path = make_bundle(tmp_path / "b.safetensors")
    assert sample("--in", start, "--out", tmp_path / "s", "-n", 1, "--bundle", path, "--seed", 9,
                  "--tune", 0) == 0
    with h5py.File(tmp_path / "s" / "history.h5") as file:
        said = dict(file.attrs)
    assert said["seed"] == 9 and said["beta"] == 5.7 and said["threads"] >= 1
    assert said["bundle_hash"] == bundle.load(path).hash == summary_of(tmp_path / "s")[
        "bundle_hash"]
    assert said["command"].startswith("l2hmc-bridge sample --in ") and "--seed 9" in said["command"]
    assert {"version", "git_revision", "torch", "python"} <= said.keys()


def test_reference_file_with_hmc(tmp_path):
    """A file that MILC wrote: 32 bits, beta in its own spelling, four different extents."""
    path = reference_file("milc_l4x6x8x10_b6.0.ildg")
    assert hmc(path, tmp_path / "s", "-n", 20) == 0
    found = summary_of(tmp_path / "s")
    assert found["beta"] == 6.0 and found["start_projected"] and found["lattice"] == [4, 6, 8, 10]
    assert abs(found["plaquette"]["value"] - 0.5949) < 0.01
    assert found["force_evaluations_per_trajectory"] == 12


def test_link_change_grows_with_the_length(start, tmp_path):
    changes = []
    for steps in (1, 4):
        assert hmc(start, tmp_path / str(steps), "-n", 6, "--tune", 0, "--step-size", 0.1,
                   "--steps", steps) == 0
        changes.append(summary_of(tmp_path / str(steps))["link_change"]["value"])
    assert changes[1] > 4 * changes[0] > 0 and math.isfinite(changes[1])
