"""The group SU(3) and its algebra in torch; every function works on any leading axes [..., 3, 3].

Generators T_a = i lambda_a / 2 with tr T_a T_b = -delta_ab / 2; inner product <X, Y> = -2 tr X Y.
"""

import functools
import math

import torch
from torch import Tensor

from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fields import part

DIMENSION = 8  # of the algebra: what a Jacobian counts per link
_SERIES_TERMS = 19  # the remainder of exp(X), |X| <= 1, after X^19 is below 1e-18
PIECE, LANES = 2048, 16  # matrices that are projected at once; a multiple of all registers
_SERIES_BOUND = 0.5  # largest -tr(X^2)/2 for which the series serves


def dagger(matrix: Tensor) -> Tensor:
    """Hermitian conjugate, [..., 3, 3]."""
    return matrix.mH


def trace(matrix: Tensor) -> Tensor:
    """Sum of the diagonal, [..., 3, 3] -> [...]."""
    return matrix.diagonal(dim1=-2, dim2=-1).sum(-1)


def product(left: Tensor, right: Tensor) -> Tensor:
    """A B, [..., 3, 3]; of a part of a lattice on a GPU `by_entries`."""
    if left.device.type == "cpu" or part.current() is None:
        return left @ right
    return by_entries(left, right)


def by_entries(left: Tensor, right: Tensor) -> Tensor:
    """A B, so that what comes of two matrices does not depend on those beside them.

    A library may choose by how many there are how it multiplies.
    """
    first, second, third = (left[..., :, n:n + 1] * right[..., n:n + 1, :] for n in range(3))
    return first + second + third


def identity_like(matrix: Tensor) -> Tensor:
    """Unit matrices with the shape, dtype and device of `matrix`."""
    return torch.eye(3, dtype=matrix.dtype, device=matrix.device).expand_as(matrix)


def project_algebra(matrix: Tensor) -> Tensor:
    """TA(M) = (M - M^dagger)/2 - tr(M - M^dagger)/6: traceless anti-Hermitian part."""
    antihermitian = 0.5 * (matrix - matrix.mH)
    eye = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    return antihermitian - (trace(antihermitian) / 3)[..., None, None] * eye


def inner(left: Tensor, right: Tensor) -> Tensor:
    """<X, Y> = -2 tr X Y = sum_a x_a y_a per matrix, real [...]."""
    return -2 * (left * right.transpose(-1, -2)).sum((-2, -1)).real


def kinetic(momenta: Tensor) -> Tensor:
    """K = 1/2 sum_a p_a^2 = -tr P^2 = sum_ij |P_ij|^2 over everything but the batch, [Nb]."""
    return torch.view_as_real(momenta.resolve_conj()).square().flatten(1).sum(1)


def generators(dtype: torch.dtype = torch.complex128, device: torch.device | None = None) -> Tensor:
    """T_a = i lambda_a / 2 (Gell-Mann matrices), [8, 3, 3]."""
    matrices = torch.zeros(8, 3, 3, dtype=torch.complex128)
    for a, (i, j) in ((0, (0, 1)), (3, (0, 2)), (5, (1, 2))):
        matrices[a, [i, j], [j, i]] = torch.tensor(0.5j, dtype=matrices.dtype)
        matrices[a + 1, i, j], matrices[a + 1, j, i] = 0.5, -0.5
    # Order 1, 2, 4, 5, 6, 7 above sits at 0, 1, 3, 4, 5, 6; the diagonal ones are 3 and 8.
    matrices[2] = 0.5j * torch.diag(torch.tensor([1, -1, 0], dtype=torch.complex128))
    matrices[7] = 0.5j * torch.diag(torch.tensor([1, 1, -2]).to(torch.complex128)) / math.sqrt(3)
    return matrices.to(dtype=dtype, device=device)


def to_components(algebra: Tensor) -> Tensor:
    """x_a = <T_a, X> of X = sum_a x_a T_a: [..., 3, 3] -> real [..., 8]."""
    return -2 * torch.einsum("aij,...ji->...a", _basis(algebra.dtype, algebra.device), algebra).real


def from_components(components: Tensor) -> Tensor:
    """X = sum_a x_a T_a: real [..., 8] -> [..., 3, 3]."""
    dtype = torch.complex128 if components.dtype == torch.float64 else torch.complex64
    basis = _basis(dtype, components.device)
    return torch.einsum("...a,aij->...ij", components.to(dtype), basis)


@functools.lru_cache(maxsize=16)
def _basis(dtype: torch.dtype, device: torch.device) -> Tensor:
    """`generators`, brought to a GPU once."""
    return generators(dtype, device)


def exp(algebra: Tensor) -> Tensor:
    """exp(X) of traceless anti-Hermitian X through Cayley-Hamilton: q0 + q1 X + q2 X^2.

    X^3 = t X + d with t = tr(X^2)/2 <= 0 and d = det X (imaginary). For -t <= 0.5 the
    coefficients come from Horner's rule on the exponential series with X^3 replaced as above,
    complete to the last bit; beyond, from the eigenvalues (hep-lat/0311018, eqs. 19-33),
    where no cancellation is left.
    """
    square = algebra @ algebra
    t = 0.5 * trace(square).real
    d = trace(square @ algebra).imag / 3
    coefficients = _series_coefficients(t.clamp(min=-_SERIES_BOUND), d)
    large = -t > _SERIES_BOUND
    if large.device.type != "cpu" or bool(large.any()):  # to ask a GPU is to wait for it
        q, f = torch.where(large, -t, 1.0), torch.where(large, -d, 0.0)
        closed = _eigenvalue_coefficients(q, f)
        coefficients = [
            torch.where(large, one, other)
            for one, other in zip(closed, coefficients, strict=True)
        ]
    q0, q1, q2 = (c.to(algebra.dtype)[..., None, None] for c in coefficients)
    eye = torch.eye(3, dtype=algebra.dtype, device=algebra.device)
    return q0 * eye + q1 * algebra + q2 * square


def _series_coefficients(t: Tensor, d: Tensor) -> list[Tensor]:
    """q0, q1, q2 by Horner: (q0 + q1 X + q2 X^2) X + 1/n! with X^3 = t X + i d."""
    q0 = torch.full_like(t, 1 / math.factorial(_SERIES_TERMS)).to(torch.complex128)
    q1, q2 = torch.zeros_like(q0), torch.zeros_like(q0)
    for n in range(_SERIES_TERMS - 1, -1, -1):
        q0, q1, q2 = 1 / math.factorial(n) + 1j * d * q2, q0 + t * q2, q1
    return [q0, q1, q2]


def _eigenvalue_coefficients(c1: Tensor, c0: Tensor) -> list[Tensor]:
    """The same for X = i Q with c1 = tr(Q^2)/2, c0 = det Q: hep-lat/0311018, eqs. 23-34."""
    negative = c0 < 0
    c0_max = 2 * (c1 / 3) ** 1.5
    ratio = (c0.abs() / c0_max).clamp(max=1 - 1e-15)
    theta = torch.acos(ratio)
    u = torch.sqrt(c1 / 3) * torch.cos(theta / 3)
    w = torch.sqrt(c1) * torch.sin(theta / 3)
    sinc = torch.where(w.abs() < 0.05, _sinc_series(w), torch.sin(w) / torch.where(w == 0, 1.0, w))
    cos_w, e2, e1 = torch.cos(w), torch.exp(2j * u), torch.exp(-1j * u)
    h0 = (u**2 - w**2) * e2 + e1 * (8 * u**2 * cos_w + 2j * u * (3 * u**2 + w**2) * sinc)
    h1 = 2 * u * e2 - e1 * (2 * u * cos_w - 1j * (3 * u**2 - w**2) * sinc)
    h2 = e2 - e1 * (cos_w + 3j * u * sinc)
    f0, f1, f2 = (h / (9 * u**2 - w**2) for h in (h0, h1, h2))
    f0 = torch.where(negative, f0.conj(), f0)
    f1 = torch.where(negative, -f1.conj(), f1)
    f2 = torch.where(negative, f2.conj(), f2)
    return [f0, -1j * f1, -f2]  # Q = -i X


def _sinc_series(w: Tensor) -> Tensor:
    square = w * w
    return 1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72)))


def project_group(matrix: Tensor, iterations: int = 50) -> Tensor:
    """Nearest unitary matrix (polar decomposition by Newton's iteration), divided by det^(1/3).

    In main memory piece by piece, and what a matrix becomes does not depend on those beside it:
    links of a part of a lattice go there. Raises LayoutError when a matrix is singular or not
    finite.
    """
    if matrix.device.type != "cpu":
        if part.current() is not None:
            return project_group(matrix.cpu(), iterations).to(matrix.device)
        return _projected(matrix, iterations)
    flat = matrix.reshape(-1, 3, 3)
    pieces = [_projected(_padded(flat[at:at + PIECE]), iterations)[:len(flat) - at]
              for at in range(0, len(flat), PIECE)]
    return torch.cat(pieces).view(matrix.shape) if pieces else matrix.clone()


def _padded(matrices: Tensor) -> Tensor:
    """With unit matrices behind them: so many that torch computes no rest of a register apart."""
    missing = -len(matrices) % LANES
    if not missing:
        return matrices
    return torch.cat((matrices, identity_like(matrices[:1]).expand(missing, 3, 3)))


def _projected(matrix: Tensor, iterations: int) -> Tensor:
    """Newton's iteration, of each matrix until it is still."""
    unitary = matrix
    moving = torch.ones((), dtype=torch.bool, device=matrix.device)
    for _ in range(iterations):
        step = 0.5 * (unitary + _inverse_dagger(unitary))
        change = (step - unitary).abs().amax((-2, -1))
        unitary = torch.where(moving[..., None, None], step, unitary)
        if not bool(torch.isfinite(change).all()):
            raise LayoutError("projection to SU(3): expected finite, regular matrices")
        moving = moving & (change >= 1e-15)
        if not bool(moving.any()):
            break
    determinant = _determinant(unitary)
    phase = torch.polar(torch.ones_like(determinant.real), -determinant.angle() / 3)
    return unitary * phase[..., None, None]


def _cofactors(m: Tensor) -> Tensor:
    """Matrix of cofactors: rows are the cross products of the other two rows."""
    rows = (m[..., 0, :], m[..., 1, :], m[..., 2, :])
    crossed = [torch.linalg.cross(rows[(i + 1) % 3], rows[(i + 2) % 3]) for i in range(3)]
    return torch.stack(crossed, dim=-2)


def _determinant(m: Tensor) -> Tensor:
    return (m[..., 0, :] * torch.linalg.cross(m[..., 1, :], m[..., 2, :])).sum(-1)


def _inverse_dagger(m: Tensor) -> Tensor:
    return (_cofactors(m) / _determinant(m)[..., None, None]).conj()


def unitarity_defect(links: Tensor) -> Tensor:
    """max |U U^dagger - 1| over all links and matrix entries, [Nb]."""
    defect = product(links, links.mH) - torch.eye(3, dtype=links.dtype, device=links.device)
    return defect.abs().flatten(1).amax(1)


def determinant_defect(links: Tensor) -> Tensor:
    """max |det U - 1| over all links, [Nb]."""
    return (_determinant(links) - 1).abs().flatten(1).amax(1)


def random_algebra(
    shape: tuple[int, ...], generator: torch.Generator, device: torch.device | None = None
) -> Tensor:
    """P = sum_a p_a T_a with p_a ~ N(0, 1), complex128 [*shape, 3, 3]; the p_a are moved."""
    components = torch.randn(
        *shape, DIMENSION, generator=generator, dtype=torch.float64, device=generator.device
    )
    return from_components(components.to(device or generator.device))


def random_group(
    shape: tuple[int, ...], generator: torch.Generator, device: torch.device | None = None
) -> Tensor:
    """Haar-distributed SU(3) matrices, complex128 [*shape, 3, 3] (QR with fixed phases)."""
    gaussian = torch.randn(
        *shape, 3, 3, generator=generator, dtype=torch.complex128, device=generator.device
    )
    q, r = torch.linalg.qr(gaussian)
    diagonal = r.diagonal(dim1=-2, dim2=-1)
    unitary = q * (diagonal / diagonal.abs())[..., None, :]
    # A unitary matrix times a phase of its own determinant: exactly Haar on SU(3).
    phase = torch.polar(torch.ones(shape, dtype=torch.float64, device=unitary.device),
                        -_determinant(unitary).angle() / 3)
    return (unitary * phase[..., None, None]).contiguous().to(device or generator.device)
