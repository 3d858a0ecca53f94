"""Rows of the gate for nested steps: their levels around host terms.

On a host (`on_host`): group, involution and log|J| of whole trajectories for one draw of its noise.
On stand-ins (`run`): the levels of a kernel, each term replaced by a rectangle action of ours,
which costs nothing and has HMC beside it: the Jacobian, <exp(-dH + log|J|)>, averages; the same
with a rough force, which may cost acceptance and nothing else; and with a force that remembers,
which must be caught.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from l2hmc_bridge.analysis import statistics
from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fields import loops, su3
from l2hmc_bridge.gate import laws, probes
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling import hmc, markov
from l2hmc_bridge.sampling.draws import Generators, draw_momenta
from l2hmc_bridge.sampling.markov import Kernel
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.stand_in import Force, on_stand_ins
from l2hmc_bridge.sampling.terms import check_terms
from l2hmc_bridge.systems.actions import cold_start

LAW = "exact law"
SIGMAS, CHAINS = 4.0, 8
EXP_ERROR, PLAQUETTE_ERROR = 0.03, 2e-3  # largest standard errors that still prove something
COARSE = 5.0  # rough forces are rounded to this at most, over the root of their components' number
CALM = 0.15  # largest <r^2> of the statistical rows: acceptance 0.85
ROUGH = 0.6  # that of their rough force: acceptance 0.7
MEMORY = 0.05  # share of the force at the field before in one that remembers


def run(kernel: Nested, lattice: tuple[int, int, int, int], trajectories: int = 150, seed: int = 1,
        progress: Callable[[str], None] = lambda name: None) -> list[Check]:
    """Every row for the levels of `kernel` and its inner step, on stand-ins; SU(3), Nt first."""
    generator = torch.Generator().manual_seed(seed)
    right = on_stand_ins(kernel)
    progress("thermalise")
    links = thermalised(right, lattice, generator)
    progress("group, involution")
    checks = on_host(right, links, generator)
    progress("Jacobian")
    checks += jacobian(kernel, generator)
    progress("state")
    checks += bookkeeping(right, links, generator)
    progress("memory")
    checks += memory(kernel, links, generator)
    progress("statistics")
    return checks + statistical(kernel, links, trajectories, generator)


@torch.no_grad()
def on_host(kernel: Nested, links: Tensor, generator: Generators) -> list[Check]:
    """Group and involution of a trajectory from `links` and back, noise drawn once."""
    state = kernel.refreshed(kernel.init(links), generator)
    momenta = draw_momenta(links, generator)
    end = kernel.trajectory(state, momenta, generator)
    back = kernel.trajectory(kernel.at(end.links), -end.momenta, generator)
    growth = [float(defect(end.links).max()) - float(defect(links).max())
              for defect in (su3.unitarity_defect, su3.determinant_defect)]
    return [
        Check("group: growth of max|U U^+ - 1|", growth[0], 0, 1e-12, LAW),
        Check("group: growth of max|det U - 1|", growth[1], 0, 1e-12, LAW),
        Check("algebra: max|P + P^+|", float((end.momenta + end.momenta.mH).abs().max()), 0,
              1e-11, LAW),
        Check("involution: U after a trajectory and back",
              float((back.links - links).abs().max()), 0, 1e-10, LAW),
        Check("involution: P after a trajectory and back",
              float((back.momenta + momenta).abs().max()), 0, 1e-9, LAW),
        Check("involution: log|J| cancels", float((end.log_det + back.log_det).abs().max()), 0,
              1e-8, LAW),
    ]


def jacobian(kernel: Nested, generator: torch.Generator) -> list[Check]:
    """log|J| of the whole proposal against the dense numerical Jacobian, on 2^4.

    Networks of the inner step random, forces of the levels wrong by a field that is no gradient.
    """
    links = cold_start((2, 2, 2, 2))
    links = su3.exp(0.4 * su3.random_algebra(links.shape[:-2], generator)) @ links
    momenta = su3.random_algebra(links.shape[:-2], generator)
    inner = kernel.inner
    if isinstance(inner, L2HMC):
        inner = probes.roughened(inner, generator)
    step = replace(on_stand_ins(kernel, _no_gradient), inner=inner)

    def there(links: Tensor, momenta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        end = step.trajectory(step.at(links), momenta, generator)
        return end.links, -end.momenta, end.log_det

    defect = laws.jacobian_defect(there, links, momenta)
    return [Check("log|J| of the proposal, random networks, wrong forces", defect, 0, 1e-6,
                  "finite differences, 2^4")]


@torch.no_grad()
def bookkeeping(kernel: Nested, links: Tensor, generator: torch.Generator) -> list[Check]:
    """S and F of every level carried through accepts and rejects, against new ones."""
    state, worst, rejected = kernel.init(links), 0.0, 0
    for factor in (1, 1, 4, 16, 1):  # the large steps are there to be rejected
        state, info = kernel.scaled(factor).step(state, generator)
        rejected += int((~info.accepted).sum())
        new = kernel.at(state.links)
        worst = max(worst, *(float((one - other).abs().max())
                             for one, other in zip(new[:5], state[:5], strict=True)
                             if one is not None and other is not None))
    return [Check(f"state: S and F of all levels as recomputed ({rejected} rejects)", worst, 0,
                  1e-8, "recomputed")]


@torch.no_grad()
def memory(kernel: Nested, links: Tensor, generator: torch.Generator) -> list[Check]:
    """A force with a share of the one before it: the involution fails, and its term is named."""
    step = on_stand_ins(kernel, _with_memory)
    rows = {check.name: check for check in on_host(step, links, generator)}
    missed = not rows["involution: U after a trajectory and back"].passed
    try:
        check_terms(step.levels[0].terms, links, generator)
        named = False
    except ActionError as error:
        named = step.levels[0].terms[0].name in str(error) and "history" in str(error)
    return [Check("control: a force that remembers misses its start", float(not missed), 0, 0,
                  "must be caught"),
            Check("control: it is refused by name", float(not named), 0, 0, "must be caught")]


@torch.no_grad()
def statistical(kernel: Nested, links: Tensor, trajectories: int,
                generator: torch.Generator) -> list[Check]:
    """<exp(-dH + log|J|)> and the mean plaquette, forces right and rough, HMC beside them.

    All steps are scaled down together if the scheme would hardly accept on these stand-ins.
    """
    factor = calming(on_stand_ins(kernel), links, generator)
    kernel = kernel.scaled(factor)
    right, rough = on_stand_ins(kernel), coarse(kernel, links, generator)
    runs = [_chain(one, links, trajectories, generator)
            for one in (right, rough, reference(right))]
    accepted = [float(one[2].mean()) for one in runs]
    theirs = statistics.estimate(list(runs[2][0].T))
    checks = [Check(f"acceptance falls with a rough force, from {accepted[0]:.3f} "
                    f"(steps x {factor:.2f})",
                    min(0.0, accepted[0] - accepted[1]), 0, 0.0, "one sided")]
    for name, (plaquettes, weights, _) in zip(("", ", rough force"), runs, strict=False):
        weight, mine = (statistics.estimate(list(one.T)) for one in (weights, plaquettes))
        error = (mine.error**2 + theirs.error**2) ** 0.5
        checks += [
            Check(f"<exp(-dH + log|J|)>{name}, error {weight.error:.1g}", weight.value, 1,
                  SIGMAS * weight.error, f"{SIGMAS:g} sigma"),
            Check("its standard error", weight.error, 0, EXP_ERROR, "stated bound"),
            Check(f"mean plaquette{name}, error {error:.1g}", mine.value, theirs.value,
                  SIGMAS * error, f"HMC, {SIGMAS:g} sigma"),
            Check("its combined standard error", error, 0, PLAQUETTE_ERROR, "stated bound"),
        ]
    return checks


def calming(kernel: Nested, links: Tensor, generator: torch.Generator) -> float:
    """A factor <= 1 on all steps that brings <r^2> below CALM."""
    return _bearable(kernel.scaled, 0.8, CALM, links, generator)


def coarse(kernel: Nested, links: Tensor, generator: torch.Generator) -> Nested:
    """The kernel on forces rounded as coarsely as COARSE and ROUGH let them be."""

    def rough(share: float) -> Nested:
        return on_stand_ins(kernel, _rounded(share * COARSE))

    return rough(_bearable(rough, 0.7, ROUGH, links, generator))


def _bearable(made: Callable[[float], Nested], less: float, most: float, links: Tensor,
              generator: torch.Generator) -> float:
    """The largest of 1, less, less^2, ... whose kernel has <r^2> below `most`; 1e-3 at least."""
    momenta, factor = draw_momenta(links, generator), 1.0
    while factor > 1e-3:
        kernel = made(factor)
        _, info = kernel.moved(kernel.init(links), momenta, generator)
        if float(info.log_ratio.square().mean()) < most:
            break
        factor *= less
    return factor


def reference(kernel: Nested) -> hmc.HMC:
    """HMC for the whole action."""
    return hmc.HMC(kernel.action, 0.25, 4, "omf2")


def thermalised(kernel: Nested, lattice: tuple[int, int, int, int], generator: torch.Generator,
                trajectories: int = 40) -> Tensor:
    """Chains from the unit field, updated by HMC for the whole action."""
    return hmc.thermalise(reference(kernel), cold_start(lattice, CHAINS), trajectories,
                          lambda n: generator)


def _rounded(size: float) -> Callable[[Force], Force]:
    """Forces whose components are rounded to `size` over the root of their number."""

    def of(force: Force) -> Force:
        def rough(links: Tensor) -> Tensor:
            numbers = su3.to_components(force(links))
            unit = size / numbers[0].numel()**0.5
            return su3.from_components(unit * torch.round(numbers / unit))

        return rough

    return of


def _no_gradient(force: Force) -> Force:
    def wrong(links: Tensor) -> Tensor:
        right = force(links)
        return right + 0.3 * right.roll(1, 1) + su3.project_algebra(right @ right @ right)

    return wrong


def _with_memory(force: Force) -> Force:
    before: list[Tensor] = []

    def remembers(links: Tensor) -> Tensor:
        now = force(links)
        last = before.pop() if before and before[-1].shape == now.shape else now
        before.append(now)
        return now + MEMORY * last

    return remembers


def _chain(kernel: Kernel, links: Tensor, trajectories: int,
           generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(plaquettes, exp(-dH + log|J|) with 0 for NaN, accepted), [trajectories, Nb] each."""
    columns: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    for state, info in markov.run(kernel, kernel.init(links), trajectories, generator):
        weight = info.log_ratio.exp()
        for column, one in zip(columns, (loops.plaquettes(state.links).mean(1),
                                         torch.where(weight.isfinite(), weight, 0.0),
                                         info.accepted.double()), strict=True):
            column.append(one)
    plaquettes, weights, accepted = map(torch.stack, columns)
    return plaquettes, weights, accepted
