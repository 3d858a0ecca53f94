"""Whether kernels with networks agree with torch on a GPU, tried before they are used there."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.fast.gpu.launch import agree
from l2hmc_bridge.fields import part as parts, su3
from l2hmc_bridge.fields.layout import volume
from l2hmc_bridge.l2hmc.engine import Engine, Map
from l2hmc_bridge.l2hmc.reference import TorchEngine
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, MomentumMixing, Steps
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.seen import Seen
from l2hmc_bridge.systems.actions import GaugeAction

HIDDEN = 3  # the same machine code serves any number of hidden units
SHAPE = (2, 4, 4, 2, 4, 2)


class Sort(NamedTuple):
    """What decides which machine code a kernel runs."""

    rectangles: bool  # in the action
    displaced: bool  # forces of kicks
    kick: tuple[tuple[str, ...], str] | None  # loops and activation
    drift: tuple[str, tuple[str, ...], str] | None  # subsets, outputs and activation
    mixing: bool


Begin = Callable[[Map, Tensor, Tensor, Tensor], Engine]  # a trajectory of (links, momenta, force)


@dataclass(frozen=True)
class Tried:
    """A kernel for a trial: parts with random weights."""

    action: GaugeAction
    steps: Steps
    kick_network: KickNetwork | None
    drift_network: DriftNetwork | None
    mixing: MomentumMixing | None
    transformation: FieldTransformation | None = None

    def within(self) -> "Tried":
        """Itself."""
        return self

    def enter(self, links: Tensor, momenta: Tensor, force: Tensor, seen: Seen | None = None
              ) -> Engine:
        """A trajectory in torch, by which others are judged."""
        return TorchEngine.enter(self, links, momenta, force, seen)

    def effective(self) -> tuple[Tensor, Tensor, Tensor]:
        """(kicks, drifts, displacements)."""
        return self.steps.effective()


def sort_of(kernel: Map) -> Sort | None:
    """Which sort of kernels would serve this one; None: none."""
    kick, drift, mixing = kernel.kick_network, kernel.drift_network, kernel.mixing
    if (type(kernel.action) is not GaugeAction or kernel.transformation is not None
            or not (kick is None or type(kick) is KickNetwork)
            or not (drift is None or type(drift) is DriftNetwork)
            or not (mixing is None or type(mixing) is MomentumMixing)
            or (kick is None and drift is None and mixing is None)):
        return None
    return Sort(kernel.action.c1 != 0, any(kernel.steps.displaced),
                (kick.loops, kick.activation) if isinstance(kick, KickNetwork) else None,
                (drift.subsets, drift.outputs, drift.activation)
                if isinstance(drift, DriftNetwork) else None, mixing is not None)


@functools.cache
def agrees(begin: Begin, sort: Sort, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether an engine's trajectories of this sort are those of torch; what it says is kept."""
    kernel = tried(sort)
    for module in (kernel.steps, kernel.kick_network, kernel.drift_network, kernel.mixing):
        if module is not None:
            module.to(device)

    def expected(links: Tensor, momenta: Tensor) -> Tensor:
        with fast.using("torch"):
            return end(TorchEngine.enter, kernel, links.to(torch.complex128),
                       momenta.to(torch.complex128))

    def found(links: Tensor, momenta: Tensor) -> Tensor:
        with parts.exactly(links):
            return end(begin, kernel, links, momenta)

    generator = torch.Generator().manual_seed(1)
    links, momenta = (draw(SHAPE, generator).to(device, dtype)
                      for draw in (su3.random_group, su3.random_algebra))
    return agree("networks", found, expected, links, momenta)


def tried(sort: Sort) -> Tried:
    """A kernel of this sort that does something everywhere: two drifts, random weights."""
    plan = schedule("force_gradient" if sort.displaced else "leapfrog", 0.2,
                    1 if sort.displaced else 2)
    steps, generator = Steps(plan), torch.Generator().manual_seed(2)
    with torch.random.fork_rng(devices=[]):  # what modules draw for themselves is not kept
        kick = None if sort.kick is None else KickNetwork(len(plan.kicks), HIDDEN, *sort.kick)
        drift = (None if sort.drift is None
                 else DriftNetwork(len(plan.drifts), HIDDEN, *sort.drift))
        mixing = MomentumMixing() if sort.mixing else None
    with torch.no_grad():
        for part in (kick, drift, mixing):
            for one in part.parameters() if part is not None else ():
                one.copy_(0.1 * torch.randn(one.shape, generator=generator, dtype=one.dtype))
    return Tried(GaugeAction(5.7, -0.3 if sort.rectangles else 0.0), steps, kick, drift, mixing)


def end(begin: Begin, kernel: Tried, links: Tensor, momenta: Tensor) -> Tensor:
    """Links, momenta and force where all kicks and drifts, a turn and some of them back lead, with
    log|J|, and S and K' - K per site.
    """
    at = begin(kernel, links, momenta, kernel.action.force(links))
    last = len(kernel.steps.drifts)
    at.kick(0)
    for k in range(last):
        at.drift(k, 1)
        if k + 1 < last:
            at.kick(k + 1)
    at.turn()
    at.drift(last - 1, -1)
    at.unkick(last - 1)
    found = at.leave()
    force, action, change = found.force, found.action, found.delta_kinetic
    force = kernel.action.force(found.links) if force is None else force
    action = kernel.action(found.links) if action is None else action
    if change is None:
        change = su3.kinetic(found.momenta) - su3.kinetic(momenta)
    sites = volume(links)
    numbers = [one.to(found.links).view(-1, *[1] * 7).expand_as(found.links)
               for one in (found.log_det, action / sites, change / sites)]
    return torch.cat([found.links, found.momenta, force, *numbers])
