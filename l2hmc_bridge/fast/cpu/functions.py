"""The hot functions on the compiled kernels: torch layout in, torch layout out, no gradients.

Formulas and shapes as in `reference.py`; sums are the same bit for bit for any number of threads.
Fields in complex64 have kernels of their own; their sums over the lattice are float64 too.
"""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.cpu import blocks as blocked, library
from l2hmc_bridge.fast.cpu.library import ALGEBRA, LINK, Lattice, plain
from l2hmc_bridge.fast.cpu.scratch import SCRATCH
from l2hmc_bridge.fast.cpu.shapes import REAL, check_complex, check_matrices, check_real
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.layout import check_links, volume


@contextlib.contextmanager
def _blocks(links: Tensor) -> Iterator[tuple[Lattice, Tensor]]:
    """The blocked layout of these extents, and the links in it for the length of the block."""
    check_links(links)
    lattice = library.lattice_of(links)
    blocks = SCRATCH.take(lattice.field(links.shape[0], LINK), lattice.dtype)
    yield lattice, blocked.links_in(lattice, links, out=blocks)
    SCRATCH.give(blocks)


def action(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """S = -(beta/3) [c0 sum Re tr P + c1 sum Re tr R], [Nb]."""
    if c1 == 0:
        return -(beta / 3) * _plaquette_sums(links).sum(1)
    with _blocks(links) as (lattice, blocks):
        return blocked.action(lattice, blocks, beta, c1)


def force(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """F_mu = (beta/6) TA(U_mu [c0 A_mu + c1 A^rect_mu]), like links."""
    with _blocks(links) as (lattice, blocks):
        components = SCRATCH.take(lattice.field(links.shape[0], ALGEBRA), lattice.dtype)
        blocked.force(lattice, blocks, beta, c1, out=components)
        result = blocked.algebra_out(lattice, components)
    SCRATCH.give(components)
    return result


def expm_multiply(momenta: Tensor, links: Tensor, step: float | Tensor = 1.0) -> Tensor:
    """exp(step P) U for traceless anti-Hermitian P, [..., 3, 3]."""
    if isinstance(step, Tensor) and step.numel() != 1:
        momenta, step = step * momenta, 1.0
    check_matrices(momenta, links)
    momenta, links = torch.broadcast_tensors(momenta, links)
    if parts.of(links) is not None and links.dtype == torch.complex128:
        with _blocks(links) as (lattice, blocks):  # no choice of a series for several links
            blocked.drift(lattice, blocked.algebra_in(lattice, momenta, len(links)), blocks,
                          float(step), out=blocks)
            return blocked.links_out(lattice, blocks)
    check_real(REAL[links.dtype], momenta)
    out = torch.empty(links.shape, dtype=links.dtype)
    library.call("exp_multiply", library.long(links.numel() // 9), library.threads(), float(step),
                plain(momenta), plain(links), out, dtype=links.dtype)
    return out


def kinetic(momenta: Tensor) -> Tensor:
    """K = -tr P^2 over everything but the batch, [Nb]."""
    check_complex(momenta)
    if momenta.ndim == 8 and parts.of(momenta) is not None and momenta.dtype == torch.complex128:
        lattice = library.lattice_of(momenta)
        field = lattice.plain(momenta, lattice.shape(len(momenta)))
        return lattice.sums("exact_squares", momenta, 1, field)[:, 0]
    out = torch.empty(momenta.shape[0], dtype=torch.float64)
    length = 2 * momenta.numel() // max(len(momenta), 1)
    library.call("square_sum", library.long(len(momenta)), library.long(length), library.threads(),
                plain(momenta), out, dtype=momenta.dtype)
    return out


def plaquettes(links: Tensor) -> Tensor:
    """Site average of Re tr P / 3 of the planes tx, ty, tz, xy, xz, yz, [Nb,6]."""
    return _plaquette_sums(links) / (3 * volume(links))


def _plaquette_sums(links: Tensor) -> Tensor:
    """Sum over sites of Re tr P of the six planes, [Nb,6]: one pass over the torch layout."""
    check_links(links)
    lattice = library.lattice_of(links)
    return lattice.sums("torch_plaquettes", links, 6, plain(links))


def staples(links: Tensor) -> Tensor:
    """A_mu: sum of the six staples that close U_mu to plaquettes; like links."""
    with _blocks(links) as (lattice, blocks):
        return blocked.links_out(lattice, blocked.staples(lattice, blocks))


def rectangle_staples(links: Tensor) -> Tensor:
    """A^rect_mu: sum of the eighteen paths that close U_mu to rectangles; like links."""
    with _blocks(links) as (lattice, blocks):
        return blocked.links_out(lattice, blocked.staples(lattice, blocks, rectangle=True))


def staple_trace(links: Tensor) -> Tensor:
    """Re tr(U_mu A_mu) of each link, [Nb,4,Nt,Nx,Ny,Nz]."""
    with _blocks(links) as (lattice, blocks):
        return blocked.scalars_out(lattice, blocked.staple_trace(lattice, blocks))


def loop_square(links: Tensor) -> Tensor:
    """TA((U_mu A_mu)^2) / 36 with the plaquette staples A, like links."""
    with _blocks(links) as (lattice, blocks):
        return blocked.algebra_out(lattice, blocked.loop_square(lattice, blocks))


def laplacian(links: Tensor, field: Tensor, transverse: bool = False) -> Tensor:
    """Covariant Laplacian of an algebra field, like links."""
    with _blocks(links) as (lattice, blocks):
        components = blocked.algebra_in(lattice, field, len(links))
        return blocked.algebra_out(
            lattice, blocked.laplacian(lattice, blocks, components, transverse)
        )


def transport_laplacian(links: Tensor, field: Tensor, mu: int) -> Tensor:
    """The transverse Laplacian of one direction, X_mu [Nb,Nt,Nx,Ny,Nz,3,3]."""
    with _blocks(links) as (lattice, blocks):
        components = blocked.algebra_in(lattice, field, len(links), mu)
        moved = blocked.laplacian(lattice, blocks, components, transverse=True, only=mu)
        return blocked.algebra_out(lattice, moved, mu)


def frozen_features(links: Tensor, field: Tensor, mu: int) -> tuple[Tensor, Tensor]:
    """(tr(A_mu A_mu^dagger) of the plaquette staples, `transport_laplacian` of X_mu)."""
    with _blocks(links) as (lattice, blocks):
        square = blocked.staple_square(lattice, blocks, mu)
        components = blocked.algebra_in(lattice, field, len(links), mu)
        moved = blocked.laplacian(lattice, blocks, components, transverse=True, only=mu)
        return blocked.sites_out(lattice, square), blocked.algebra_out(lattice, moved, mu)


def clover(links: Tensor, traceless: bool = True) -> Tensor:
    """(temporal energy, spatial energy) per site and charge from the clover, [Nb,3]."""
    with _blocks(links) as (lattice, blocks):
        sums = lattice.sums("clover", blocks, 3, int(traceless), blocks)
    return sums / torch.tensor([volume(links), volume(links), 1], dtype=torch.float64)


def charge_density(links: Tensor, shapes: Sequence[tuple[int, int, float]],
                   traceless: bool = True) -> Tensor:
    """q(x) from clovers of m x n loops, [Nb,Nt,Nx,Ny,Nz]."""
    if _too_long(shapes):
        return reference.charge_density(links, shapes, traceless)
    with _blocks(links) as (lattice, blocks):
        density = blocked.charge_density(lattice, blocks, shapes, traceless)
        return blocked.sites_out(lattice, density)


def charge(links: Tensor, shapes: Sequence[tuple[int, int, float]], traceless: bool = True
           ) -> Tensor:
    """Q = sum_x q(x) of `charge_density`, [Nb]."""
    if _too_long(shapes):
        return reference.charge(links, shapes, traceless)
    check_links(links)
    lattice = library.lattice_of(links)
    if lattice.part is not None:
        lattice.part.require(max(max(m, n) for m, n, _ in shapes))
    with _blocks(links) as (lattice, blocks):
        density = blocked.charge_density(lattice, blocks, shapes, traceless)
        return lattice.sums("site_sum", density, 1, density)[:, 0]


def _too_long(shapes: Sequence[tuple[int, int, float]]) -> bool:
    """Whether torch must serve; LayoutError for what is no loop, where kernels would read on."""
    for m, n, _ in shapes:
        if min(m, n) < 1:
            raise LayoutError(f"loops: expected sides of at least 1, found {m} x {n}")
    return any(max(m, n) > blocked.LONGEST for m, n, _ in shapes)


def flow(links: Tensor, step: float, steps: int = 1, c1: float = 0.0) -> Tensor:
    """`steps` steps of Luescher's third-order scheme of size `step`, in the blocked layout."""
    with _blocks(links) as (lattice, blocks):
        push = lattice.empty(links.shape[0], ALGEBRA)
        for _ in range(steps):
            blocked.force(lattice, blocks, 6.0, c1, out=push)
            blocked.drift(lattice, push, blocks, -step / 4, out=blocks)
            lattice.renew(blocks)
            blocked.kick(lattice, push, blocks, 6.0, c1, -8 / 9, keep=-17 / 36, out=push)
            blocked.drift(lattice, push, blocks, -step, out=blocks)
            lattice.renew(blocks)
            blocked.kick(lattice, push, blocks, 6.0, c1, -0.75, keep=-1.0, out=push)
            blocked.drift(lattice, push, blocks, -step, out=blocks)
            lattice.renew(blocks)
        return blocked.links_out(lattice, blocks)


def trajectory(links: Tensor, momenta: Tensor, force: Tensor, beta: float, c1: float,
               kicks: Sequence[float], drifts: Sequence[float], displacements: Sequence[float]
               ) -> tuple[Tensor, Tensor, Tensor]:
    """(U', P', F(U')) after kick, drift, kick, ..., all between in the blocked layout.

    P' = P - h F(exp(-g F) U) for a kick h with displacement g, U' = exp(e P) U for a drift e;
    `force` is F at `links`. One kick more than drifts.
    """
    with _blocks(links) as (lattice, blocks):
        p = blocked.algebra_in(lattice, momenta, len(links))
        f = blocked.algebra_in(lattice, force, len(links))
        moved = lattice.empty(links.shape[0] if any(displacements) else 0, LINK)
        last = len(kicks) - 1
        for n, (kick, displacement) in enumerate(zip(kicks, displacements, strict=True)):
            if n > 0:
                blocked.drift(lattice, p, blocks, drifts[n - 1], out=blocks)
                lattice.renew(blocks)
            if 0 < n < last and displacement == 0.0:
                blocked.kick(lattice, p, blocks, beta, c1, kick, out=p)
                continue
            if n > 0:
                blocked.force(lattice, blocks, beta, c1, out=f)
            if displacement == 0.0:
                p.sub_(f, alpha=float(kick))
            else:
                blocked.drift(lattice, f, blocks, -displacement, out=moved)
                lattice.renew(moved)
                blocked.kick(lattice, p, moved, beta, c1, kick, out=p)
        lattice.renew(p)
        return (blocked.links_out(lattice, blocks), blocked.algebra_out(lattice, p),
                blocked.algebra_out(lattice, f))
