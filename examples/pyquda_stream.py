"""PyQUDA's quenched HMC (examples/1_Quenched_HMC.py there), every k-th trajectory L2HMC.

    python examples/pyquda_stream.py

PyQUDA's gauge action, momenta, integrator, accept/reject, plaquette and files; the L2HMC trajectory
is one more update in the loop, its proposal judged by hmc.accept. Configurations are cfg_<n>.npy.
"""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from l2hmc_bridge import models
from l2hmc_bridge.adapters.hosts import pyquda as bridge
from l2hmc_bridge.bundle import file as bundle


class Row(NamedTuple):
    """One trajectory: which update made it, and QUDA's plaquette after it."""

    number: int
    update: str
    accepted: bool
    delta_h: float
    plaquette: float


def energy(hmc):
    """S of gauge field and fermions."""
    return hmc.gaugeAction() + hmc.fermionAction()


def hmc_update(hmc, gauge, time):
    """PyQUDA's trajectory; `gauge` follows what it accepts."""
    hmc.samplePhi()
    hmc.gaussMom()
    old = hmc.momAction() + energy(hmc)
    hmc.integrate(time, 2e-14)
    delta = hmc.momAction() + energy(hmc) - old
    return _decide(hmc, gauge, delta), delta


def l2hmc_update(hmc, gauge, propose):
    """The same with a trained kernel's proposal; fermions enter through energy(hmc) alone."""
    hmc.samplePhi()
    old = energy(hmc)
    moved, correction = propose(gauge)
    hmc.loadGauge(moved)
    delta = energy(hmc) + correction - old
    return _decide(hmc, gauge, delta), delta


def _decide(hmc, gauge, delta):
    accepted = hmc.accept(delta)
    if accepted:
        hmc.saveGauge(gauge)
    else:
        hmc.loadGauge(gauge)
    return accepted


def stream(hmc, gauge, kernel, trajectories, every, time=1.0, save=None):
    """Rows of a stream from `gauge`, which is resident in `hmc`; every = 0 is PyQUDA's HMC alone.

    save(number, gauge) is called after each trajectory.
    """
    propose, rows = bridge.l2hmc_proposal(kernel, hmc.random), []
    for number in range(1, trajectories + 1):
        if every and number % every == 0:
            name, (accepted, delta) = "l2hmc", l2hmc_update(hmc, gauge, propose)
        else:
            name, (accepted, delta) = "hmc", hmc_update(hmc, gauge, time)
        rows.append(Row(number, name, bool(accepted), delta, hmc.plaquette()[0]))
        if save is not None:
            save(number, gauge)
    return rows


def refuse_existing(numbers):
    """FileExistsError if one of the configurations is there: PyQUDA would overwrite it."""
    there = [name for name in (f"cfg_{number}.npy" for number in numbers) if Path(name).exists()]
    if there:
        raise FileExistsError(f"{there[0]}: expected none of cfg_N.npy before a new stream, found "
                              f"this and {len(there) - 1} more (start in another folder)")


def library():
    """What of PyQUDA this example uses, imported."""
    from pyquda.action import GaugeAction, abstract
    from pyquda.hmc import HMC, O2Nf1Ng0V
    from pyquda_utils import core, io

    return SimpleNamespace(GaugeAction=GaugeAction, LoopParam=abstract.LoopParam, HMC=HMC,
                           Integrator=O2Nf1Ng0V, core=core, io=io)


def main():
    """100 trajectories on 16^3 x 32 at beta 6.2, every second one L2HMC."""
    q, beta, numbers = library(), 6.2, range(5, 101, 5)
    refuse_existing(numbers)
    q.core.init(resource_path=".cache/quda")
    X, Y, Z, T = q.core.X, q.core.Y, q.core.Z, q.core.T
    planes = [[a, b, -a, -b] for a, b in ((X, Y), (X, Z), (Y, Z), (X, T), (Y, T), (Z, T))]
    info = q.core.LatticeInfo([16, 16, 16, 32])
    hmc = q.HMC(info, [q.GaugeAction(info, q.LoopParam(planes, [1.0] * 6), beta)],
                q.Integrator(100))
    gauge = q.core.LatticeGauge(info)
    hmc.initialize(10086, gauge)
    kernel = bundle.load(models.default(), beta, bridge.to_links(gauge).device).kernel

    def save(number, field):
        if number in numbers:
            q.io.writeNPYGauge(f"cfg_{number}.npy", field)

    log = q.core.getLogger()
    for name, rows in _by_update(stream(hmc, gauge, kernel, 100, 2, save=save)).items():
        weight = sum(math.exp(-row.delta_h) for row in rows) / len(rows)
        log.info(f"{name}: {len(rows)} updates, acceptance "
                 f"{sum(row.accepted for row in rows) / len(rows):.2f}, <exp(-dH)> {weight:.4f}")


def _by_update(rows):
    return {name: [row for row in rows if row.update == name] for name in ("hmc", "l2hmc")}


if __name__ == "__main__":
    main()
