"""The gate lets a right kernel through and catches every defect planted in it."""

from dataclasses import dataclass, replace

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.check import Check, all_passed
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.cli import main
from l2hmc_bridge.gate import rows as gate
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.l2hmc.reference import TorchEngine
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.systems.actions import gauge_action
from tests.l2hmc.test_kernel import make_kernel, randomise
from tests.support import gates
from tests.support.planted import planted

LATTICE = (2, 2, 2, 4)
ACTION = gauge_action("wilson", 2.0)


def kernel_for(composition="palindrome", kind="kick", cls=L2HMC, size=0.1):
    """Small networks, so that the acceptance stays high enough for statistics."""
    generator = torch.Generator().manual_seed(3)
    kernel = make_kernel(kind, None, "leapfrog", composition, 2, 0.2, ACTION, ("laplacian",))
    randomise(kernel, generator, size)
    return cls(*(getattr(kernel, name) for name in kernel.__dataclass_fields__))


def failed(checks):
    return {check.name for check in checks if not check.passed}


@pytest.mark.slow
@pytest.mark.parametrize("composition", ["palindrome", "direction"])
def test_right_kernels_pass(composition):
    checks = gate.run(kernel_for(composition), LATTICE, trajectories=150)
    assert not failed(checks), [c for c in checks if not c.passed]
    gates.require_rows(checks, kernel_for(composition), LATTICE)


@pytest.mark.parametrize("kind", ["steps", "drift", "mixing", "all"])
def test_every_kind_of_network_passes_the_laws(kind):
    kernel = kernel_for(kind=kind)
    generator = torch.Generator().manual_seed(4)
    links = gate.thermalised(kernel, LATTICE, generator, 3)
    checks = gate.quick(kernel, links, generator) + gate.symmetry(kernel, links, generator)
    assert not failed(checks), [c for c in checks if not c.passed]


class ElementMasks(TorchEngine):
    """Upstream's SU(3) drift: m U + exp(e P) (mb U) over matrix elements."""

    def drift(self, k, sign):
        mask = torch.zeros(3, 3, dtype=self.links.dtype)
        mask[0] = mask[1, 1] = 1
        kept, moving = self.links * mask, self.links * (1 - mask)
        self.links = kept + fast.expm_multiply(self.momenta, moving, sign * self.drifts[k])
        self.force = self.kernel.action.force(self.links)
        self.evaluations += 1
        self._features, self._displaced = None, {}


class NineComponents(TorchEngine):
    """log|J| that counts nine matrix entries per link instead of eight components."""

    def kick(self, k, share=1.0):
        super().kick(k, share)
        self._changes[-1] = self._changes[-1] * 9 / 8

    def unkick(self, k, share=1.0):
        super().unkick(k, share)
        self._changes[-1] = self._changes[-1] * 9 / 8


class DroppedJacobian(TorchEngine):
    """log|J| left out of everything."""

    def kick(self, k, share=1.0):
        super().kick(k, share)
        self._changes.clear()

    def unkick(self, k, share=1.0):
        super().unkick(k, share)
        self._changes.clear()


class HalfJacobian(TorchEngine):
    """The second half of the palindrome does not count."""

    def flip(self):
        self._changes.clear()
        super().flip()


class WrongInverse(TorchEngine):
    """Gamma- that scales before it kicks back."""

    def unkick(self, k, share=1.0):
        h = share * self.kicks[k]
        push, s = self._push(self.kernel.kick_network, k, h)
        self.momenta = self.momenta * torch.exp(-h * s)[..., None, None] + h * push
        self._changes.append(-8 * (h * s).flatten(1).sum(1))


class GaugeDependent(TorchEngine):
    """A kick with a fixed direction in colour space."""

    def _push(self, *arguments):
        force, s = super()._push(*arguments)
        return force + 0.1 * fast.expm_multiply(force, force, 0.0)[..., :1, :1] * 1j, s


@pytest.mark.slow
@pytest.mark.parametrize(
    "defect, kind, rows",
    [
        (ElementMasks, "kick", {"group: growth of max|U U^+ - 1|", "inverse: U after Phi, Phi^-1"}),
        (NineComponents, "kick", {"log|J| of Phi, random networks"}),
        (DroppedJacobian, "kick", {"log|J| of Phi, random networks"}),
        (HalfJacobian, "kick", {"log|J| of the proposal, random networks",
                                "palindrome: log|J| cancels"}),
        (WrongInverse, "kick", {"inverse: P after Phi, Phi^-1"}),
    ],
)
def test_planted_defects_of_the_map(defect, kind, rows):
    kernel = planted(kernel_for(kind=kind), defect)
    generator = torch.Generator().manual_seed(5)
    links = gate.thermalised(kernel, LATTICE, generator, 3)
    caught = failed(gate.quick(kernel, links, generator))
    if not rows <= caught:
        caught |= failed(gate.jacobian(kernel, generator))
    assert rows <= caught


def test_gauge_dependent_kick_is_caught():
    kernel = planted(kernel_for(), GaugeDependent)
    generator = torch.Generator().manual_seed(6)
    links = gate.thermalised(kernel, LATTICE, generator, 3)
    assert "gauge covariance" in failed(gate.symmetry(kernel, links, generator))


@dataclass(frozen=True)
class FlippedAccept(L2HMC):
    """Initial and proposed state exchanged in the accept exponent."""

    def step(self, state, generator):
        proposal, info = markov.propose(self, state, generator)
        uniform = markov.draw_uniform(len(state.links), generator)
        new, accepted = markov.metropolis(state, proposal, -info.log_ratio, uniform)
        return new, info._replace(accepted=accepted, log_ratio=-info.log_ratio)


@dataclass(frozen=True)
class HotMomenta(L2HMC):
    """Momenta of variance 1.1^2 with the kinetic energy of variance 1."""

    def trajectory(self, state, momenta, generator):
        end = super().trajectory(state, 1.1 * momenta, generator)
        return end


@dataclass(frozen=True)
class IgnoredJacobian(L2HMC):
    """log|J| not used in the accept step."""

    def step(self, state, generator):
        proposal, info = markov.propose(self, state, generator)
        ratio = info.log_ratio - info.log_det
        uniform = markov.draw_uniform(len(state.links), generator)
        new, accepted = markov.metropolis(state, proposal, ratio, uniform)
        return new, info._replace(accepted=accepted, log_ratio=ratio)


@pytest.mark.slow
@pytest.mark.parametrize(
    "defect, composition",
    [(FlippedAccept, "palindrome"), (HotMomenta, "palindrome"), (IgnoredJacobian, "direction")],
)
def test_planted_defects_of_the_accept_step(defect, composition):
    kernel = kernel_for(composition, cls=defect, size=0.3)
    generator = torch.Generator().manual_seed(7)
    links = gate.thermalised(kernel, LATTICE, generator, 20)
    caught = failed(gate.statistical(kernel, links, 150, generator))
    assert caught & {name for name in caught if name.startswith(("<exp", "mean plaq"))}


@dataclass(frozen=True)
class StaleAfterReject(L2HMC):
    """A rejected proposal leaves its action behind."""

    def step(self, state, generator):
        proposal, info = markov.propose(self, state, generator)
        uniform = markov.draw_uniform(len(state.links), generator)
        new, accepted = markov.metropolis(state, proposal, info.log_ratio, uniform)
        return State(new.links, proposal.action, new.force), info._replace(accepted=accepted)


@dataclass(frozen=True)
class StaleAfterRefresh(L2HMC):
    """The action redraws its noise; the state keeps the values of the old noise."""

    def step(self, state, generator):
        self.action.refresh(state.links, generator)
        proposal, info = markov.propose(self, state, generator)
        reject = torch.full_like(info.log_ratio, -torch.inf)
        new, accepted = markov.metropolis(state, proposal, reject, torch.ones(len(reject)))
        return new, info._replace(accepted=accepted)


@pytest.mark.slow
@pytest.mark.parametrize(
    "defect, row", [(StaleAfterReject, "state: action and force"),
                    (StaleAfterRefresh, "state: nothing cached"),
                    (IgnoredJacobian, "state: log ratio")]
)
def test_planted_defects_of_the_bookkeeping(defect, row):
    kernel = kernel_for(cls=defect)
    generator = torch.Generator().manual_seed(8)
    links = gate.thermalised(kernel, LATTICE, generator, 3)
    caught = failed(gate.bookkeeping(kernel, links, generator))
    assert any(name.startswith(row) for name in caught)
    assert not failed(gate.bookkeeping(kernel_for(), links, generator))


def test_nan_weights_count_as_zero_and_are_reported():
    class Broken:
        """Every second proposal is NaN."""

        def __init__(self, kernel):
            self.kernel, self.action, self.init = kernel, kernel.action, kernel.init
            self.calls = 0

        def step(self, state, generator):
            new, info = self.kernel.step(state, generator)
            self.calls += 1
            bad = torch.full_like(info.log_ratio, torch.nan) if self.calls % 2 else info.log_ratio
            return (state if self.calls % 2 else new), info._replace(log_ratio=bad)

    kernel = kernel_for()
    generator = torch.Generator().manual_seed(9)
    links = gate.thermalised(kernel, LATTICE, generator, 3)
    _, weights, lost = gate._chain(Broken(kernel), links, 10, generator)
    assert lost == 5 * gate.CHAINS
    assert (weights[::2] == 0).all() and weights.isfinite().all()


def test_host_action_row():
    ours = torch.tensor([100.0, 200.0], dtype=torch.float64)
    assert all_passed(gate.host_action(ours, ours.clone(), "host"))
    assert not all_passed(gate.host_action(ours, ours + 1e-6, "host"))


def test_checks_with_nan_never_pass():
    assert not Check("x", float("nan"), 0.0, 1.0, "").passed
    assert not Check("x", 0.0, float("inf"), float("inf"), "").passed
    assert Check("x", float("nan"), 0.0, 1.0, "").as_dict()["ours"] is None
    assert not all_passed([])


@pytest.mark.slow
@pytest.mark.parametrize("right", [True, False])
def test_command_table_status_and_write(right, tmp_path, capsys, monkeypatch):
    path = tmp_path / "kernel.safetensors"
    bundle.save(path, kernel_for(kind="steps"), {"seed": 3}, (1.8, 2.2))
    if not right:
        original = L2HMC.enter

        def other_steps_back(self, at, closed=True):
            end = at.leave()
            wrong = replace(self, scale=1.01 * self.scale)
            at.__dict__ = original(wrong, end.links, end.momenta, end.force).__dict__
            inverse(wrong, at, closed)

        inverse = L2HMC.inverse
        monkeypatch.setattr(L2HMC, "inverse", other_steps_back)
    arguments = ["gate", str(path), "--lattice", "2,2,2,2", "--write", "-n", "250"]
    assert main(arguments) == (0 if right else 1)
    table = capsys.readouterr().out
    assert ("FAIL" in table) is (not right)
    assert "log|J| of Phi, as trained" in table
    stored = bundle.load(path).gate
    assert stored["passed"] is right
    assert stored["settings"]["lattice_txyz"] == [2, 2, 2, 2]


@pytest.mark.slow
def test_command_says_how_a_wide_error_becomes_a_narrow_one(tmp_path, capsys, monkeypatch):
    path = tmp_path / "kernel.safetensors"
    bundle.save(path, kernel_for(kind="steps"), {"seed": 3}, (1.8, 2.2))
    monkeypatch.setattr(gate, "PLAQUETTE_ERROR", 1e-9)
    assert main(["gate", str(path), "--lattice", "2,2,2,2", "-n", "50"]) == 1
    assert "more trajectories (-n)" in capsys.readouterr().err
