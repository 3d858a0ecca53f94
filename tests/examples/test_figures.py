"""Every figure script draws from a small run of its own kind; the pages say how to make each."""

import json
import runpy
import sys

import pytest
from matplotlib import pyplot

from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.cli import main
from l2hmc_bridge.training.nested import config as nested
from l2hmc_bridge.training.read import read, table_of
from tests.support.places import ROOT

FIGURES, BENCHMARKS, TRAIN = (ROOT / name for name in ("examples/figures", "benchmarks",
                                                        "examples/train"))
U1 = """
name = "u1"
action = "u1"
betas = [2.0]
learning_rate = 0.05
validation_chains = 8
[loss]
charge = 1.0
energy_error = 0.3
[model]
integrator = "leapfrog"
step_size = 0.2
steps = 2
composition = "direction"
drift_network = { kind = "gate", hidden = 2, outputs = ["t"] }
drift_start = 1.0
[[stage]]
lattice = [4, 4]
iterations = 45
chains = 8
thermalisation = 5
"""
DENSE = """
name = "dense"
action = "wilson"
betas = [6.0]
validation_chains = 2
snapshots = [1, 2]
[loss]
plaquette = 1.0
[model]
integrator = "leapfrog"
step_size = 0.1
steps = 2
kick_network = { kind = "dense", hidden = 2 }
drift_network = { kind = "dense", hidden = 2 }
[[stage]]
lattice = [2, 2, 2, 4]
iterations = 3
chains = 2
thermalisation = 2
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a run of U(1) on 4 x 4 and one of dense SU(3) on 2^3 x 4."""
    folder = tmp_path_factory.mktemp("runs")
    for name, text in (("u1", U1), ("dense", DENSE)):
        (folder / f"{name}.toml").write_text(text)
        out = str(folder / f"{name}.safetensors")
        assert main(["train", str(folder / f"{name}.toml"), "--out", out, "--no-gate"]) == 0
    return folder


@pytest.fixture
def draw(monkeypatch, tmp_path, capsys):
    """Run a script as a user does; its pictures must be there and show something."""

    def drawn(script, *arguments, pictures=()):
        monkeypatch.syspath_prepend(script.parent)
        monkeypatch.setattr(sys, "argv", [script.name, *map(str, arguments)])
        capsys.readouterr()
        runpy.run_path(str(script), run_name="__main__")
        pyplot.close("all")
        said = capsys.readouterr().out
        print(said)
        for name in pictures if script.parent == FIGURES else ():
            assert f"wrote {tmp_path / name}\n" in said
        for name in pictures:
            assert pyplot.imread(tmp_path / name)[..., :3].std() > 0.05, name

    return drawn


def test_headline(draw, tmp_path):
    draw(FIGURES / "headline.py", BENCHMARKS / "results/u1.json", "--out", tmp_path,
         pictures=("tau_q.png", "tau_q2.png"))


@pytest.mark.slow
@pytest.mark.parametrize("name, lattice", [("u1", "4,4"), ("dense", "2,2,2,4")])
@pytest.mark.parametrize("script, more", [("trajectory", ()), ("relaxation", ("--steps", 4))])
def test_along_a_trajectory_and_towards_equilibrium(script, more, name, lattice, draw, runs,
                                                    tmp_path):
    draw(FIGURES / f"{script}.py", runs / f"{name}.safetensors", "--lattice", lattice, "--chains",
         3, "--out", tmp_path, *more, pictures=(f"{name}_{script}.png",))


def test_training(draw, runs, tmp_path):
    draw(FIGURES / "training.py", runs / "u1.safetensors.history.h5", "--out", tmp_path,
         pictures=("u1_training.png",))


def titles(monkeypatch):
    """What is written on each figure, before it is closed."""
    found = []
    save = pyplot.Figure.savefig

    def keep(figure, *words, **more):
        found.extend(text.get_text() for text in figure.findobj(pyplot.Text))
        save(figure, *words, **more)

    monkeypatch.setattr(pyplot.Figure, "savefig", keep)
    return found


@pytest.mark.parametrize("script, more", [("trajectory", ()), ("relaxation", ("--steps", 2))])
def test_figures_say_lattice_and_beta(script, more, draw, runs, tmp_path, monkeypatch):
    said = titles(monkeypatch)
    draw(FIGURES / f"{script}.py", runs / "dense.safetensors", "--lattice", "2,2,2,4", "--chains",
         2, "--out", tmp_path, *more)
    assert any("dense, 2x2x2x4, beta 6" in text for text in said)


def test_a_step_that_never_accepts_is_warned_of(draw, runs, tmp_path, monkeypatch, capsys):
    kernel = bundle.load(runs / "dense.safetensors").kernel
    bundle.save(tmp_path / "wild.safetensors", kernel.scaled(12.0), {}, (6.0, 6.0))
    said = titles(monkeypatch)
    draw(FIGURES / "trajectory.py", tmp_path / "wild.safetensors", "--lattice", "2,2,2,4",
         "--chains", 2, "--out", tmp_path)
    assert any("warning: acceptance below 0.001: trained" in text for text in said)
    assert "warning: acceptance below" in capsys.readouterr().out


def test_what_a_training_has_not_has_no_panel(draw, runs, tmp_path, monkeypatch):
    import h5py
    import numpy as np

    said = titles(monkeypatch)
    path = tmp_path / "dense.safetensors.history.h5"
    with h5py.File(runs / "dense.safetensors.history.h5") as old, h5py.File(path, "w") as new:
        new.attrs["config"] = old.attrs["config"]
        for name in old:
            new[name] = np.tile(old[name][()], 10)
    draw(FIGURES / "training.py", path, "--out", tmp_path, pictures=("dense_training.png",))
    assert "loss" in said and not any("Delta Q" in text for text in said)
    assert any(text == "dense: 2x2x2x4, beta 6" for text in said)


@pytest.mark.slow
def test_jacobian_of_snapshots(draw, runs, tmp_path, capsys):
    """Untrained last layers have log|J| = 0; one iteration later it is not."""
    draw(FIGURES / "jacobian.py", *(runs / f"dense.iteration{n}.safetensors" for n in (1, 2)),
         "--lattice", "2,2,2,4", "--chains", 3, "--out", tmp_path,
         pictures=("dense_jacobian.png",))
    lines = [line for line in capsys.readouterr().out.splitlines() if "log|J| at" in line]
    assert [line.split(":")[0] for line in lines] == ["1 iterations"] * 2 + ["2 iterations"] * 2


@pytest.mark.slow
def test_models(draw, runs, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from benchmarks.sampler import u1 as bench_u1

    for name, value in (("CHAINS", 6), ("LATTICE", (4, 4)), ("VOLUME", 16)):
        monkeypatch.setattr(bench_u1, name, value)
    one = next(row for row in json.loads((BENCHMARKS / "results/u1.json").read_text())
               if row["beta"] == 2)
    (tmp_path / "u1.json").write_text(json.dumps([one]))
    draw(BENCHMARKS / "sampler/models.py", runs / "u1.safetensors", runs / "u1.safetensors",
         "--steps", 200, "--leapfrogs", 100, "--hmc", tmp_path / "u1.json", "--out",
         tmp_path / "models.json")
    found = json.loads((tmp_path / "models.json").read_text())
    assert [row["beta"] for row in found["models"]] == [2.0, 2.0]
    assert all(len(row["charges"]) == 2 and row["dq"]["value"] >= 0 for row in found["models"])
    draw(FIGURES / "models.py", tmp_path / "models.json", "--out", tmp_path,
         pictures=("models.png",))


@pytest.mark.slow
def test_mixture(draw, tmp_path):
    draw(BENCHMARKS / "sampler/mixture.py", "--bundle",
         ROOT / "examples/models/mixture.safetensors", "--steps", 20,
         "--out", tmp_path / "mixture.json", "--picture", tmp_path / "mixture.png",
         pictures=("mixture.png",))


def test_pages_say_how_to_make_every_figure_and_model():
    page = (ROOT / "examples/models/README.md").read_text()
    for script in FIGURES.glob("*.py"):
        if script.stem == "drawn":  # what the others share
            continue
        assert f"python examples/figures/{script.name} " in page, script.name
    for path in TRAIN.glob("*.toml"):
        table = table_of(path)
        settings = nested.parse(table) if "host" in table else read(path)
        assert settings.name == path.stem or settings.name in path.read_text(), path.name
        assert f"l2hmc-bridge train examples/train/{path.name} " in path.read_text(), path.name
