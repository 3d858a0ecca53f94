"""The compiled kernels against the torch reference, and the table that chooses between them."""

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError, LayoutError
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.cpu import functions as cpu, library as native
from l2hmc_bridge.fields import su3
from l2hmc_bridge.observables.topology import CLOVER, FIVE_LOOP_SHAPES
from l2hmc_bridge.systems import coefficients

TOLERANCE = 1e-13
LATTICES = ((2, 4, 6, 8), (6, 4, 2, 4), (3, 4, 5, 2), (3, 5, 1, 7), (2, 2, 2, 2), (1, 2, 3, 4))
COEFFICIENTS = tuple(coefficients.RECTANGLE_COEFFICIENTS.values())

needs_kernels = pytest.mark.skipif(native.library() is None, reason="no compiled kernels here")


def relative(found, expected):
    """Largest difference over largest expected size."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    return float((found - expected).abs().max() / expected.abs().max())


def fields(extents, chains, generator):
    """Haar links and Gaussian momenta."""
    shape = (chains, 4, *extents)
    return su3.random_group(shape, generator), su3.random_algebra(shape, generator)


FUNCTIONS = {
    **{f"action {c1:.3f}": lambda m, u, p, c1=c1: m.action(u, 5.7, c1) for c1 in COEFFICIENTS},
    **{f"force {c1:.3f}": lambda m, u, p, c1=c1: m.force(u, 5.7, c1) for c1 in COEFFICIENTS},
    "exponential": lambda m, u, p: m.expm_multiply(p, u, 0.3),
    "kinetic": lambda m, u, p: m.kinetic(p),
    "plaquettes": lambda m, u, p: m.plaquettes(u),
    "staples": lambda m, u, p: m.staples(u),
    "rectangle staples": lambda m, u, p: m.rectangle_staples(u),
    "staple trace": lambda m, u, p: m.staple_trace(u),
    "loop square": lambda m, u, p: m.loop_square(u),
    "laplacian": lambda m, u, p: m.laplacian(u, p),
    "transverse laplacian": lambda m, u, p: m.laplacian(u, p, transverse=True),
    "one direction": lambda m, u, p: m.transport_laplacian(u, p[:, 2], 2),
    "staple square": lambda m, u, p: m.frozen_features(u, p[:, 1], 1)[0],
    "frozen features": lambda m, u, p: m.frozen_features(u, p[:, 3], 3)[1],
    "clover": lambda m, u, p: m.clover(u),
    "clover with trace": lambda m, u, p: m.clover(u, traceless=False),
    "charge density": lambda m, u, p: m.charge_density(u, CLOVER),
    "five loops": lambda m, u, p: m.charge_density(u, FIVE_LOOP_SHAPES),
    "five loops with trace": lambda m, u, p: m.charge_density(u, FIVE_LOOP_SHAPES, False),
    "oblong loops": lambda m, u, p: m.charge_density(u, ((3, 2, 0.4), (2, 1, -0.7))),
    "flow": lambda m, u, p: m.flow(u, 0.05, 2),
    "flow, improved": lambda m, u, p: m.flow(u, 0.05, 1, -1 / 12),
}


@needs_kernels
@pytest.mark.parametrize("chains", (1, 3))
@pytest.mark.parametrize("extents", LATTICES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_kernels_agree_with_torch(name, extents, chains, generator):
    links, momenta = fields(extents, chains, generator)
    before = links.clone(), momenta.clone()
    found = FUNCTIONS[name](cpu, links, momenta)
    assert relative(found, FUNCTIONS[name](reference, links, momenta)) < TOLERANCE
    assert torch.equal(links, before[0]) and torch.equal(momenta, before[1])


@needs_kernels
@pytest.mark.parametrize("step", (0.0, 1e-9, 0.1, 1.0, 7.0, 100.0))
def test_exponential_at_every_norm(step, generator):
    links, momenta = fields((2, 3, 2, 5), 2, generator)
    found = cpu.expm_multiply(momenta, links, step)
    # exp of a diagonal matrix is exact to the last bits; the conditioning is |step P| eps.
    phases, vectors = torch.linalg.eigh(-1j * momenta)
    exact = (vectors * torch.exp(1j * step * phases)[..., None, :]) @ vectors.mH @ links
    assert float((found - exact).abs().max()) < 1e-14 * (1 + 4 * step)
    assert float(su3.unitarity_defect(found).max()) < 1e-14 * (1 + 4 * step)


@needs_kernels
def test_exponential_of_degenerate_and_diagonal_matrices():
    eight = torch.zeros(2, 8, dtype=torch.float64)
    eight[:, 7] = torch.tensor([1.0, 40.0])  # two equal eigenvalues
    momenta = su3.from_components(eight)
    found = cpu.expm_multiply(momenta, su3.identity_like(momenta).contiguous())
    exact = torch.diag_embed(momenta.diagonal(dim1=-2, dim2=-1).exp())
    assert float((found - exact).abs().max()) < 1e-13


@needs_kernels
def test_exponential_takes_any_leading_axes_and_steps(generator):
    links, momenta = fields((2, 2, 3, 1), 3, generator)
    for cut in (lambda f: f[:, 1], lambda f: f[0, 0, 0, 0, 0, 0], lambda f: f[:, 2, None]):
        expected = reference.expm_multiply(cut(momenta), cut(links), -0.2)
        assert relative(cpu.expm_multiply(cut(momenta), cut(links), -0.2), expected) < TOLERANCE
    step = torch.tensor([0.1, 0.2, -0.3], dtype=torch.float64).view(3, *[1] * 7)
    expected = reference.expm_multiply(momenta, links, step)
    assert relative(cpu.expm_multiply(momenta, links, step), expected) < TOLERANCE


@needs_kernels
@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_memory_layout(name, generator):
    links, momenta = fields((2, 4, 3, 2), 4, generator)
    expected = FUNCTIONS[name](cpu, links[::2].contiguous(), momenta[::2].contiguous())
    strided = [f.permute(1, 2, 3, 0, 4, 5, 6, 7).contiguous().permute(3, 0, 1, 2, 4, 5, 6, 7)[::2]
               for f in (links, momenta)]
    assert torch.equal(FUNCTIONS[name](cpu, *strided), expected)
    pending = [f[::2].mH.contiguous().mH for f in (links, momenta)]
    assert pending[0].is_conj()
    assert torch.equal(FUNCTIONS[name](cpu, *pending), expected)


@needs_kernels
def test_denormal_numbers_are_kept(generator):
    links, momenta = fields((2, 2, 2, 2), 1, generator)
    tiny = 1e-160 * momenta
    assert float(cpu.kinetic(tiny)) == pytest.approx(float(reference.kinetic(tiny)), rel=1e-3)
    assert float(cpu.kinetic(tiny)) > 0
    found, expected = (m.force(1e-79 * links, 6.0, 0.0) for m in (cpu, reference))
    assert 0 < float(expected.abs().max()) < 1e-307
    assert float((found - expected).abs().max()) < 1e-321
    moved = cpu.expm_multiply(1e-310 * momenta, links)
    assert torch.equal(moved, links)


@needs_kernels
@pytest.mark.parametrize("name", ("force 0.000", "clover", "exponential", "kinetic"))
def test_not_a_number_stays_in_its_chain(name, generator):
    links, momenta = fields((2, 4, 2, 2), 3, generator)
    links[1, 0, 0, 0, 0, 0, 0, 0] = momenta[1, 0, 0, 0, 0, 0, 0, 0] = float("nan")
    found = FUNCTIONS[name](cpu, links, momenta)
    assert not found[[0, 2]].isnan().any() and found[1].isnan().any()


@needs_kernels
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_do_not_depend_on_threads_or_batch(name, generator):
    links, momenta = fields((4, 6, 4, 6), 3, generator)
    torch.set_num_threads(1)
    expected = FUNCTIONS[name](cpu, links, momenta)
    for threads in (2, 3, 7):
        torch.set_num_threads(threads)
        assert torch.equal(FUNCTIONS[name](cpu, links, momenta), expected)
    alone = FUNCTIONS[name](cpu, links[1:2].clone(), momenta[1:2].clone())
    assert torch.equal(alone[0], expected[1])


@needs_kernels
@pytest.mark.parametrize("extents", ((3, 4, 5, 2), (2, 4, 6, 8)), ids=str)
def test_charges_are_the_sums_of_their_densities(extents, generator):
    links, _ = fields(extents, 3, generator)
    for shapes in (CLOVER, FIVE_LOOP_SHAPES, ((4, 1, 0.1), (1, 1, 1.0))):  # the last in torch
        density = fast.charge_density(links, shapes)
        scale = float(density.abs().sum())
        for module in (cpu, reference):
            difference = module.charge(links, shapes) - density.flatten(1).sum(1)
            assert float(difference.abs().max()) < TOLERANCE * scale


def test_fallback_without_kernels(monkeypatch, generator):
    links, momenta = fields((2, 3, 2, 2), 2, generator)
    monkeypatch.setattr(native, "library", lambda: None)
    assert fast.backend(links) is reference and fast.description() == "torch"
    for name, function in FUNCTIONS.items():
        same = torch.equal(function(fast, links, momenta), function(reference, links, momenta))
        assert same, name
    plan = ((0.1, 0.1), (0.2,), (0.0, 0.0))
    ends = [one.trajectory(links, momenta, momenta, 6.0, 0.0, *plan)[:3]
            for one in (fast, reference)]
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_missing_kernels_are_said_once(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(native, "FOLDER", tmp_path)
    native.library.cache_clear()
    try:
        assert native.library() is None and native.library() is None
    finally:
        native.library.cache_clear()
    assert len(caplog.records) == 1 and "C++ compiler" in caplog.text


@needs_kernels
def test_kernels_of_other_sources_are_refused(monkeypatch, caplog):
    monkeypatch.setattr(native, "INTERFACE", -1)
    native.library.cache_clear()
    try:
        assert native.library() is None
    finally:
        native.library.cache_clear()
    assert "build it again" in caplog.text


@needs_kernels
def test_the_table(generator):
    links, momenta = fields((2, 2, 2, 2), 1, generator)
    assert fast.backend(links, momenta, 0.1) is cpu
    assert fast.backend(links.real.to(torch.bfloat16)) is reference
    assert fast.backend(links.to("meta")) is reference
    leaf = links.clone().requires_grad_()
    assert fast.backend(leaf, momenta) is fast.BACKENDS["cpu with gradients"]
    with torch.no_grad():
        assert fast.backend(leaf) is cpu
    with fast.using("torch"):
        assert fast.backend(links) is reference and fast.description() == "torch"
    assert fast.backend(links) is cpu and "compiled" in fast.description()
    with pytest.raises(ConfigError, match="auto, torch"):
        fast.use("quick")


@needs_kernels
def test_bad_shapes_are_refused(generator):
    links, _ = fields((2, 2, 2, 2), 1, generator)
    for wrong in (links[0], links[:, :3], links[..., :2]):
        with pytest.raises(LayoutError):
            cpu.force(wrong, 6.0)
