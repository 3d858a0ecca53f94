"""Command lines of ours on Triton kernels in their interpreter, alone or as one of several ranks.

    TRITON_INTERPRET=1 python -m tests.support.planar_verbs_worker COMMANDS

As `verbs_worker`. A device "cuda" is main memory, where nothing but these kernels serves.
"""

import sys
import warnings

import torch

from l2hmc_bridge import fast
from l2hmc_bridge.fast import devices, reference
from l2hmc_bridge.fast.gpu import functions as gpu, launch


def in_the_interpreter():
    """What a GPU would be asked is asked of Triton's interpreter, unless torch is chosen."""
    warnings.filterwarnings("ignore", "AnnAssign.__init__ missing", DeprecationWarning)
    launch.trusted = gpu.trusted = lambda *_: True
    fast.backend = lambda *_: gpu if fast.choice() == "auto" else reference
    devices.device_of = devices.own_device = lambda name: torch.device("cpu")


if __name__ == "__main__":
    in_the_interpreter()
    from tests.support.verbs_worker import run  # imports what takes those names

    run(sys.argv[1])
