"""The hot functions on a graphics card: Triton for the plaquette force, exp(P) U and plaquettes.

The rest is the reference, whose torch operations run on the card as well. Same formulas, signs
and shapes; no gradients. A card's kernels are trusted after they agreed with the reference there.
"""

import functools
import importlib.util
import logging

import torch
from torch import Tensor

from l2hmc_bridge import su3
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.native import plain
from l2hmc_bridge.fast.reference import (  # noqa: F401
    charge,
    charge_density,
    clover,
    frozen_features,
    kinetic,
    laplacian,
    loop_square,
    rectangle_staples,
    staple_trace,
    staples,
    transport_laplacian,
)
from l2hmc_bridge.layout import check_links, volume

BLOCK = 128
AGREEMENT = 1e-12


@functools.cache
def trusted(device: torch.device) -> bool:
    """Whether triton is there and its kernels agree with the reference on this device."""
    if importlib.util.find_spec("triton") is None:
        return False
    generator = torch.Generator().manual_seed(1)
    links = su3.random_group((2, 4, 2, 3, 4, 5), generator).to(device)
    momenta = su3.random_algebra((2, 4, 2, 3, 4, 5), generator).to(device)
    try:
        difference = max(
            float((one(_Kernels) - one(reference)).abs().max())
            for one in (lambda m: m.force(links, 6.0), lambda m: m.plaquettes(links),
                        lambda m: m.expm_multiply(momenta, links, 0.3))
        )
    except Exception as error:  # whatever a compiler for a card can raise
        logging.getLogger(__name__).warning("%s: triton kernels not used: %s", device, error)
        return False
    if not difference < AGREEMENT:
        logging.getLogger(__name__).warning(
            "%s: triton kernels not used: they differ by %.1e from torch", device, difference
        )
    return difference < AGREEMENT


class _Kernels:
    """The launches themselves."""

    @staticmethod
    def force(links: Tensor, beta: float) -> Tensor:
        from l2hmc_bridge.fast import triton_kernels as kernels

        links = plain(links)
        out, scale = torch.empty_like(links), links.real.new_tensor([beta / 6])
        kernels.force_kernel[(*_grid(links), 4)](
            torch.view_as_real(links), torch.view_as_real(out), scale, *links.shape[2:6],
            BLOCK=BLOCK)
        return out

    @staticmethod
    def plaquettes(links: Tensor) -> Tensor:
        from l2hmc_bridge.fast import triton_kernels as kernels

        links = plain(links)
        out = links.real.new_empty(len(links), 6, volume(links))
        kernels.plaquette_kernel[(*_grid(links), 6)](torch.view_as_real(links), out,
                                                     *links.shape[2:6], BLOCK=BLOCK)
        return out.sum(2) / (3 * volume(links))

    @staticmethod
    def expm_multiply(momenta: Tensor, links: Tensor, step: float) -> Tensor:
        from l2hmc_bridge.fast import triton_kernels as kernels

        momenta, links = plain(momenta), plain(links)
        out, count = torch.empty_like(links), links.numel() // 9
        kernels.exp_multiply_kernel[((count + BLOCK - 1) // BLOCK,)](
            torch.view_as_real(momenta), torch.view_as_real(links), torch.view_as_real(out),
            links.real.new_tensor([step]), count, BLOCK=BLOCK)
        return out


def _grid(links: Tensor) -> tuple[int, int]:
    check_links(links)
    return (volume(links) + BLOCK - 1) // BLOCK, len(links)


def action(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """S = -(beta/3) [c0 sum Re tr P + c1 sum Re tr R], [Nb]."""
    if c1 != 0:
        return reference.action(links, beta, c1)
    return -beta * volume(links) * plaquettes(links).sum(1)


def force(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """F_mu = (beta/6) TA(U_mu [c0 A_mu + c1 A^rect_mu]), like links."""
    if c1 != 0:
        return reference.force(links, beta, c1)
    return _Kernels.force(links, float(beta))


def plaquettes(links: Tensor) -> Tensor:
    """Site average of Re tr P / 3 of the planes tx, ty, tz, xy, xz, yz, [Nb,6]."""
    return _Kernels.plaquettes(links)


def expm_multiply(momenta: Tensor, links: Tensor, step: float | Tensor = 1.0) -> Tensor:
    """exp(step P) U for traceless anti-Hermitian P of norm below 2^16, [..., 3, 3]."""
    if isinstance(step, Tensor):
        momenta, step = step * momenta, 1.0
    return _Kernels.expm_multiply(*torch.broadcast_tensors(momenta, links), step)


def flow(links: Tensor, step: float, steps: int = 1, c1: float = 0.0) -> Tensor:
    """`steps` steps of Luescher's third-order scheme of size `step`."""
    return reference.flow_with(force, expm_multiply, links, step, steps, c1)
