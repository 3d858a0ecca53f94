"""Programs in Triton's interpreter, in a process of their own: it is chosen before triton is seen.
"""

import importlib.util
import os
import subprocess
import sys

import pytest

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None,
                                  reason="triton is not installed")
# Triton 3.7 itself uses what Python 3.13 deprecates.
STRICT = ("-W", "error", "-W", "ignore:AnnAssign.__init__ missing:DeprecationWarning")
TRUST = """
from l2hmc_bridge.fast.gpu import functions as gpu, launch
launch.trusted = gpu.trusted = lambda *_: True
"""


def environment(**more: str) -> dict[str, str]:
    """This process's, one thread, with what can be imported here."""
    return os.environ | {"OMP_NUM_THREADS": "1",
                         "PYTHONPATH": ":".join(filter(None, sys.path))} | more


def interpreted(program: str, *options: str) -> str:
    """What a program on interpreted kernels says; it must end well, warnings are errors."""
    done = subprocess.run([sys.executable, *STRICT, *options, "-c", TRUST + program],
                          capture_output=True, text=True, timeout=900,
                          env=environment(TRITON_INTERPRET="1"))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
