"""Laws of the group, its algebra and its exponential."""

import pytest
import torch

from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fields import su3


def test_generators_are_normalised():
    basis = su3.generators()
    gram = torch.einsum("aij,bji->ab", basis, basis)
    assert torch.allclose(gram, -0.5 * torch.eye(8, dtype=gram.dtype), atol=1e-15)
    assert torch.equal(basis, -basis.mH)


def test_components_round_trip(generator):
    components = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    algebra = su3.from_components(components)
    assert torch.allclose(su3.to_components(algebra), components, atol=1e-14)
    assert torch.allclose(su3.inner(algebra, algebra), components.square().sum(-1))
    assert torch.allclose(su3.kinetic(algebra), 0.5 * components.square().sum(-1))


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-4, 0.1, 0.7, 0.75, 1.0, 3.0, 30.0])
def test_exp_agrees_with_matrix_exponential(generator, scale):
    algebra = scale * su3.random_algebra((200,), generator) / 2
    error = (su3.exp(algebra) - torch.linalg.matrix_exp(algebra)).abs().max()
    assert error < 2e-14 * max(1.0, scale)
    assert su3.unitarity_defect(su3.exp(algebra)[None]) < 5e-15 * max(1.0, scale)


@pytest.mark.parametrize("phase", [0.0, 1e-8, 1e-3, 1.0, 2.9])
@pytest.mark.parametrize(
    "diagonal", [(1, 1, -2), (-1, -1, 2), (1, -1, 0), (1, 1 + 1e-9, -2 - 1e-9)]
)
def test_exp_at_degenerate_eigenvalues(phase, diagonal):
    angles = phase * torch.tensor(diagonal, dtype=torch.float64)
    algebra = torch.diag(1j * angles)[None]
    assert (su3.exp(algebra)[0].diagonal() - torch.exp(1j * angles)).abs().max() < 1e-14


def test_exp_inverse_and_small_step_accuracy(generator):
    algebra = su3.random_algebra((100,), generator)
    for step in (1e-6, 1e-3, 0.3):
        product = su3.exp(step * algebra) @ su3.exp(-step * algebra)
        assert (product - su3.identity_like(product)).abs().max() < 3e-15


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.5])
def test_exp_gradient(generator, scale):
    components = (scale * torch.randn(3, 8, generator=generator, dtype=torch.float64))
    components.requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda c: torch.view_as_real(su3.exp(su3.from_components(c))), components
    )


def test_project_group(generator):
    group = su3.random_group((50,), generator)
    noisy = group + 0.05 * torch.randn(50, 3, 3, generator=generator, dtype=group.dtype)
    projected = su3.project_group(noisy)
    assert su3.unitarity_defect(projected[None]) < 1e-14
    assert su3.determinant_defect(projected[None]) < 1e-14
    assert (su3.project_group(group) - group).abs().max() < 1e-14
    with pytest.raises(LayoutError, match="finite, regular"):
        su3.project_group(torch.zeros(1, 3, 3, dtype=group.dtype))


def test_random_group_is_haar(generator):
    """<tr U> = 0, <|tr U|^2> = 1, <(tr U)^3> = 1 on SU(3); 4 standard errors at 20000 draws."""
    count = 20000
    group = su3.random_group((count,), generator)
    trace = su3.trace(group)
    assert su3.determinant_defect(group[None]) < 1e-13
    assert abs(trace.mean()) < 4 / count**0.5
    assert abs(trace.abs().square().mean() - 1) < 4 * (trace.abs().square().std() / count**0.5)
    cubed = trace.pow(3).real
    assert abs(cubed.mean() - 1) < 4 * cubed.std() / count**0.5


def test_project_algebra_is_the_orthogonal_projection(generator):
    matrix = torch.randn(20, 3, 3, generator=generator, dtype=torch.complex128)
    algebra = su3.project_algebra(matrix)
    assert su3.trace(algebra).abs().max() < 1e-15
    assert torch.equal(algebra, -algebra.mH)
    direction = su3.random_algebra((20,), generator)
    residue = -2 * su3.trace(direction @ (matrix - algebra)).real
    assert residue.abs().max() < 1e-13


def test_a_projection_does_not_depend_on_the_matrices_beside(generator):
    matrices = su3.random_group((5000,), generator)
    matrices = matrices + 1e-5 * torch.randn(
        matrices.shape, generator=generator, dtype=matrices.dtype)
    whole = su3.project_group(matrices)
    for some in (slice(0, 1), slice(3, 10), slice(7, 4999, 3), slice(2047, 2049)):
        assert torch.equal(su3.project_group(matrices[some]), whole[some])
    order = torch.randperm(5000, generator=generator)
    assert torch.equal(su3.project_group(matrices[order]), whole[order])
    assert su3.project_group(matrices[:0]).shape == (0, 3, 3)
