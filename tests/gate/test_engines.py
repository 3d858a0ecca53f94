"""Defects inside the compiled engine: rows that state laws catch each of them."""

import pytest
import torch

from l2hmc_bridge.fast.cpu import learned, library
from l2hmc_bridge.gate import engines, rows as gate
from l2hmc_bridge.l2hmc.compiled import CompiledEngine
from l2hmc_bridge.l2hmc.compiled_moves import Moves
from l2hmc_bridge.l2hmc.engines import engine_for
from l2hmc_bridge.systems.actions import gauge_action
from tests.l2hmc.test_kernel import make_kernel, randomise
from tests.support.planted import planted

pytestmark = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")

LATTICE = (2, 2, 2, 4)
COMPOSITIONS = ("palindrome", "direction")


def kernel_for(composition, kind="all"):
    kernel = make_kernel(kind, None, "leapfrog", composition, 2, 0.2, gauge_action("wilson", 2.0),
                         ("laplacian",))
    randomise(kernel, torch.Generator().manual_seed(3), 0.1)
    return kernel


class InverseKickTooLong(CompiledEngine):
    """Gamma- with 1.05 times the step size."""

    def unkick(self, k, share=1.0):
        super().unkick(k, 1.05 * share)


class DroppedTerm(CompiledEngine):
    """log|J| of the first kick, forth and back, is not counted."""

    def _kick(self, k, share, mode):
        super()._kick(k, share, mode)
        if k == 0:
            self._changes.pop()


class ForwardOrder(Moves):
    def of_drift(self, k, sign, net):
        return super().of_drift(k, 1, net)


class WrongOrder(CompiledEngine):
    """The inverse drift takes the subsets in the order of the forward one."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.moves = ForwardOrder(**vars(self.moves))


class StaleForce(CompiledEngine):
    """After a drift the force of the field before it is taken for that of the new one."""

    def drift(self, k, sign):
        before = self.field.force().clone()
        super().drift(k, sign)
        self.field.given = before


DEFECTS = {  # defect: a kernel in which it can show
    InverseKickTooLong: "all", DroppedTerm: "all", WrongOrder: "all", StaleForce: "drift",
}


def laws(kernel):
    """Rows that state laws, none that counts on statistics."""
    generator = torch.Generator().manual_seed(5)
    links = gate.thermalised(kernel, LATTICE, generator, 3)
    with torch.no_grad():
        return {"quick": gate.quick(kernel, links, generator),
                "engine": engines.agreement(kernel, links[:1], generator),
                "jacobian": gate.jacobian(kernel, generator),
                "symmetry": gate.symmetry(kernel, links[:1], generator),
                "state": gate.bookkeeping(kernel, links, generator)}


def failed(groups):
    return {check.name for checks in groups.values() for check in checks if not check.passed}


@pytest.mark.slow
@pytest.mark.parametrize("composition", COMPOSITIONS)
@pytest.mark.parametrize("kind", ["all", "drift"])
def test_the_right_engine_passes_and_is_named(composition, kind):
    kernel = kernel_for(composition, kind)
    with torch.no_grad():
        assert engine_for(kernel, torch.zeros(1, 4, *LATTICE, 3, 3).cdouble()) is CompiledEngine
    groups = laws(kernel)
    assert failed(groups) == set()
    assert len(groups["engine"]) == 2
    assert all(library.library().level in check.name for check in groups["engine"])
    assert "compiled kernels" in engines.serving(kernel, LATTICE)


@pytest.mark.slow
@pytest.mark.parametrize("composition", COMPOSITIONS)
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_a_defect_of_the_compiled_engine_is_caught(defect, composition):
    kernel = planted(kernel_for(composition, DEFECTS[defect]), defect)
    groups = laws(kernel)
    assert failed({"engine": groups["engine"]}), "the row that compares with torch is blind"
    groups.pop("engine")
    assert failed(groups), "no law is violated"


@pytest.mark.slow
def test_a_wrong_number_inside_a_kernel_call_is_caught(monkeypatch):
    """Planted below the engine: the compiled inverse kick gets another step size."""
    original = learned.kick_task

    def wrong(lattice, push, h, momenta, mode, *rest, **more):
        step = 1.05 * h if mode == learned.INVERSE else h
        return original(lattice, push, step, momenta, mode, *rest, **more)

    monkeypatch.setattr(learned, "kick_task", wrong)
    for composition in COMPOSITIONS:
        caught = failed({"quick": laws(kernel_for(composition))["quick"]})
        assert "inverse: P after Phi, Phi^-1" in caught
        assert composition == "direction" or "palindrome: an involution" in caught
