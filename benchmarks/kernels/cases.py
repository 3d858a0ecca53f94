"""The functions that kernels/run.py times, with their counts of flop and bytes per site."""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.cpu import blocks as blocked, library
from l2hmc_bridge.fields import su3
from l2hmc_bridge.observables.topology import CLOVER, FIVE_LOOP_SHAPES

PRODUCT = 198  # flop of a product of complex 3x3 matrices
LINKS, ALGEBRA = 4 * 144, 4 * 64  # bytes per site: links, and algebra fields in components
BETA, SYMANZIK = 6.0, -1 / 12
PLAQUETTES = 12 + 6 * 36 / PRODUCT  # twelve products and six traces, in products


class Fields:
    """Haar links and Gaussian momenta of `chains` chains on extent^4, in both layouts."""

    def __init__(self, extent: int, chains: int, dtype: torch.dtype = torch.complex128):
        generator = torch.Generator().manual_seed(extent)
        self.extent, self.chains, self.volume = extent, chains, extent**4
        self.links = su3.random_group((chains, 4, *(extent,) * 4), generator).to(dtype)
        self.momenta = su3.random_algebra((chains, 4, *(extent,) * 4), generator).to(dtype)
        self.lattice = library.lattice_of(self.links)

    @cached_property
    def blocks(self) -> Tensor:
        return blocked.links_in(self.lattice, self.links)

    @cached_property
    def components(self) -> Tensor:
        return blocked.algebra_in(self.lattice, self.momenta, len(self.momenta))

    @cached_property
    def out(self) -> Tensor:
        return torch.empty_like(self.components)

    @cached_property
    def moved(self) -> Tensor:
        return torch.empty_like(self.blocks)


class Case(NamedTuple):
    """A function, what it is compared with, and its count per site."""

    name: str
    run: Callable
    torch: Callable | None
    autograd: Callable | None
    flop: float
    bytes: float


def autograd_force(fields: Fields) -> Tensor:
    """The force as the gradient of the action through torch, as upstream has it."""
    links = fields.links.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(reference.action(links, BETA).sum(), links)
    return su3.project_algebra(gradient @ links.mH) / 2


def _pair(name: str, function: Callable, products: float, bytes_: float, **more) -> Case:
    """The same call through the table, on the kernels and in torch."""
    return Case(name, function, function, more.get("autograd"), PRODUCT * products, bytes_)


def _matrix_exp(fields: Fields) -> Tensor:
    return torch.matrix_exp(0.1 * fields.momenta) @ fields.links


def _gradient(function: Callable) -> Callable:
    """The function of (links, momenta) and its gradient along a fixed direction, as in training."""

    def run(fields: Fields) -> tuple[Tensor, ...]:
        links, momenta = (one.detach().requires_grad_() for one in (fields.links, fields.momenta))
        result = function(links, momenta)
        real = torch.view_as_real(result) if result.is_complex() else result
        return torch.autograd.grad(real.sum(), (links, momenta), allow_unused=True)

    return run


CASES = [
    _pair("force", lambda f: fast.force(f.links, BETA), 52, 2 * LINKS, autograd=autograd_force),
    _pair("force, rectangles", lambda f: fast.force(f.links, BETA, SYMANZIK), 340, 2 * LINKS),
    _pair("action", lambda f: fast.action(f.links, BETA), PLAQUETTES, LINKS),
    _pair("plaquettes", lambda f: fast.plaquettes(f.links), PLAQUETTES, LINKS),
    _pair("staples", lambda f: fast.staples(f.links), 48, 2 * LINKS),
    _pair("rectangle staples", lambda f: fast.rectangle_staples(f.links), 288, 2 * LINKS),
    Case("exp(P) U", lambda f: fast.expm_multiply(f.momenta, f.links, 0.1), _matrix_exp, None,
         16 * PRODUCT, 3 * LINKS),
    _pair("kinetic", lambda f: fast.kinetic(f.momenta), 0.73, LINKS),
    _pair("clover E, Q", lambda f: fast.clover(f.links), 60, LINKS),
    _pair("charge density", lambda f: fast.charge_density(f.links, CLOVER), 60, LINKS + 8),
    _pair("five-loop charge", lambda f: fast.charge(f.links, FIVE_LOOP_SHAPES), 428, LINKS),
    _pair("flow step", lambda f: fast.flow(f.links, 0.02), 3 * 68, 2 * LINKS),
    _pair("laplacian", lambda f: fast.laplacian(f.links, f.momenta), 64, 3 * LINKS),
    _pair("staple traces", lambda f: fast.staple_trace(f.links), 48, LINKS + 32),
    _pair("squared loops", lambda f: fast.loop_square(f.links), 56, 2 * LINKS),
    _pair("frozen features", lambda f: fast.frozen_features(f.links, f.momenta[:, 0], 0)[1],
          24, 2 * LINKS),
    _pair("gradient of action", _gradient(lambda u, p: fast.action(u, BETA)), 71, 3 * LINKS),
    _pair("gradient of force", _gradient(lambda u, p: fast.force(u, BETA)), 216, 4 * LINKS),
    _pair("gradient of exp(P) U", _gradient(lambda u, p: fast.expm_multiply(p, u, 0.1)),
          60, 6 * LINKS),
    _pair("gradient of laplacian", _gradient(lambda u, p: fast.laplacian(u, p)), 208, 6 * LINKS),
    _pair("gradient of clover", _gradient(lambda u, p: fast.clover(u)), 412, 4 * LINKS),
    Case("links in, out", lambda f: blocked.links_out(f.lattice, blocked.links_in(
        f.lattice, f.links)), None, None, 0, 4 * LINKS),
    Case("force, blocked", lambda f: blocked.force(f.lattice, f.blocks, BETA, 0, out=f.out),
         None, None, 52 * PRODUCT, LINKS + ALGEBRA),
    Case("force, rectangles, blocked", lambda f: blocked.force(
        f.lattice, f.blocks, BETA, SYMANZIK, out=f.out), None, None, 340 * PRODUCT,
         LINKS + ALGEBRA),
    Case("drift, blocked", lambda f: blocked.drift(
        f.lattice, f.components, f.blocks, 0.1, out=f.moved), None, None, 16 * PRODUCT,
         2 * LINKS + ALGEBRA),
]
