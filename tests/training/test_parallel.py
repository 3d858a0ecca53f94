"""Training by two processes of torchrun takes the steps of one process with all the chains."""

import os
import subprocess
import sys

import h5py
import pytest
import torch
import torch.distributed as dist

from l2hmc_bridge.fast import collectives
from l2hmc_bridge.fast.collectives import Collectives
from l2hmc_bridge.training import parallel
from tests.support.places import ROOT

U1 = """
name = "u1"
action = "u1"
betas = [2.0]
seed = 4
validation_chains = 4
[loss]
charge = 1.0
energy_error = 0.3
[model]
integrator = "leapfrog"
step_size = 0.2
steps = 2
composition = "direction"
kick_network = { kind = "conv", hidden = 3 }
drift_network = { kind = "dense", hidden = 3 }
[[stage]]
lattice = [4, 4]
iterations = 3
chains = 8
thermalisation = 4
between = 1
"""
SU3 = """
name = "su3"
action = "wilson"
betas = [5.7]
validation_chains = 2
[loss]
energy_error = 1.0
plaquette = 0.1
[model]
integrator = "omf2"
step_size = 0.2
kick_network = { hidden = 3 }
[[stage]]
lattice = [2, 2, 2, 2]
iterations = 2
chains = 4
thermalisation = 2
"""


def train(processes, folder, *more):
    """Exit status and errors of `train` by so many processes."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone",
              f"--nproc-per-node={processes}"] if processes > 1 else [sys.executable]
    command = [*launch, "-m", "cli", "train", str(folder.parent / "run.toml"), "--out",
               str(folder / "kernel.safetensors"), "--no-gate", *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment,
                          timeout=240)
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("text", [U1, SU3], ids=["u1", "su3"])
def test_two_processes_take_the_steps_of_one(text, tmp_path):
    (tmp_path / "run.toml").write_text(text)
    histories = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        status, errors = train(processes, folder)
        assert status == 0, errors
        with h5py.File(folder / "kernel.safetensors.history.h5") as file:
            histories.append({name: file[name][:] for name in file})
    # Losses and gradients of later iterations depend on every weight and every chain.
    for name in ("loss", "acceptance", "gradient_norm", "rms_log_ratio"):
        one, other = histories[0][name], histories[1][name]
        assert abs(one - other).max() < 1e-10 * max(1.0, abs(one).max()), name
    assert len(set(histories[0]["gradient_norm"])) == len(histories[0]["loss"]) > 1


@pytest.mark.slow
def test_chains_that_cannot_be_shared_are_refused(tmp_path):
    (tmp_path / "run.toml").write_text(U1.replace("chains = 8", "chains = 7"))
    folder = tmp_path / "run"
    folder.mkdir()
    status, errors = train(2, folder)
    assert status != 0 and "multiple of the 2 processes" in errors


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_process_says_that_gpus_are_shared(rank, monkeypatch):
    said, carried, together = [], [], Collectives(note="several processes share a GPU")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name, fake in (("init_process_group", lambda backend: said.append(backend)),
                       ("is_initialized", lambda: True), ("get_world_size", lambda: 2),
                       ("get_rank", lambda: rank), ("barrier", lambda: None),
                       ("destroy_process_group", lambda: None)):
        monkeypatch.setattr(dist, name, fake)
    monkeypatch.setattr(collectives, "connected", lambda device: together)
    monkeypatch.setattr(Collectives, "add_up", lambda self, tensor: carried.append(self))
    with parallel.processes(torch.device("cuda", rank), said.append):
        parallel.any_of(False)
    parallel.any_of(False)
    assert said == ["gloo", together.note][:2 - rank]
    assert carried[0] is together and carried[1] is not together  # not beyond the run
