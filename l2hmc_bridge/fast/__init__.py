"""The hot functions, and the one table that says who computes them.

"torch" is the reference: any device and dtype, with autograd. "cpu" are the compiled kernels for
complex128 and complex64 fields in main memory, with analytic gradients if these are asked for
(sums over the lattice are float64 for both); "cuda" are Triton kernels for the same fields on a
GPU, each used if it agrees with the reference, its gradient too if that is asked for; on a GPU
links are taken to be in SU(3), known by two rows. They serve if
they can, the reference everywhere else. The choice is made anew in every call; `use("torch")`
or L2HMC_BRIDGE_FAST=off in the environment forces the reference. Formulas, signs and shapes are
those of `reference.py`.
"""

from collections.abc import Sequence
from types import ModuleType

import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.chosen import CHOICES, choice, use, using
from l2hmc_bridge.fast.cpu import (
    functions as compiled_functions,
    heatbath as compiled_heatbath,
    host_memory,
    library,
)
from l2hmc_bridge.fast.cpu.differentiated import CompiledKernels
from l2hmc_bridge.fast.cpu.host_memory import Defects, Places, places
from l2hmc_bridge.fast.cpu.scratch import keep_memory
from l2hmc_bridge.fast.cpu.shapes import REAL
from l2hmc_bridge.fast.gpu import functions as gpu_functions, heatbath as other_heatbath
from l2hmc_bridge.fast.gpu.gradients.differentiated import KERNELS
from l2hmc_bridge.fast.gradients import Gradients
from l2hmc_bridge.fast.reference import Ends, Measured
from l2hmc_bridge.fields.layout import check_direction, check_like

__all__ = ["BACKENDS", "CHOICES", "Defects", "Ends", "Measured", "Places", "action", "backend",
           "charge", "charge_density", "choice", "clover", "compiled", "description",
           "expm_multiply", "fetch_links", "flow", "flow_measured", "force", "frozen_features",
           "group_defects", "heat_bath", "keep_memory", "kinetic", "laplacian", "loop_square",
           "measured", "places", "planar", "plaquettes", "rectangle_staples", "staple_trace",
           "staples", "store_links", "trajectory", "transport_laplacian", "use", "using"]

BACKENDS: dict[str, ModuleType | Gradients] = {
    "torch": reference, "cpu": compiled_functions,
    "cpu with gradients": Gradients(CompiledKernels()),
    "cuda": gpu_functions, "cuda with gradients": Gradients(KERNELS)}


def description() -> str:
    """Who computes complex128 fields in main memory, for a report."""
    kernels = library.library()
    if choice() == "torch" or kernels is None:
        return "torch"
    return f"compiled kernels ({kernels.level}), {library.threads()} threads"


def backend(*tensors: Tensor | float) -> ModuleType | Gradients:
    """Who serves a call with these arguments."""
    given = [tensor for tensor in tensors if isinstance(tensor, Tensor)]
    reals = {REAL.get(one.dtype) for one in given if one.ndim}  # numbers have any precision
    real = reals.pop() if len(reals) == 1 else None
    if choice() != "auto" or real is None:
        return BACKENDS["torch"]
    recorded = torch.is_grad_enabled() and any(one.requires_grad for one in given)
    if all(one.is_cpu for one in given) and library.library_of(real) is not None:
        return BACKENDS["cpu with gradients" if recorded else "cpu"]
    devices = {one.device for one in given}
    on_gpu = len(devices) == 1 and {device.type for device in devices} == {"cuda"}
    if not (on_gpu and gpu_functions.triton_available()):
        return BACKENDS["torch"]
    return BACKENDS["cuda with gradients" if recorded else "cuda"]


def compiled(*tensors: Tensor) -> bool:
    """Whether the compiled kernels would serve a call with these arguments, without gradients."""
    return backend(*tensors) is compiled_functions


def planar(*tensors: Tensor) -> bool:
    """Whether a GPU would compute a trajectory from these with numbers apart (gpu/planar.py)."""
    return backend(*tensors) is gpu_functions and gpu_functions.keeps(tensors[0])


def action(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """S = -(beta/3) [c0 sum Re tr P + c1 sum Re tr R], c0 = 1 - 8 c1, [Nb]."""
    return backend(links).action(links, beta, c1)


def force(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """F_mu = (beta/6) TA(U_mu [c0 A_mu + c1 A^rect_mu]), like links."""
    return backend(links).force(links, beta, c1)


def expm_multiply(momenta: Tensor, links: Tensor, step: float | Tensor = 1.0) -> Tensor:
    """exp(step P) U for P in su(3), any leading axes [..., 3, 3]; to the last bits for any norm."""
    return backend(momenta, links, step).expm_multiply(momenta, links, step)


def kinetic(momenta: Tensor) -> Tensor:
    """K = -tr P^2 = 1/2 sum p_a^2 over everything but the batch, [Nb]."""
    return backend(momenta).kinetic(momenta)


def plaquettes(links: Tensor) -> Tensor:
    """Site average of Re tr P / 3 of the planes tx, ty, tz, xy, xz, yz, [Nb,6]."""
    return backend(links).plaquettes(links)


def staples(links: Tensor) -> Tensor:
    """A_mu: sum of the six staples that close U_mu to plaquettes; like links."""
    return backend(links).staples(links)


def rectangle_staples(links: Tensor) -> Tensor:
    """A^rect_mu: sum of the eighteen paths that close U_mu to rectangles; like links."""
    return backend(links).rectangle_staples(links)


def staple_trace(links: Tensor) -> Tensor:
    """Re tr(U_mu A_mu) of each link, 18 on the unit field, [Nb,4,Nt,Nx,Ny,Nz]."""
    return backend(links).staple_trace(links)


def loop_square(links: Tensor) -> Tensor:
    """TA((U_mu A_mu)^2) / 36 with the plaquette staples A: twice round pairs of plaquettes."""
    return backend(links).loop_square(links)


def laplacian(links: Tensor, field: Tensor, transverse: bool = False) -> Tensor:
    """Covariant Laplacian of an algebra field over all four directions, like links.

    Sum over nu of U_nu X(x+nu) U_nu^dagger + U_nu(x-nu)^dagger X(x-nu) U_nu(x-nu) - 2 X for each
    X_mu; `transverse` leaves nu = mu out. LayoutError for a field that is not like links.
    """
    check_like("field", field, links)
    return backend(links, field).laplacian(links, field, transverse)


def transport_laplacian(links: Tensor, field: Tensor, mu: int) -> Tensor:
    """The transverse Laplacian of one direction: X_mu [Nb,Nt,Nx,Ny,Nz,3,3], no U_mu enters.

    LayoutError for another shape or direction.
    """
    check_direction(mu)
    check_like("field", field, links, mu)
    return backend(links, field).transport_laplacian(links, field, mu)


def frozen_features(links: Tensor, field: Tensor, mu: int) -> tuple[Tensor, Tensor]:
    """(tr(A_mu A_mu^dagger) of the plaquette staples, `transport_laplacian` of X_mu).

    The first is 108 on the unit field, [Nb,Nt,Nx,Ny,Nz]; no U_mu(x) enters either at x. LayoutError
    as `transport_laplacian`.
    """
    check_direction(mu)
    check_like("field", field, links, mu)
    return backend(links, field).frozen_features(links, field, mu)


def clover(links: Tensor, traceless: bool = True) -> Tensor:
    """(temporal energy, spatial energy) per site and charge from the clover G, [Nb,3]."""
    return backend(links).clover(links, traceless)


def measured(links: Tensor, traceless: bool = True) -> Measured:
    """(`plaquettes`, `clover`) of a field; on a GPU in one kernel."""
    serving = backend(links)
    if serving is gpu_functions:
        return gpu_functions.measured(links, traceless)
    return Measured(serving.plaquettes(links), serving.clover(links, traceless))


def charge_density(links: Tensor, shapes: Sequence[tuple[int, int, float]],
                   traceless: bool = True) -> Tensor:
    """q(x) = sum over (m, n, weight) of weight q(x) from clovers of m x n loops, [Nb,Nt,Nx,Ny,Nz].

    For m != n the clover is the mean of both orientations. LayoutError for sides below 1.
    """
    return backend(links).charge_density(links, shapes, traceless)


def charge(links: Tensor, shapes: Sequence[tuple[int, int, float]], traceless: bool = True
           ) -> Tensor:
    """Q = sum_x q(x) of `charge_density`, [Nb]."""
    return backend(links).charge(links, shapes, traceless)


def flow(links: Tensor, step: float, steps: int = 1, c1: float = 0.0) -> Tensor:
    """`steps` steps of size `step` of Luescher's third-order scheme; c1 = 0: Wilson flow."""
    return backend(links).flow(links, step, steps, c1)


def flow_measured(links: Tensor, legs: Sequence[tuple[float, int]], c1: float = 0.0,
                  traceless: bool = True) -> list[Measured]:
    """`measured` after each of the `legs`, (step, steps), of `flow` in turn.

    On a GPU the field stays in the kernels' own layout all the way.
    """
    if backend(links) is gpu_functions:
        return gpu_functions.flow_measured(links, legs, c1, traceless)
    return reference.flow_measured_with(flow, measured, links, legs, c1, traceless)


def trajectory(links: Tensor, momenta: Tensor, force_there: Tensor, beta: float, c1: float,
               kicks: Sequence[float], drifts: Sequence[float], displacements: Sequence[float]
               ) -> Ends:
    """U', P', F(U') after kick, drift, kick, ...; `force_there` is F at `links`.

    P' = P - h F(exp(-g F) U) for a kick h with displacement g, U' = exp(e P) U for a drift e; one
    kick more than drifts. In main memory all between is in the kernels' own layout, on a GPU a kick
    and the drift after it are one kernel. LayoutError for momenta or a force not like links.
    """
    check_like("momenta", momenta, links)
    check_like("force", force_there, links)
    return Ends(*backend(links, momenta, force_there).trajectory(
        links, momenta, force_there, beta, c1, kicks, drifts, displacements))


def heat_bath(links: Tensor, beta: float, words: Tensor, sweeps: int, overrelaxations: int
              ) -> Tensor:
    """Links after `sweeps` sweeps of the Wilson action's heat bath, then of reflections.

    words int64 [Nb, 4] number the random numbers of each chain. No gradients; the torch formulas
    serve on a GPU. Raises LayoutError for extents of 1 and more than 2^32 sites.
    """
    serving = compiled_heatbath if compiled(links) else other_heatbath
    return serving.heat_bath(links, beta, words, sweeps, overrelaxations)


def fetch_links(fields: Sequence[NDArray], at: Places, extents: Sequence[int]
                ) -> tuple[Tensor, Defects]:
    """Four flat arrays of a host, directions t,x,y,z -> (links [1,4,Nt,Nx,Ny,Nz,3,3], Defects)."""
    return host_memory.fetch(fields, at, extents, _kernels())


def store_links(links: Tensor, fields: Sequence[NDArray], at: Places) -> None:
    """Inverse of `fetch_links`, in place."""
    host_memory.store(links, fields, at, _kernels())


def group_defects(links: Tensor) -> Defects:
    """max |U U^dagger - 1| over entries and max |det U - 1| of [..., 3, 3]; NaN if not finite."""
    return host_memory.defects(links, _kernels())


def _kernels() -> bool:
    return choice() == "auto" and library.library() is not None
