"""A stream on Triton kernels in their interpreter, alone or on ranks, begun or resumed.

    TRITON_INTERPRET=1 python -m tests.support.planar_stream_worker
        FOLDER RANKS|- COUNT [HOW [BUNDLE]]

HOW: resume, heatbath, networks of a bundle, or a bundle, whose steps are tuned and proved on fewer
sites. Fields are in main memory, where nothing else serves them but fingerprints of bundles with
networks; all that goes on is what a GPU would see.
"""

import sys
import warnings

import l2hmc_bridge as lb
from l2hmc_bridge import fast
from l2hmc_bridge.bundle.fingerprint import LATTICES
from l2hmc_bridge.fast.gpu import functions as gpu, launch
from l2hmc_bridge.l2hmc import planar_trial
from l2hmc_bridge.ranks import reach

HOW = {"start": "hot", "beta": 5.7, "thermalise": 0, "seed": 3, "threads": 1, "ungated": True}
HMC = {"lattice": (2, 1, 2, 6), "kernel": "hmc", "integrator": "force_gradient", "steps": 1,
       "step_size": 0.3, "tune": 0, "chains": 2, "measure": ("flow",), "flow_time": 0.05,
       "flow_step": 0.05}
HEAT_BATH = {"lattice": (2, 2, 6, 6), "kernel": "heatbath"}
NETWORKS = {"lattice": (2, 1, 1, 10), "kernel": "l2hmc", "tune": 0}
STEPS = {"lattice": (2, 1, 2, 2), "kernel": "l2hmc", "tune": 1, "chains": 2}


def main(folder, ranks, count, how=None, bundle=None):
    warnings.filterwarnings("ignore", "AnnAssign.__init__ missing", DeprecationWarning)
    launch.trusted = gpu.trusted = planar_trial.agrees = lambda *_: True
    x, y, z, t = LATTICES["su3"]
    usual = fast.backend
    fast.backend = lambda *fields: (
        usual(*fields) if bundle and fields[0].shape[2:6] == (t, x, y, z) else gpu)
    if how == "heatbath":  # on kernels in main memory, which are not asked for here
        reach._require_kernels = lambda *_: None
    ranks = None if ranks == "-" else ranks
    if how == "resume":
        lb.resume_stream(folder, int(count), ranks=ranks)
        return
    more = {None: HMC, "heatbath": HEAT_BATH,
            "networks": {**NETWORKS, "bundle": bundle}}.get(how, {**STEPS, "bundle": how})
    lb.begin_stream(lb.SampleOptions(out=folder, trajectories=int(count), **{**HOW, **more}),
                    ranks=ranks)


if __name__ == "__main__":
    main(*sys.argv[1:])
