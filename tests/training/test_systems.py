"""Training of U(1) and a mixture: reproducible, resumed, stopped in time; what is refused."""

import json
import os
import sys
from types import SimpleNamespace

import h5py
import pytest
import safetensors
import torch

from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.cli import main
from l2hmc_bridge.errors import ConfigError, StreamError
from l2hmc_bridge.fields import u1
from l2hmc_bridge.training import (
    checkpoint as training_checkpoint,
    loop as training,
    outcome as training_outcome,
)
from l2hmc_bridge.training.read import parse

U1 = {
    "name": "u1", "action": "u1", "betas": [2.0], "learning_rate": 0.05, "step_rate": 0.02,
    "annealing": [0.5, 1.0], "annealing_iterations": 20, "checkpoint_every": 2,
    "validation_chains": 16, "loss": {"charge": 1.0, "energy_error": 0.3},
    "model": {"integrator": "leapfrog", "step_size": 0.2, "steps": 1, "composition": "direction",
              "drift_start": 1.0, "train_length": True,
              "drift_network": {"kind": "gate", "hidden": 1, "outputs": ["t"]}},
    "stage": [{"lattice": [4, 4], "iterations": 60, "chains": 64, "between": 1,
               "thermalisation": 10}],
}
MIXTURE = {
    "name": "mixture", "action": "mixture", "betas": [1.0], "validation_chains": 64,
    "target": {"means": [[-1.0, 0.0], [1.0, 0.0]], "variance": 0.3},
    "loss": {"distance": 1.0},
    "model": {"integrator": "leapfrog", "step_size": 0.3, "steps": 1,
              "kick_network": {"kind": "dense", "hidden": 4}},
    "stage": [{"lattice": [2], "iterations": 6, "chains": 16, "thermalisation": 5}],
}


def config(table, **changes):
    return parse({**table, **changes})


def trained(table, iterations):
    trainer = training.start(config(table))
    for _ in range(iterations):
        training.iterate(trainer)
    return trainer


@pytest.mark.parametrize("table", [U1, MIXTURE], ids=["u1", "mixture"])
def test_reproducible_and_resumed(table, tmp_path):
    whole, again = trained(table, 5), trained(table, 5)
    path = tmp_path / "run.checkpoint"
    half = trained(table, 3)
    training_checkpoint.save(half, path)
    resumed = training_checkpoint.load(config(table), path)
    for _ in range(2):
        training.iterate(resumed)
    for other in (again, resumed):
        for name, value in architecture.tensors(whole.kernel).items():
            assert torch.equal(value, architecture.tensors(other.kernel)[name]), name
        assert [row.loss for row in other.history] == [row.loss for row in whole.history]


@pytest.mark.slow
def test_random_translation_is_learned_to_be_accepted():
    """From a random field on, the translation is smoothed until many of its moves are accepted."""
    trainer = trained({**U1, "stage": [{**U1["stage"][0], "iterations": 200}]}, 200)
    first, last = trainer.history[0], trainer.history[-10:]
    assert first.acceptance < 0.1
    assert sum(row.acceptance for row in last) / 10 > 0.2
    weight = trainer.kernel.drift_network.weight.detach()[0, 0, :, 0].reshape(1, 2, 4, 4)
    start = training.start(config(U1)).kernel.drift_network.weight.detach()
    assert u1.plaquette(weight) > u1.plaquette(start[0, 0, :, 0].reshape(1, 2, 4, 4)) + 0.3
    assert last[-1].charge_change is not None and last[-1].step_size > 0


@pytest.mark.parametrize("changes, words", [
    ({"action": "qcd"}, "action: expected one of wilson"),
    ({"loss": {"distance": 1.0}}, "loss: expected one of energy_error, charge"),
    ({"target": {"variance": 1.0}}, "target: expected none"),
    ({"stage": [{"lattice": [4, 4, 4, 4]}]}, "two even extents X,T"),
    ({"stage": [{"lattice": [5, 4]}]}, "two even extents X,T"),
    ({"annealing": [0.5, 0.9]}, "gamma = 1"),
    ({"step_rate": 0.0}, "step_rate"),
    ({"model": {"mixing": True}}, "model.mixing: expected false for action 'u1'"),
    ({"snapshots": [0]}, "snapshots: expected growing numbers of iterations, 1 to 60"),
    ({"snapshots": [9, 9]}, "snapshots"),
    ({"snapshots": [61]}, "snapshots"),
    ({"snapshots": [2.5]}, "snapshots"),
    ({"snapshots": 10}, "snapshots: expected tuple"),
])
def test_configurations_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        config(U1, **changes)


@pytest.mark.parametrize("target, words", [
    ({"spread": 1.0}, "target: expected one of means, variance, weights"),
    ({"variance": -1.0}, "variance > 0"),
    ({"means": [[0.0, 1.0], [1.0]]}, "as many weights as means"),
    ({"means": 3}, "target"),
])
def test_targets_refused(target, words):
    with pytest.raises(ConfigError, match=words):
        config(MIXTURE, target=target)


def test_dimensions_are_whole_numbers():
    with pytest.raises(ConfigError, match=r"stage.lattice: expected \[2\]"):
        config(MIXTURE, stage=[{"lattice": [2.0]}])


@pytest.mark.parametrize("network, words", [
    ({"width": 3}, "drift_network.width: unknown key, expected some of .*hidden"),
    ({"kind": "deep"}, "kind: expected one of dense, conv, gate"),
    ({"layers": "all"}, "drift_network.layers: expected a list of numbers"),
    ({"outputs": "t"}, "drift_network.outputs: expected a list of names"),
])
def test_networks_refused(network, words):
    table = {**U1, "model": {**U1["model"], "drift_network": network}}
    with pytest.raises(ConfigError, match=words):
        training.start(config(table))


def test_networks_of_one_lattice_refuse_a_curriculum_in_volume_before_it_runs():
    stages = [U1["stage"][0], {**U1["stage"][0], "lattice": [8, 4]}]
    exact = {"annealing": [1.0], "annealing_iterations": 0}
    with pytest.raises(ConfigError, match=r"stage.lattice of stage 2: .*expected \[2, 4, 4\]"):
        training.start(config(U1, stage=stages))
    dense = {"name": "x", "action": "wilson", "betas": [6.0], "loss": {"plaquette": 1.0},
             "model": {"steps": 1, "kick_network": {"kind": "dense", "hidden": 1}},
             "stage": [{"lattice": [2, 2, 2, 2]}, {"lattice": [2, 2, 2, 4]}]}
    with pytest.raises(ConfigError, match=r"stage 2: .*expected \[2, 2, 2, 2\] \(t, x, y, z\)"):
        training.start(parse(dense))
    conv = {**U1["model"], "drift_start": 0.0, "drift_network": {"kind": "conv", "hidden": 2}}
    trainer = training.start(config(U1, model=conv, **exact, stage=[
        {**one, "iterations": 1, "chains": 4} for one in stages]))
    shapes = [(training.iterate(trainer), trainer.chains[0].shape[2:])[1] for _ in stages]
    assert [tuple(shape) for shape in shapes] == [(4, 4), (4, 8)]


def test_translations_need_a_network():
    with pytest.raises(ConfigError, match="drift_start"):
        training.start(config(U1, model={**U1["model"], "drift_network": {"outputs": ["q"]}}))


@pytest.mark.parametrize("start", [-4.0, 1.5])
def test_translations_start_on_the_circle(start):
    with pytest.raises(ConfigError, match="model.drift_start: expected 0 to 1"):
        config(U1, model={**U1["model"], "drift_start": start})


def test_low_acceptance_ends_the_run_with_the_last_good_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "REJECTIONS", 3)
    table = {**U1, "model": {**U1["model"], "step_size": 0.2}}
    trainer = training.start(config(table))
    path, saved = tmp_path / "run.checkpoint", []
    trainer.kernel.steps.length.data *= 40
    with pytest.raises(StreamError, match="lower step_size"):
        training.run(trainer, path, lambda one, _: saved.append(one.iteration), lambda row: None)
    assert trainer.iteration == 3 and not saved


@pytest.mark.parametrize("spoil", [lambda steps: steps.length.mul_(40),
                                   lambda steps: steps.kicks.fill_(torch.nan)],
                         ids=["rejected", "nan"])
def test_divergence_keeps_the_last_good_checkpoint(spoil, tmp_path, monkeypatch):
    """Steps that went wrong after the fifth iteration: the run ends, the fourth can be resumed."""
    monkeypatch.setattr(training, "REJECTIONS", 8)
    monkeypatch.setattr(training, "PATIENCE", 7)
    model = {k: v for k, v in U1["model"].items() if not k.startswith("drift_")}
    table = {**U1, "annealing": [1.0], "annealing_iterations": 0, "model": model}
    trainer, path, good = training.start(config(table)), tmp_path / "run.checkpoint", []

    def report(row):
        if row.iteration == 3:
            good.append(float(trainer.kernel.steps.length.detach()))
        if row.iteration == 4:
            with torch.no_grad():
                spoil(trainer.kernel.steps)

    with pytest.raises(StreamError, match="last (good )?checkpoint is kept"):
        training.run(trainer, path, training_checkpoint.save, report)
    kept = training_checkpoint.load(config(table), path)
    assert kept.iteration == 4 and float(kept.kernel.steps.length.detach()) == good[0]
    assert torch.isfinite(kept.kernel.steps.kicks).all()


def test_validation_is_in_equilibrium_at_the_beta_itself():
    """Chains to validate on know nothing of the annealing of the run before."""
    annealed, plain = (training.start(config(U1, **one)) for one in (
        {}, {"annealing": [1.0], "annealing_iterations": 0}))
    assert training_outcome.validate(annealed) == training_outcome.validate(plain)


def test_a_curriculum_in_beta_and_volume(tmp_path):
    """Stages with betas and lattices of their own: thermalised there, trained there, resumed."""
    conv = {**U1["model"], "drift_start": 0.0, "drift_network": {"kind": "conv", "hidden": 2}}
    stage = {"iterations": 2, "chains": 4, "thermalisation": 3}
    stages = [{**stage, "lattice": [4, 4], "betas": [1.0]},
              {**stage, "lattice": [4, 6], "betas": [1.0, 1.5]}, {**stage, "lattice": [8, 4]}]
    table = {**U1, "model": conv, "annealing": [1.0], "annealing_iterations": 0, "stage": stages}
    whole, half, path = trained(table, 6), trained(table, 3), tmp_path / "run.checkpoint"
    assert [row.beta for row in whole.history] == [1.0, 1.0, 1.0, 1.5, 2.0, 2.0]
    training_checkpoint.save(half, path)
    assert set(half.chains) == {0} and half.chains[0].shape == (4, 2, 6, 4)
    resumed = training_checkpoint.load(config(table), path)
    for _ in range(3):
        training.iterate(resumed)
    assert [row.loss for row in resumed.history] == [row.loss for row in whole.history]
    settings = config(table)
    plain = config({**table, "betas": [9.0, 1.5], "stage": [{**stages[1], "betas": []}]})
    chains = [training.thermalised(one, stage, 1, 2) for one, stage in (
        (settings, settings.stages[1]), (plain, plain.stages[0]))]
    assert torch.equal(*chains)
    outcome = training_outcome.validate(whole)
    assert [row["beta"] for row in outcome["rows"]] == [2.0]
    with pytest.raises(ConfigError, match="stage.betas: expected positive"):
        config(table, stage=[{**stages[0], "betas": [-1.0]}])


def test_a_checkpoint_from_before_a_key_is_that_of_its_default(tmp_path):
    path, settings = tmp_path / "run.checkpoint", config(MIXTURE)
    training_checkpoint.save(training.start(settings), path)
    with safetensors.safe_open(str(path), framework="pt") as file:
        meta, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    told = json.loads(meta["config"])
    del told["precision"], told["model"]["mixing"], told["stages"][0]["betas"]
    meta["config"] = json.dumps(told)
    bundle.write_file(path, tensors, meta)
    assert training_checkpoint.load(settings, path).iteration == 0
    with pytest.raises(StreamError, match="another clip"):
        training_checkpoint.load(config(MIXTURE, clip=2.0), path)


def test_a_stop_while_nothing_is_accepted_keeps_the_last_good_checkpoint(tmp_path):
    """Asked to stop among rejections: the good checkpoint stays, and is written where none is."""
    model = {k: v for k, v in U1["model"].items() if not k.startswith("drift_")}
    table = {**U1, "annealing": [1.0], "annealing_iterations": 0, "model": model}
    for good, kept in ((2, 2), (0, 3)):
        trainer, path = training.start(config(table)), tmp_path / f"{good}.checkpoint"

        def spoil(trainer=trainer, good=good):
            """Asked before every iteration: steps are far too long after `good` of them."""
            if trainer.iteration == good:
                trainer.kernel.steps.length.data.fill_(200.0)
            return trainer.iteration == 3

        assert not training.run(trainer, path, training_checkpoint.save, lambda row: None, spoil)
        assert trainer.rejected == 3 - good and trainer.iteration == 3
        found = training_checkpoint.load(config(table), path)
        assert found.iteration == kept and found.rejected == (0 if good else 3)
        assert float(found.kernel.steps.length.detach()) == pytest.approx(
            1.0 if good else 200.0, rel=0.9)


def test_snapshots_are_the_run_so_far(tmp_path):
    """A bundle after 2 of 4 iterations is the kernel of a run of 2, also when resumed."""
    table = {**U1, "snapshots": [2, 4], "stage": [{**U1["stage"][0], "iterations": 4}],
             "annealing_iterations": 2}
    two, path, written = trained(table, 2), tmp_path / "u1.safetensors", []
    trainer = training.start(config(table))
    for _ in range(4):
        training.iterate(trainer)
        written.append(training_outcome.snapshot(trainer, path, {"date": "today"}))
    assert written[::2] == [None, None]
    assert [one.name for one in written[1::2]] == ["u1.iteration2.safetensors",
                                                   "u1.iteration4.safetensors"]
    loaded = bundle.load(written[1])
    assert loaded.meta["provenance"]["iterations"] == 2 and loaded.gate is None
    for name, value in architecture.tensors(two.kernel).items():
        assert torch.equal(value, architecture.tensors(loaded.kernel)[name]), name


@pytest.mark.slow
def test_command_writes_bundle_report_and_history(tmp_path, capsys):
    out = tmp_path / "u1.safetensors"
    text = '''
name = "u1"
action = "u1"
betas = [1.0]
validation_chains = 16
[loss]
charge = 1.0
[model]
integrator = "leapfrog"
step_size = 0.2
steps = 3
composition = "palindrome"
kick_network = { kind = "conv", hidden = 2 }
drift_network = { kind = "conv", hidden = 2 }
[[stage]]
lattice = [4, 4]
iterations = 3
chains = 8
thermalisation = 5
'''
    text = text.replace("[loss]", "snapshots = [1]\n[loss]")
    (tmp_path / "run.toml").write_text(text)
    command = ["train", str(tmp_path / "run.toml"), "--out", str(out), "--seed", "7"]
    assert main([*command, "--gate-lattice", "4,4,4,4"]) == 1  # before it trains
    assert "--gate-lattice 4,4,4,4: expected 2 number(s)" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["run.toml"]
    assert main(command) == 0
    assert "kept" in capsys.readouterr().out
    loaded = bundle.load(out)
    assert loaded.meta["provenance"]["config"]["seed"] == 7
    out.unlink()
    assert main(command) == 1  # what a former run has left on its way
    assert "u1.iteration1.safetensors: expected a new file" in capsys.readouterr().err
    assert loaded.gate["passed"] and loaded.kernel.action.group == "u1"
    with h5py.File(f"{out}.history.h5") as file:
        assert file["loss"].shape == (3,) and (file["charge_change"][:] >= 0).all()
        assert "gamma" not in file and "annealing" in file.attrs["config"]


def test_tensorboard_where_it_is_installed_and_a_sentence_where_not(tmp_path, capsys, monkeypatch):
    (tmp_path / "run.toml").write_text('''
name = "mixture"
action = "mixture"
betas = [1.0]
validation_chains = 4
target = { means = [[-1.0, 0.0], [1.0, 0.0]], variance = 0.3 }
loss = { distance = 1.0 }
model = { integrator = "leapfrog", step_size = 0.3, steps = 1 }
stage = [{ lattice = [2], iterations = 3, chains = 4, thermalisation = 2 }]
''')
    command = ["train", str(tmp_path / "run.toml"), "--out", str(tmp_path / "m.safetensors"),
               "--no-gate", "--tensorboard", str(tmp_path / "board")]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main(command) == 1
    assert "pip install tensorboard" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["run.toml"]

    class Writer:
        rows = []

        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, iteration):
            self.rows.append((self.folder, name, iteration))

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard",
                        SimpleNamespace(SummaryWriter=Writer))
    assert main(command) == 0
    losses = [row for row in Writer.rows if row[1] == "loss"]
    assert losses == [(str(tmp_path / "board"), "loss", n) for n in range(3)]
    assert not any(name == "charge_change" for _, name, _ in Writer.rows)
