"""A stream on Triton kernels in their interpreter, alone or on ranks, begun or resumed.

    TRITON_INTERPRET=1 python -m tests.support.planar_stream_worker FOLDER RANKS|- COUNT [resume]

Fields are in main memory, where nothing else serves them; all that goes on is what a GPU would see.
"""

import sys
import warnings

import l2hmc_bridge as lb
from l2hmc_bridge import fast
from l2hmc_bridge.fast.gpu import functions as gpu, launch

HOW = {"start": "hot", "lattice": (2, 1, 2, 6), "beta": 5.7, "kernel": "hmc", "thermalise": 0,
       "integrator": "force_gradient", "steps": 1, "step_size": 0.3, "tune": 0, "seed": 3,
       "threads": 1, "chains": 2, "measure": ("flow",), "flow_time": 0.05, "flow_step": 0.05,
       "ungated": True}


def main(folder, ranks, count, *resume):
    warnings.filterwarnings("ignore", "AnnAssign.__init__ missing", DeprecationWarning)
    launch.trusted = gpu.trusted = lambda *_: True
    fast.backend = lambda *_: gpu
    ranks = None if ranks == "-" else ranks
    if resume:
        lb.resume_stream(folder, int(count), ranks=ranks)
    else:
        lb.begin_stream(lb.SampleOptions(out=folder, trajectories=int(count), **HOW), ranks=ranks)


if __name__ == "__main__":
    main(*sys.argv[1:])
