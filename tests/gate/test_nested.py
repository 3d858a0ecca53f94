"""The gate of nested steps lets right ones through and catches what is planted in them."""

from dataclasses import dataclass, replace

import pytest
import torch

from l2hmc_bridge.gate import nested as gate
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import HostTerm
from l2hmc_bridge.systems.actions import GaugeAction
from tests.gate.test_rows import kernel_for
from tests.support.fields import rough_links

ACTION, LATTICE = GaugeAction(2.0), (2, 2, 2, 4)


def nested(inner=None, cls=Nested):
    heavy, ratio = (HostTerm(name, ACTION, ACTION.force) for name in ("heavy", "ratio"))
    levels = (Level("heavy", (heavy,), schedule("leapfrog", 1.0, 1), 1),  # terms: stand-ins instead
              Level("ratio", (ratio,), schedule("force_gradient", 0.5, 1), 2))
    return cls(inner or HMC(ACTION, 1.0, 1, "omf2"), levels)


def failed(checks):
    return {check.name for check in checks if not check.passed}


@pytest.mark.slow
def test_right_steps_pass():
    checks = gate.run(nested(kernel_for()), (2, 4, 4, 4), trajectories=110)
    names = [check.name for check in checks]
    assert not failed(checks), [check for check in checks if not check.passed]
    assert len(checks) == 19 and len(names) > 15


@dataclass(frozen=True)
class DroppedJacobian(Nested):
    """log|J| of the inner step is forgotten."""

    def trajectory(self, state, momenta, generator):
        end = super().trajectory(state, momenta, generator)
        return end._replace(log_det=0 * end.log_det)


@dataclass(frozen=True)
class StaleForce(Nested):
    """Every kick of a level uses the force at the start."""

    def _force(self, number, place):
        if place.forces[number] is None:
            place.forces[number] = self.first[number]
        self.first[number] = place.forces[number]
        return place.forces[number]

    first = [None] * 3


@dataclass(frozen=True)
class Lopsided(Nested):
    """The first kick of every level is left out."""

    def _push(self, number, displacement, place):
        push = super()._push(number, displacement, place)
        if self.begun.get(number) is not place:
            self.begun[number] = place
            return 0 * push
        return push

    begun = {}


@dataclass(frozen=True)
class KeptForces(Nested):
    """After a reject the forces of the proposal stay."""

    def step(self, state, generator):
        old, (new, info) = state, super().step(state, generator)
        if not info.accepted.all():
            moved, _ = self.moved(old, torch.zeros_like(old.links), generator)
            new = new._replace(level_forces=moved.level_forces)
        return new, info


@pytest.mark.slow
@pytest.mark.parametrize("cls, rows", [
    (DroppedJacobian, {"log|J| of the proposal, random networks, wrong forces"}),
    (StaleForce, {"involution: U after a trajectory and back"}),
    (Lopsided, {"involution: U after a trajectory and back"}),
    (KeptForces, {"state: S and F of all levels as recomputed"}),
])
def test_every_planted_defect_is_caught(cls, rows):
    generator = torch.Generator().manual_seed(6)
    kernel = nested(kernel_for(), cls)
    probes = gate.on_stand_ins(kernel)
    links = rough_links(generator, LATTICE, 2)
    checks = gate.on_host(probes, links, generator)
    if cls is DroppedJacobian:
        checks += gate.jacobian(kernel, generator)
    checks += gate.bookkeeping(probes, links, generator)
    assert rows <= {name.split(" (")[0] for name in failed(checks)}


@pytest.mark.slow
def test_a_wrong_average_is_caught():
    """Statistical rows: proposals taken without asking, as if forces were right, must fail."""

    @dataclass(frozen=True)
    class Accepting(Nested):
        def moved(self, state, momenta, generator):
            new, info = super().moved(state, momenta, generator)
            return new, info._replace(log_ratio=0.01 * info.log_ratio)

    generator = torch.Generator().manual_seed(7)
    kernel = replace(nested(cls=Accepting), scale=3.0)
    links = gate.thermalised(gate.on_stand_ins(kernel), LATTICE, generator, 10)
    names = failed(gate.statistical(kernel, links, 60, generator))
    assert any(name.startswith("mean plaquette") for name in names)
