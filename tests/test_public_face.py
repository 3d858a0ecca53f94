"""`import l2hmc_bridge as lb`: what it offers, when it is imported, and that it is what it says."""

import ast
import subprocess
import sys

import pytest

import l2hmc_bridge as lb
from tests.support.places import ROOT

NAMES = {"read", "write", "detect", "open_ensemble", "Configuration", "HMC", "L2HMC",
         "GaugeAction", "HostAction", "Hosted", "Mixture", "load_bundle", "check_bundle",
         "measure", "analyse", "begin_stream", "resume_stream", "trajectory_generator",
         "BridgeError", "SampleOptions", "__version__"}


def child(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_exactly_these_names():
    assert set(lb.__all__) == NAMES and len(lb.__all__) == len(NAMES)
    assert set(dir(lb)) >= NAMES
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = lb.nonsense


@pytest.mark.parametrize("name", sorted(NAMES - {"__version__"}))
def test_every_name_is_documented(name):
    assert getattr(lb, name).__doc__


def test_nothing_heavy_before_the_first_use():
    child("import sys\nimport l2hmc_bridge as lb\ndir(lb)\nlb.__version__\nlb.BridgeError\n"
          "lb.SampleOptions(inputs='c', out='s', trajectories=1)\n"
          "heavy = {'torch', 'numba', 'numpy', 'h5py', 'click'} & set(sys.modules)\n"
          "assert not heavy, heavy\nlb.HMC\nassert 'torch' in sys.modules")


@pytest.mark.slow
def test_star_and_from_imports_work():
    child("from l2hmc_bridge import *\nfrom l2hmc_bridge import fast, measure\n"
          "assert callable(measure) and read and fast.choice()\n")


def test_type_checkers_and_python_see_the_same():
    """The imports that only type checkers read name the places that `__getattr__` looks at."""
    tree = ast.parse((ROOT / "l2hmc_bridge" / "__init__.py").read_text())
    told = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("l2hmc_bridge."):
            told |= {alias.asname or alias.name: (node.module.partition(".")[2], alias.name)
                     for alias in node.names}
    assert told == lb._PLACES
    assert set(told) | {"__version__"} == set(lb.__all__)


def test_the_example_of_the_docstring_runs(monkeypatch):
    lines = [line.strip() for line in lb.__doc__.splitlines() if line.startswith("    ")]
    code = "\n".join(lines).replace("cfg.ildg", "examples/data/milc_l4x6x8x10_b6.0.ildg")
    monkeypatch.chdir(ROOT)
    found = {}
    exec(code, found)
    assert found["info"].accepted.shape == (1,)
