"""Training: gradients, reproducibility, resume, the starting point kept, configurations refused."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.cli import main
from l2hmc_bridge.errors import ConfigError, StreamError
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.systems.actions import gauge_action
from l2hmc_bridge.training import (
    checkpoint as training_checkpoint,
    gauss_newton,
    loop as training,
    losses,
    outcome as training_outcome,
)
from l2hmc_bridge.training.config import gamma, learning_rate
from l2hmc_bridge.training.read import parse, read
from tests.cli.sample.test_sample import write_start
from tests.l2hmc.test_kernel import make_kernel, randomise
from tests.support.fields import rough_links
from tests.support.places import ROOT

TABLE = {
    "name": "test", "action": "wilson", "betas": [5.8, 6.0], "learning_rate": 1e-3,
    "checkpoint_every": 2, "validation_chains": 4,
    "loss": {"energy_error": 1.0},
    "model": {"integrator": "leapfrog", "step_size": 0.1, "steps": 2,
              "kick_network": {"hidden": 3, "loops": ["laplacian"]}},
    "stage": [{"lattice": [2, 2, 2, 4], "iterations": 4, "chains": 2, "thermalisation": 2}],
}
TOML = """
name = "test"
action = "wilson"
betas = [5.8, 6.0]
checkpoint_every = 1
validation_chains = 4
learning_rate = 0.001
[loss]
energy_error = 1.0
[model]
integrator = "leapfrog"
step_size = 0.1
steps = 2
[[stage]]
lattice = [2, 2, 2, 4]
iterations = {iterations}
chains = 2
thermalisation = 2
"""


def config(**changes):
    return parse({**TABLE, **changes})


def weights(trainer):
    return architecture.tensors(trainer.kernel)


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("kind", ["kick", "mixing"])
@pytest.mark.parametrize("name", losses.LOSSES)
def test_gradients_by_finite_differences(name, kind, generator):
    """d loss / d parameter of backpropagation through the step against central differences."""
    kernel = make_kernel(kind, None, "force_gradient", steps=1, step=0.3, loops=("laplacian",))
    randomise(kernel, generator, 0.1)
    state = kernel.init(rough_links(generator, (2, 2, 4, 2), chains=3))

    def loss():
        proposal, info = markov.propose(kernel, state, markov.trajectory_generator(1, 0, 0))
        return losses.LOSSES[name](state, proposal, info)

    parameter = (kernel.kick_network.weight if kind == "kick" else kernel.mixing.coefficient)
    parts = [(parameter, 0), (kernel.steps.kicks, 1), (kernel.steps.displacements, 1)]
    gradients = torch.autograd.grad(loss(), [one for one, _ in parts])
    for (one, place), gradient in zip(parts, gradients, strict=True):
        flat, h, ends = one.detach().view(-1), 1e-5, []
        for move in (h, -2 * h):
            flat[place] += move
            ends.append(float(loss().detach()))
        flat[place] += h
        assert gradient.view(-1)[place].item() == pytest.approx(
            (ends[0] - ends[1]) / (2 * h), rel=1e-4, abs=1e-7)


def test_reproducible_and_different_with_another_seed():
    runs = []
    for seed in (1, 1, 2):
        trainer = training.start(config(seed=seed))
        for _ in range(3):
            training.iterate(trainer)
        runs.append(weights(trainer))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


@pytest.mark.parametrize("method", ["adam", "gauss_newton"])
def test_resume_equals_an_uninterrupted_run(method, tmp_path):
    settings = config(stage=[{**TABLE["stage"][0], "method": method}])
    whole = training.start(settings)
    for _ in range(4):
        training.iterate(whole)
    first = training.start(settings)
    stop = iter((False, False, True))
    path = tmp_path / "run.checkpoint"
    assert not training.run(first, path, training_checkpoint.save, lambda row: None,
                            lambda: next(stop))
    second = training_checkpoint.load(settings, path)
    assert second.iteration == 2
    assert training.run(second, path, training_checkpoint.save, lambda row: None)
    assert same(weights(whole), weights(second))
    for one, other in zip(whole.history, second.history, strict=True):
        assert {**vars(one), "seconds": 0} == {**vars(other), "seconds": 0}


def test_checkpoint_of_another_configuration_is_refused(tmp_path):
    training_checkpoint.save(training.start(config()), tmp_path / "a")
    with pytest.raises(StreamError, match="this configuration, found one with another seed$"):
        training_checkpoint.load(config(seed=5), tmp_path / "a")
    changed = config(stage=[{**TABLE["stage"][0], "chains": 4}], clip=2.0)
    with pytest.raises(StreamError, match="another clip, stage$"):
        training_checkpoint.load(changed, tmp_path / "a")
    (tmp_path / "b").write_bytes(b"nothing")
    with pytest.raises(StreamError, match="training checkpoint"):
        training_checkpoint.load(config(), tmp_path / "b")


def test_gauss_newton_recovers_a_spoiled_integrator(generator):
    """Kicks of OMF2 moved off the optimum: a few iterations bring the energy error down."""
    kernel = make_kernel("steps", integrator="omf2", steps=2, step=0.15)
    samples = [gauss_newton.draw(rough_links(generator, (2, 4, 2, 4), 32, 0.4), 5.8, generator)]
    start = float(gauss_newton.residuals(kernel, samples).square().mean())
    with torch.no_grad():
        kernel.steps.kicks[1] *= 1.3
    spoiled = float(gauss_newton.residuals(kernel, samples).square().mean())
    damping = gauss_newton.DAMPING
    for _ in range(5):
        fit = gauss_newton.iterate(kernel, samples, damping)
        damping = fit.damping
    assert spoiled > 4 * start
    assert fit.loss < start


@pytest.mark.slow
def test_adam_lowers_the_energy_error():
    """60 iterations from a spoiled start lower the loss by far more than its noise."""
    settings = config(stage=[{**TABLE["stage"][0], "iterations": 60, "chains": 8}],
                      learning_rate=5e-3)
    trainer = training.start(settings)
    with torch.no_grad():
        trainer.kernel.steps.kicks[1] *= 1.5
    rows = [training.iterate(trainer) for _ in range(60)]
    begin, end = (sum(r.loss for r in part) / 10 for part in (rows[:10], rows[-10:]))
    assert end < begin - 1


def test_the_starting_point_is_kept_when_training_does_not_beat_it(tmp_path):
    trainer = training.start(config())
    with torch.no_grad():
        trainer.kernel.steps.kicks[0] *= 4
    outcome = training_outcome.finish(trainer, tmp_path / "one.safetensors", {})
    assert outcome["kept"] == "start" and outcome["gain"] < 1
    loaded = bundle.load(tmp_path / "one.safetensors")
    begun = training.start(config()).kernel
    assert torch.allclose(loaded.kernel.steps.kicks, begun.steps.kicks)
    assert loaded.meta["provenance"]["config"]["name"] == "test"


def test_no_finite_gradient_stops_with_a_sentence():
    trainer = training.start(config(stage=[{**TABLE["stage"][0], "iterations": 40}]))
    with torch.no_grad():
        trainer.kernel.steps.kicks[0] = torch.nan
    with pytest.raises(StreamError, match="learning_rate or step_size"):
        for _ in range(40):
            training.iterate(trainer)


def test_annealing_and_learning_rate():
    settings = config(annealing=[0.5, 0.8, 1.0], annealing_iterations=10,
                      stage=[{"iterations": 100}])
    assert [gamma(settings, n) for n in (0, 5, 10, 99)] == [0.5, 0.8, 1.0, 1.0]
    assert learning_rate(settings, 0, 100) == pytest.approx(1e-3)
    assert learning_rate(settings, 100, 100) == pytest.approx(5e-5)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"colour": 1}, "colour: unknown key, expected one of .*'model'.*'stage'"),
        ({"action": "plain"}, "action: expected one of wilson"),
        ({"betas": []}, "betas"),
        ({"betas": "6.0"}, "betas: expected tuple"),
        ({"loss": {"beauty": 1.0}}, "loss: expected one of"),
        ({"loss": {}}, "loss"),
        ({"annealing": [0.5, 0.9]}, "ends at gamma = 1"),
        ({"annealing": [0.0, 1.0], "annealing_iterations": 2}, "positive numbers"),
        ({"annealing": [0.5, 1.0]}, "annealing_iterations: expected 1 to 3, for 4 iterations"),
        ({"annealing": [0.5, 1.0], "annealing_iterations": 4}, "to end at gamma = 1, found 4"),
        ({"annealing_iterations": 2}, "annealing_iterations: expected 0 without"),
        ({"stage": [{"step_scale": 0}]}, "stage.step_scale: expected > 0"),
        ({"stage": [{"train": "networks"}], "model": {}}, "for a model without networks"),
        ({"stage": [{"train": "networks", "method": "gauss_newton"}]}, "moves steps and mixing"),
        ({"stage": [{"method": "gauss_newton"}], "loss": {"charge": 1.0}},
         "stage.method: expected adam for other losses"),
        ({"stage": [{"method": "gauss_newton", "iterations": 9}], "annealing": [0.5, 1.0],
          "annealing_iterations": 2}, "stage.method: expected adam with annealing"),
        ({"learning_rate": "fast"}, "learning_rate: expected float"),
        ({"model": {"integrator": "euler"}}, "model.integrator"),
        ({"model": {"layers": 3}}, "model.layers: unknown key"),
        ({"stage": [{"lattice": [4, 4, 4, 5]}]}, "four even extents"),
        ({"stage": [{"lattice": [4, 4, 4]}]}, "four even extents"),
        ({"stage": [{"method": "newton"}]}, "stage.method"),
        ({"stage": []}, "stage: expected 1 to 1000 tables"),
        ({"checkpoint_every": 0}, "checkpoint_every: expected > 0"),
        ({"validation_chains": 0}, "validation_chains: expected 1 to 65536"),
        ({"seed": -1}, "seed: expected 0 to"),
        ({"learning_rate": float("inf")}, "learning_rate: expected float"),
        ({"loss": {"energy_error": "much"}}, "loss: expected a number"),
    ],
)
def test_configurations_that_cannot_work_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        config(**change)


@pytest.mark.parametrize("option, words", [
    ({"hidden": "many"}, "kick_network.hidden: expected a number of units, at least 1"),
    ({"hidden": 2.5}, "hidden"), ({"hidden": 0}, "hidden"), ({"hidden": True}, "hidden"),
    ({"loops": "laplacian"}, "kick_network.loops: expected a list of names, found 'laplacian'"),
    ({"kind": 3}, "kick_network.kind: expected a name"),
    ({"kind": "dense", "hidden": [2]}, "kick_network.hidden"),
])
def test_network_options_of_a_wrong_type_are_refused(option, words):
    with pytest.raises(ConfigError, match=words):
        training.start(config(model={"kick_network": option}))


def test_unknown_network_options_are_refused():
    with pytest.raises(ConfigError, match="network"):
        training.start(config(model={"kick_network": {"width": 3}}))
    with pytest.raises(ConfigError, match="something to train"):
        training.start(config(model={"train_steps": False}))


@pytest.mark.slow
def test_command_trains_gates_and_refuses_to_overwrite(tmp_path, capsys):
    path, out = tmp_path / "c.toml", tmp_path / "my.safetensors"
    path.write_text(TOML.format(iterations=2))
    arguments = ["train", str(path), "--out", str(out), "--gate-lattice", "2,2,2,4"]
    assert main(arguments) in (0, 1)  # the statistics of so small a lattice may not resolve
    assert out.exists()
    assert bundle.load(out).gate is not None
    assert main(arguments) == 1
    assert "pass --force" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "none.toml"), "--out", str(tmp_path / "x")]) == 1
    assert "none.toml: expected a training configuration" in capsys.readouterr().err
    path.write_text("name = ")
    assert main(["train", str(path), "--out", str(tmp_path / "x")]) == 1
    assert "c.toml: expected TOML" in capsys.readouterr().err


def test_command_starts_from_configurations(tmp_path, capsys, data):
    path, out = tmp_path / "c.toml", tmp_path / "my.safetensors"
    path.write_text(TOML.format(iterations=1))
    file = next(p for p in sorted(data.glob("*")) if p.suffix in (".ildg", ".nersc", ".milc"))
    assert main(["train", str(path), "--out", str(out), "--in", str(file), "--no-gate"]) == 1
    assert "first stage's lattice 2,2,2,4" in capsys.readouterr().err
    fitting = str(write_start(tmp_path / "start.ildg", lattice=(4, 2, 2, 2), beta=6.0))
    assert main(["train", str(path), "--out", str(out), "--in", fitting, "--no-gate"]) == 0
    found = capsys.readouterr()
    assert "no --in states beta 5.8" in found.err and "beta 6:" not in found.err
    assert f"wrote {out}" in found.err


def test_a_run_goes_on_with_the_configurations_it_began_with(tmp_path, capsys):
    path, out = tmp_path / "c.toml", tmp_path / "my.safetensors"
    path.write_text(TOML.format(iterations=1))
    start = str(write_start(tmp_path / "start.ildg", lattice=(4, 2, 2, 2), beta=6.0))
    trainer = training.start(read(path))
    for inputs, given, words in (((), ("--in", start), "expected --in none, with which"),
                                 ((start,), (), f"expected --in {start}, with which")):
        trainer.inputs = inputs
        training_checkpoint.save(trainer, Path(f"{out}.checkpoint"))
        assert main(["train", str(path), "--out", str(out), "--no-gate", "--resume", *given]) == 1
        assert words in capsys.readouterr().err
    out.with_suffix(".iteration1.safetensors").touch()
    path.write_text("snapshots = [1]" + TOML.format(iterations=1))
    assert main(["train", str(path), "--out", str(out), "--no-gate"]) == 1
    assert "pass --resume to go on" in capsys.readouterr().err
    path.write_text(TOML.format(iterations=1))
    assert main(["train", str(path), "--out", str(out), "--no-gate", "--resume",
                 "--in", start]) == 0


def test_given_configurations_serve_the_stages_on_their_lattice_alone(generator):
    stages = [{"lattice": [2, 2, 2, 4], "iterations": 1, "chains": 2, "thermalisation": 0},
              {"lattice": [2, 2, 2, 4], "iterations": 1, "chains": 3, "thermalisation": 0},
              {"lattice": [2, 4, 2, 2], "iterations": 1, "chains": 2, "thermalisation": 0}]
    trainer = training.start(config(stage=stages, betas=[5.8]))
    given = {0: rough_links(generator, (4, 2, 2, 2), chains=2)}
    found = []
    for _ in stages:
        training.iterate(trainer, given)
        found.append(tuple(trainer.chains[0].shape[:6]))
    assert found == [(2, 4, 4, 2, 2, 2), (3, 4, 4, 2, 2, 2), (2, 4, 2, 2, 4, 2)]


def test_command_refuses_what_it_could_not_write_before_it_works(tmp_path, capsys):
    path = tmp_path / "c.toml"
    path.write_text(TOML.format(iterations=1))
    for words, found in ((("--out", tmp_path / "no" / "b"), "expected the folder"),
                         (("--out", tmp_path / "b", "--resume"), "expected a checkpoint")):
        assert main(["train", str(path), *map(str, words)]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and found in lines[0]
    assert os.listdir(tmp_path) == ["c.toml"]


@pytest.mark.slow
def test_sigterm_saves_and_resume_finishes(tmp_path):
    path, out = tmp_path / "c.toml", tmp_path / "my.safetensors"
    path.write_text(TOML.format(iterations=400))
    command = [sys.executable, "-m", "l2hmc_bridge.cli", "train", str(path), "--out", str(out),
               "--no-gate"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    checkpoint = Path(f"{out}.checkpoint")
    for _ in range(600):
        if checkpoint.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 0 and "--resume goes on" in text
    settings = read(path)
    trainer = training_checkpoint.load(settings, checkpoint)
    assert 0 < trainer.iteration < 400
    assert math.isfinite(trainer.history[-1].loss)
    assert not out.exists()
    assert os.listdir(tmp_path) == [p for p in os.listdir(tmp_path) if "tmp" not in p]


def test_gamma_scales_the_coupling_of_a_step():
    stage = [{**TABLE["stage"][0], "iterations": 6}]
    trainer = training.start(config(annealing=[0.5, 1.0], annealing_iterations=4, stage=stage))
    betas = [training.iterate(trainer).beta for _ in range(6)]
    assert betas == pytest.approx([2.9, 3.75, 4.35, 5.25, 5.8, 6.0])
    assert gauge_action("wilson", 5.8) == trainer.kernel.action
