"""Kernels for fields in complex64 against torch in double precision, and their gradients."""

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.cpu import blocks, functions as cpu, library as native
from l2hmc_bridge.fields import su3
from tests.fast.test_gradients import CASES, scalars
from tests.fast.test_table import FUNCTIONS, fields

pytestmark = pytest.mark.skipif(native.library_of(torch.complex64) is None,
                                reason="no compiled kernels in single precision here")

TOLERANCE = 1e-6  # of the largest number: a dozen roundings of 6e-8 each
LATTICES = ((2, 4, 6, 8), (3, 5, 1, 7), (3, 4, 5, 2), (2, 2, 2, 2), (1, 2, 3, 4))
SUMS = ("action", "kinetic", "plaquettes", "clover")  # over a lattice: always float64


def single(*tensors):
    return [one.to(torch.complex64 if one.is_complex() else torch.float32) for one in tensors]


def double(*tensors):
    return [one.to(torch.complex128 if one.is_complex() else torch.float64) for one in tensors]


def relative(found, expected):
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("chains", (1, 3))
@pytest.mark.parametrize("extents", LATTICES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_kernels_agree_with_double_precision(name, extents, chains, generator):
    links, momenta = fields(extents, chains, generator)
    wide = name.split()[0] in SUMS
    if wide:  # of Haar links such sums are what is left of much larger numbers
        links = su3.exp(0.3 * momenta)
    links, momenta = single(links, momenta)
    assert fast.backend(links, momenta) is cpu
    found = FUNCTIONS[name](cpu, links, momenta)
    expected = FUNCTIONS[name](reference, *double(links, momenta))
    assert relative(found, expected) < TOLERANCE
    assert found.dtype == (expected.dtype if wide else single(expected)[0].dtype)


def test_sums_over_a_lattice_are_added_in_double_precision(generator):
    """Sums of 10^5 numbers lose nothing to their length, which float32 would."""
    links, momenta = single(*fields((8, 8, 6, 6), 1, generator))
    exact = double(links, momenta)
    assert relative(cpu.kinetic(momenta), reference.kinetic(exact[1])) < 1e-13
    assert relative(cpu.action(links, 6.0), reference.action(exact[0], 6.0)) < 3e-7
    lattice = native.lattice_of(links)
    squares = blocks.kinetic(lattice, blocks.algebra_in(lattice, momenta, len(links)))
    assert relative(squares, reference.kinetic(exact[1])) < 2e-8  # the components are rounded
    ordered = su3.identity_like(links).contiguous()
    assert float(cpu.action(ordered, 6.0)) == -2 * 6 * 8 * 8 * 6 * 6 * 3


@pytest.mark.parametrize("step", (0.0, 1e-9, 0.1, 1.0, 7.0, 100.0))
def test_exponential_at_every_norm(step, generator):
    links, momenta = single(*fields((2, 3, 2, 5), 2, generator))
    found = cpu.expm_multiply(momenta, links, step)
    exact = cpu.expm_multiply(*double(momenta, links), step)
    assert float((found - exact).abs().max()) < 1e-6 * (1 + step)
    assert float(su3.unitarity_defect(found).max()) < 1e-6 * (1 + step)


def test_exponential_keeps_the_norm_on_average(generator):
    """Rounding may go both ways: a thousand steps do not blow the links up."""
    links, momenta = single(*fields((8, 4, 8, 8), 1, generator))
    for step in (0.05, 0.15, 0.3):
        excess = cpu.expm_multiply(momenta, links, step).to(torch.complex128).abs().square()
        excess = excess.sum((-2, -1)) - 3
        noise = float(excess.std()) / excess.numel() ** 0.5
        assert abs(float(excess.mean())) < 4 * noise + 3e-9


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_do_not_depend_on_threads_or_batch(name, generator):
    links, momenta = single(*fields((4, 6, 4, 6), 3, generator))
    torch.set_num_threads(1)
    expected = FUNCTIONS[name](cpu, links, momenta)
    for threads in (2, 5):
        torch.set_num_threads(threads)
        assert torch.equal(FUNCTIONS[name](cpu, links, momenta), expected)
    alone = FUNCTIONS[name](cpu, links[1:2].clone(), momenta[1:2].clone())
    assert torch.equal(alone[0], expected[1])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_memory_layout(name, generator):
    links, momenta = single(*fields((2, 4, 3, 2), 2, generator))
    expected = FUNCTIONS[name](cpu, links, momenta)
    pending = [f.conj().resolve_conj().conj() for f in (links, momenta)]
    assert pending[0].is_conj()
    strided = [f.mT.contiguous().mT for f in pending]
    assert not strided[0].is_contiguous()
    assert torch.equal(FUNCTIONS[name](cpu, *strided), expected)
    assert torch.equal(FUNCTIONS[name](cpu, *pending), expected)


@pytest.mark.parametrize("extents", ((2, 4, 3, 6), (3, 5, 3, 1), (4, 2, 2, 2)), ids=str)
@pytest.mark.parametrize("name", CASES)
def test_gradients_agree_with_double_precision(name, extents, generator):
    links, momenta = single(*fields(extents, 2, generator))
    weights, s = single(fields(extents, 2, generator)[1], scalars((2, 3), generator))
    found, expected = [], []
    for out, change in ((found, single), (expected, double)):
        u, x, w, t = change(links, momenta, weights, s)
        leaves = [one.clone().requires_grad_() for one in (u, x, t)]
        value = CASES[name](fast.BACKENDS["cpu with gradients"], leaves[0], leaves[1], w, leaves[2])
        gradients = torch.autograd.grad((value * change(torch.tensor([1.0, -0.3]))[0]).sum(),
                                        leaves, allow_unused=True)
        out.extend(one for one in gradients if one is not None)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == single(other)[0].dtype
        assert relative(one, other) < 1e-5  # contractions cancel a digit


def test_gradient_of_the_kinetic_energy(generator):
    momenta = single(fields((2, 3, 4, 1), 2, generator)[1])[0].requires_grad_()
    energy = fast.kinetic(momenta)
    assert energy.dtype == torch.float64
    (gradient,) = torch.autograd.grad((energy * torch.tensor([1.0, -2.0])).sum(), momenta)
    expected = 2 * momenta.detach() * torch.tensor([1.0, -2.0]).view(2, *[1] * 7)
    assert torch.equal(gradient, expected)


def test_mixed_precisions_go_to_torch_and_kernels_refuse_them(generator):
    links, momenta = fields((2, 2, 2, 2), 1, generator)
    small = single(links)[0]
    assert fast.backend(small, momenta) is reference
    assert fast.backend(small, torch.tensor(0.1, dtype=torch.float64)) is cpu
    with pytest.raises(LayoutError, match="numbers of type torch.float32, found torch.complex128"):
        cpu.laplacian(small, momenta)
    with pytest.raises(LayoutError, match="expected numbers"):
        cpu.expm_multiply(momenta, small)


def test_torch_serves_where_single_precision_was_not_built(monkeypatch, generator):
    links, momenta = single(*fields((2, 3, 2, 2), 1, generator))
    monkeypatch.setattr(native, "single_library", lambda: None)
    assert fast.backend(links) is reference and fast.backend(*double(links)) is cpu
    assert fast.force(links, 6.0).dtype == torch.complex64
    assert fast.expm_multiply(momenta, links, 0.1).dtype == torch.complex64
