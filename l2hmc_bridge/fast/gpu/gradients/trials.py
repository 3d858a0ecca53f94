"""Whether a function's kernel and its gradient may be trusted on a GPU: both against torch there.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from l2hmc_bridge.fast import recorded, reference
from l2hmc_bridge.fast.gpu.launch import agree
from l2hmc_bridge.fast.recorded import Kernels
from l2hmc_bridge.fields import su3

BETA, C1, MU = 5.7, -0.3, 1
Ours = Callable[[Kernels, Tensor, Tensor], Tensor | tuple[Tensor, ...]]
Theirs = Callable[[Tensor, Tensor], Tensor | tuple[Tensor, ...]]
# By the kernels, and by torch: of links U and momenta P.
TRIALS: dict[str, tuple[Ours, Theirs]] = {
    "action": (lambda k, u, p: recorded.Action.apply(k, u, BETA, C1),
               lambda u, p: reference.action(u, BETA, C1)),
    "force": (lambda k, u, p: recorded.Force.apply(k, u, BETA, C1),
              lambda u, p: reference.force(u, BETA, C1)),
    "expm_multiply": (lambda k, u, p: recorded.Exponential.apply(k, p, u, 0.5),
                      lambda u, p: reference.expm_multiply(p, u, 0.5)),
    "kinetic": (lambda k, u, p: recorded.Kinetic.apply(k, p), lambda u, p: reference.kinetic(p)),
    "staple_trace": (lambda k, u, p: recorded.StapleTrace.apply(k, u),
                     lambda u, p: reference.staple_trace(u)),
    "loop_square": (lambda k, u, p: recorded.LoopSquare.apply(k, u),
                    lambda u, p: reference.loop_square(u)),
    "laplacian": (lambda k, u, p: (recorded.Laplacian.apply(k, u, p, False, -1),
                                   recorded.Laplacian.apply(k, u, p, True, -1)),
                  lambda u, p: (reference.laplacian(u, p), reference.laplacian(u, p, True))),
    "transport_laplacian": (
        lambda k, u, p: recorded.Laplacian.apply(k, u, p[:, MU], True, MU),
        lambda u, p: reference.transport_laplacian(u, p[:, MU], MU)),
    "frozen_features": (lambda k, u, p: recorded.FrozenFeatures.apply(k, u, p[:, MU], MU),
                        lambda u, p: reference.frozen_features(u, p[:, MU], MU)),
    "clover": (  # whose gradients lie in memory as nobody expects
        lambda k, u, p: (recorded.Clover.apply(k, u, False).T.contiguous(),
                         recorded.Clover.apply(k, u, True)),
        lambda u, p: (_sums(reference.clover(u, False), u).T.contiguous(),
                      _sums(reference.clover(u, True), u))),
}


@functools.cache
def agrees(name: str, kernels: Kernels, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether value and gradients of this function are torch's there; what it says is kept."""
    generator = torch.Generator().manual_seed(2)
    links = su3.random_group((2, 4, 2, 3, 4, 5), generator).to(device, dtype)
    momenta = su3.random_algebra((2, 4, 2, 3, 4, 5), generator).to(device, dtype)
    ours, theirs = TRIALS[name]
    return agree(f"gradient of {name}",
                 lambda u, p: with_gradient(functools.partial(ours, kernels), u, p),
                 lambda u, p: with_gradient(theirs, u, p), links, momenta)


def with_gradient(function: Theirs, links: Tensor, momenta: Tensor) -> Tensor:
    """Values of a function, then gradients along the group and within the algebra of their scalar
    product with fixed numbers, each over its largest one, [n].
    """
    with torch.enable_grad():
        links, momenta = (one.detach().clone().requires_grad_() for one in (links, momenta))
        found = function(links, momenta)
        values = [_real(one) for one in ((found,) if isinstance(found, Tensor) else found)]
        value = sum((_weighted(one) for one in values), links.new_zeros((), dtype=torch.float64))
        to_links, to_momenta = torch.autograd.grad(value, (links, momenta), allow_unused=True)
    gradients = [su3.project_algebra(one) for one in (
        None if to_links is None else to_links @ links.mH, to_momenta) if one is not None]
    parts = [*values, *map(_real, gradients)]
    return torch.cat([(one / one.abs().max()).flatten().double() for one in parts]).detach()


def _real(one: Tensor) -> Tensor:
    return torch.view_as_real(one) if one.is_complex() else one


def _weighted(one: Tensor) -> Tensor:
    """A scalar product that tells all elements apart."""
    weights = torch.arange(one.numel(), device=one.device, dtype=torch.float64)
    return (one.double() * torch.sin(1.0 + weights).view(one.shape)).sum()


def _sums(per_site: Tensor, links: Tensor) -> Tensor:
    """Energies per site and Q as sums over the lattice."""
    sites = links[0, 0, ..., 0, 0].numel()
    return per_site * per_site.new_tensor([sites, sites, 1.0])
