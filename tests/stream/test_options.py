"""What a stream can be told: every value is checked when it is said, by name."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.stream.options import SampleOptions
from tests.support.places import ROOT

COLD = {"start": "cold", "lattice": (4, 4, 4, 4), "beta": 6.0}
WRONG = [
    ({"kernel": "other"}, "kernel: expected one of l2hmc, hmc"),
    ({"trajectories": 0}, "trajectories: expected a whole number of at least 1, found 0"),
    ({"trajectories": 2.5}, "trajectories: expected a whole number"),
    ({"trajectories": True}, "trajectories: expected a whole number"),
    ({"seed": -1}, "seed: expected"), ({"seed": 2**63}, "seed: expected"),
    ({"tune": 2**19}, "tune: expected a whole number from 0 to 524287"),
    ({"thermalise": -1}, "thermalise: expected"), ({"save_every": 0}, "save_every: expected"),
    ({"threads": 10**6}, "threads: expected"), ({"check_reversibility": -1}, "check_reversib"),
    ({"max_seconds": 0}, "max_seconds: expected a finite number above 0, found 0"),
    ({"max_seconds": float("inf")}, "max_seconds: expected"),
    ({"beta": float("nan")}, "beta: expected a finite number, found nan"),
    ({"beta": "6"}, "beta: expected a finite number"),
    ({"kernel": "hmc", "step_size": 0.0}, "step_size: expected"),
    ({"kernel": "hmc", "step_size": 101}, "step_size: expected"),
    ({"kernel": "hmc", "steps": 0}, "steps: expected"),
    ({"kernel": "hmc", "bundle": "b"}, "bundle: expected with kernel 'l2hmc' only"),
    ({"md_length": 0}, "md_length: expected"),
    ({"md_length": 1.0, "tune": 3}, "tune: expected none"),
    ({"target_acceptance": 1.0}, "target_acceptance: expected"),
    ({"first": 0}, "first: expected"), ({"keep_every": 0}, "keep_every: expected"),
    ({"measure": ("mass",)}, "measure: expected one of flow"),
    ({"flow_time": 2.0}, "flow_time: expected with measure 'flow' only"),
    ({"measure": ("flow",), "flow_step": float("inf")}, "flow_step: expected"),
    ({"steps": 3}, "steps: expected with kernel 'hmc' only"),
    ({"integrator": "omf2"}, "integrator: expected with kernel 'hmc' only"),
    ({"inputs": ()}, "expected either inputs or a start, found neither"),
    ({"start": "hot"}, "expected either inputs or a start, found both"),
    ({"lattice": (4, 4, 4)}, "lattice: expected (X, Y, Z, T)"),
    ({"accept": ("unitarity",)}, "accept: expected one of checksum, plaquette"),
    ({"inputs": ("a", "b"), "chains": 3}, "chains: expected one input or 3, found 2"),
    ({"inputs": (), **COLD, "start": "warm"}, "start: expected one of cold, hot"),
    ({"inputs": (), **COLD, "beta": None}, "beta: expected one with start 'cold'"),
    ({"inputs": (), **COLD, "lattice": None}, "lattice: expected (X, Y, Z, T)"),
    ({"inputs": (), **COLD, "lattice": (4, 4, 4)}, "lattice: expected (X, Y, Z, T)"),
    ({"inputs": (), **COLD, "lattice": (4, 4, 0, 4)}, "lattice: expected a whole number"),
]


@pytest.mark.parametrize("changes, found", WRONG)
def test_wrong_values_are_refused_by_name(changes, found):
    with pytest.raises(ConfigError) as caught:
        SampleOptions(**{"inputs": "cfg.ildg", "out": "s", "trajectories": 1, **changes})
    assert found in str(caught.value)


def test_right_values_and_their_defaults():
    made = SampleOptions(inputs="cfg.ildg", out="s", trajectories=5)
    assert made.paths == (Path("cfg.ildg"),) and made.folder == Path("s")
    assert (made.kernel, made.tune, made.seed, made.bundle) == ("l2hmc", 20, None, None)
    assert SampleOptions(inputs=["a", Path("b")], out="s", trajectories=1, chains=2).paths == (
        Path("a"), Path("b"))
    assert SampleOptions(out="s", trajectories=1, kernel="hmc", steps=3, **COLD).paths == ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.seed = 3
    with pytest.raises(TypeError):
        SampleOptions(inputs="cfg.ildg", out="s", trajectories=1, sed=3)


def test_options_are_described_as_they_were_given():
    made = SampleOptions(inputs="cfg.ildg", out="s", trajectories=5, seed=0)
    assert made.described() == (
        "SampleOptions(seed=0, out='s', trajectories=5, inputs='cfg.ildg')")
    assert dataclasses.replace(made, command="mine").described() == "mine"


def test_options_import_no_torch():
    code = ("import sys\nfrom l2hmc_bridge.stream.options import SampleOptions\n"
            "SampleOptions(inputs='c', out='s', trajectories=1)\n"
            "raise SystemExit('imports torch' if 'torch' in sys.modules else 0)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
