"""The hot functions on a GPU, in Triton: complex128 and complex64, no gradients.

Same formulas, signs and shapes as `reference.py`. A kernel is used on a GPU after it agreed with
the reference there, in the precision of the field, which is tried when it is first wanted; where
it did not, or without triton, torch operations serve. Sums over sites are float64 for both and the
same in every run. Nothing here waits for the GPU, but exact sums (`sums.py`).
"""

import inspect
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.cpu.library import plain
from l2hmc_bridge.fast.gpu import planar, staple_fields, sums, trajectories
from l2hmc_bridge.fast.gpu.launch import (  # noqa: F401
    BLOCK,
    blocks,
    launch,
    over_sites,
    require_whole,
    served,
    triton_available,
    trusted,
)
from l2hmc_bridge.fast.gpu.observables import totals
from l2hmc_bridge.fast.gpu.observables.totals import Where
from l2hmc_bridge.fast.reference import Ends, Measured


@served
def action(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """S = -(beta/3) [c0 sum Re tr P + c1 sum Re tr R], [Nb]."""
    return totals.action(*planar.apart(links), beta, c1)


@served
def force(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """F_mu = (beta/6) TA(U_mu [c0 A_mu + c1 A^rect_mu]), like links, which must be in SU(3)."""
    return planar.force(links, beta, c1)


@served
def staples(links: Tensor) -> Tensor:
    """A_mu: sum of the six staples that close U_mu to plaquettes; like links."""
    return _per_link(links, "staples")


@served
def rectangle_staples(links: Tensor) -> Tensor:
    """A^rect_mu: sum of the eighteen paths that close U_mu to rectangles; like links."""
    return _per_link(links, "rectangles")


@served
def staple_trace(links: Tensor) -> Tensor:
    """Re tr(U_mu A_mu) of each link, [Nb,4,Nt,Nx,Ny,Nz]."""
    return _per_link(links, "trace")


@served
def loop_square(links: Tensor) -> Tensor:
    """TA((U_mu A_mu)^2) / 36 with the plaquette staples A, like links."""
    return _per_link(links, "square")


def _per_link(links: Tensor, form: str) -> Tensor:
    apart, where = planar.apart(links)
    return staple_fields.per_link(apart, where.extents, form)


@served
def plaquettes(links: Tensor) -> Tensor:
    """Site average of Re tr P / 3 of the planes tx, ty, tz, xy, xz, yz, [Nb,6]."""
    apart, where = planar.apart(links)
    return totals.plaquettes(apart, where) / (3 * where.volume)


@served
def expm_multiply(momenta: Tensor, links: Tensor, step: float | Tensor = 1.0) -> Tensor:
    """exp(step P) U for traceless anti-Hermitian P, [..., 3, 3]."""
    number = momenta.dtype.to_real()
    if isinstance(step, Tensor) and step.numel() == 1:
        step = step.detach().to(number).reshape(1)
    elif isinstance(step, Tensor):
        momenta, step = step * momenta, 1.0
    if not isinstance(step, Tensor):  # filled on the GPU: a copy from here would wait for it
        step = torch.full((1,), step, dtype=number, device=momenta.device)
    momenta, links = (plain(tensor) for tensor in torch.broadcast_tensors(momenta, links))
    out, count = torch.empty_like(links), links.numel() // 9
    launch("exp_multiply_kernel", (math.ceil(count / BLOCK),), momenta, links, out, step, count)
    return out


@served
def kinetic(momenta: Tensor) -> Tensor:
    """K = -tr P^2 over everything but the batch, [Nb]."""
    return sums.of_squares(plain(momenta))


@served
def laplacian(links: Tensor, field: Tensor, transverse: bool = False) -> Tensor:
    """Covariant Laplacian of an algebra field, like links."""
    return _laplacian(*planar.apart(links), field, transverse, -1)


@served
def transport_laplacian(links: Tensor, field: Tensor, mu: int) -> Tensor:
    """The transverse Laplacian of one direction, X_mu [Nb,Nt,Nx,Ny,Nz,3,3]."""
    return _laplacian(*planar.apart(links), field, True, mu)


@served
def frozen_features(links: Tensor, field: Tensor, mu: int) -> tuple[Tensor, Tensor]:
    """(tr(A_mu A_mu^dagger) of the plaquette staples, `transport_laplacian` of X_mu)."""
    apart, where = planar.apart(links)
    return (staple_fields.per_link(apart, where.extents, "norm", mu),
            _laplacian(apart, where, field, True, mu))


def _laplacian(links: Tensor, where: Where, field: Tensor, transverse: bool, mu: int) -> Tensor:
    moving = staple_fields.algebra(links, field, where.extents, mu)
    return staple_fields.laplacian(links, moving, where.extents, transverse, mu)


@served
def clover(links: Tensor, traceless: bool = True) -> Tensor:
    """(temporal energy, spatial energy) per site and charge from the clover, [Nb,3]."""
    return inspect.unwrap(measured)(links, traceless).clover


@served
def measured(links: Tensor, traceless: bool = True) -> Measured:
    """`plaquettes` and `clover` of a field, which is read once."""
    return Measured(*totals.clover(*planar.apart(links), traceless))


@served
def charge_density(links: Tensor, shapes: Sequence[tuple[int, int, float]],
                   traceless: bool = True) -> Tensor:
    """q(x) from clovers of m x n loops, [Nb,Nt,Nx,Ny,Nz]."""
    return totals.density(*planar.apart(links), shapes, traceless)


@served
def charge(links: Tensor, shapes: Sequence[tuple[int, int, float]], traceless: bool = True
           ) -> Tensor:
    """Q = sum_x q(x) of `charge_density`, [Nb]."""
    return totals.charge(*planar.apart(links), shapes, traceless)


@served
def flow(links: Tensor, step: float, steps: int = 1, c1: float = 0.0) -> Tensor:
    """`steps` steps of Luescher's third-order scheme of size `step`, a kernel for each stage."""
    return trajectories.flow(links, step, steps, c1)


@served
def flow_measured(links: Tensor, legs: Sequence[tuple[float, int]], c1: float = 0.0,
                  traceless: bool = True) -> list[Measured]:
    """`measured` after each of the `legs`, (step, steps), of `flow`: numbers stay apart."""
    return trajectories.flow_measured(links, legs, c1, traceless)


def keeps(links: Tensor) -> bool:
    """Whether trajectories of such fields stay in the layout of planar.py."""
    return trusted("trajectory", trajectories.trajectory, links.device, links.dtype)


def shares(links: Tensor) -> bool:
    """Whether kernels serve all that trajectories and the log of a stream need."""
    return keeps(links) and _served(links, action, force, plaquettes, kinetic, clover, measured,
                                   flow, flow_measured)


def measures(links: Tensor) -> bool:
    """Whether kernels serve all that measurements on a part of a lattice need."""
    return _served(links, plaquettes, measured, flow_measured, charge, staples, force,
                   expm_multiply, flow)


def _served(links: Tensor, *functions: Callable) -> bool:
    """Whether kernels serve all of these for such fields."""
    return all(trusted(one.__name__, inspect.unwrap(one), links.device, links.dtype)
               for one in functions)


def trajectory(links: Tensor, momenta: Tensor, force_there: Tensor, beta: float, c1: float,
               kicks: Sequence[float], drifts: Sequence[float], displacements: Sequence[float]
               ) -> Ends:
    """U', P', F(U') after kick, drift, kick, ...: a kick and the drift after it in one kernel."""
    if keeps(links):
        return trajectories.trajectory(links, momenta, force_there, beta, c1, kicks, drifts,
                                       displacements)
    require_whole("trajectory", links)
    return Ends(*reference.leapfrogs(lambda at: force(at, beta, c1), expm_multiply, links, momenta,
                                     force_there, kicks, drifts, displacements))
