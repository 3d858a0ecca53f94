"""The field transformation by the compiled kernels against torch: map, inverse, log|J|, force."""

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import InversionError
from l2hmc_bridge.fast import smearing as reference, transformation
from l2hmc_bridge.fast.cpu import library, smearing as compiled
from l2hmc_bridge.fields import su3
from l2hmc_bridge.systems.actions import GaugeAction, hot_start
from tests.support.fields import rough_links
from tests.support.marks import rest_slow
from tests.support.transformations import random_rules

needs_kernels = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
LATTICES = ((2, 4, 6, 8), (4, 2, 2, 6), (6, 2, 2, 6), (2, 2, 2, 2), (4, 4, 4, 4))
CASES = ((0, 1, "isru"), (0, 2, "tanh"), (5, 2, "isru"), (3, 1, "tanh"))  # hidden, sweeps


@needs_kernels
@pytest.mark.parametrize("extents", rest_slow(LATTICES), ids=str)
@pytest.mark.parametrize("hidden, sweeps, activation", CASES)
def test_kernels_agree_with_torch(extents, hidden, sweeps, activation, generator):
    links = rough_links(generator, extents, 2, 0.4)
    rules, before = random_rules(generator, hidden, sweeps, activation), links.clone()
    sites = links.shape[2:6].numel()
    for name in ("transform", "inverse"):
        found, change = getattr(compiled, name)(links, rules)
        expected, wanted = getattr(reference, name)(links, rules)
        assert float((found - expected).abs().max()) < 1e-14
        assert float((change - wanted).abs().max()) < 1e-13 * sites
        assert float((found - links).abs().max()) > 0.01
    moved = []  # what the force of S is asked at

    def zero(field):
        moved.append(field)
        return torch.zeros_like(field)

    compiled.force(links, rules, zero)
    assert torch.equal(moved[0], compiled.transform(links, rules)[0])
    assert torch.equal(links, before)


@pytest.mark.slow
@needs_kernels
@pytest.mark.parametrize("extents", rest_slow(LATTICES), ids=str)
@pytest.mark.parametrize("hidden, sweeps, activation", CASES)
def test_forces_agree_with_automatic_differentiation(extents, hidden, sweeps, activation,
                                                     generator):
    """The derivation by hand and the chain rule of torch, for actions with and without loops."""
    links = rough_links(generator, extents, 2, 0.4)
    rules = random_rules(generator, hidden, sweeps, activation)
    for force_of in (GaugeAction(5.8).force, GaugeAction(2.6, -0.331).force, torch.zeros_like):
        found = transformation.force(links, rules, force_of)
        with fast.using("torch"):
            expected = transformation.force(links, rules, force_of)
        assert float((found - expected).abs().max()) < 3e-13
        assert float(expected.abs().max()) > 1e-3


@needs_kernels
def test_a_large_rho_on_a_hot_field_needs_all_terms_of_the_series(generator):
    links = hot_start((2, 4, 2, 4), generator, 2)
    rules = random_rules(generator, 0, 1, "tanh", rho=-0.1199)
    found, change = compiled.transform(links, rules)
    expected, wanted = reference.transform(links, rules)
    assert float((found - expected).abs().max()) < 1e-14
    assert float((change - wanted).abs().max()) < 1e-11
    for one in (compiled, reference):
        back, again = one.inverse(found, rules)
        assert float((back - links).abs().max()) < 5e-15
        assert float((again - change).abs().max()) < 1e-11


@pytest.mark.slow
@needs_kernels
@pytest.mark.parametrize("extents", ((4, 6, 4, 6), (4, 2, 2, 6)), ids=str)
def test_bits_do_not_depend_on_threads_or_batch(extents, generator):
    links = rough_links(generator, extents, 3, 0.4)
    rules, force_of = random_rules(generator, 4, 2), GaugeAction(5.8).force

    def everything(links):
        return (*compiled.transform(links, rules), *compiled.inverse(links, rules),
                transformation.force(links, rules, force_of))

    torch.set_num_threads(1)
    expected = everything(links)
    for threads in (2, 5):
        torch.set_num_threads(threads)
        assert all(map(torch.equal, everything(links), expected))
    alone = everything(links[1:2].clone())
    assert all(torch.equal(one[0], other[1]) for one, other in zip(alone, expected, strict=True))


@needs_kernels
def test_single_precision_is_the_same_within_its_rounding(generator):
    if library.library_of(torch.complex64) is None:
        pytest.skip("no compiled kernels in single precision here")
    links, rules = rough_links(generator, (4, 4, 2, 4), 2, 0.4), random_rules(generator, 4, 1)
    narrow = links.to(torch.complex64)
    expected, wanted = compiled.transform(links, rules)
    found, change = compiled.transform(narrow, rules)
    assert found.dtype == torch.complex64 and float((found - expected).abs().max()) < 2e-6
    assert float((change / wanted - 1).abs().max()) < 1e-5
    back, _ = compiled.inverse(found, rules)
    assert float((back - narrow).abs().max()) < 5e-6


@pytest.mark.parametrize("serving", (compiled, reference))
def test_an_inverse_that_is_not_found_is_named(serving, generator):
    """rho = 0.3 contracts nothing on a smooth field: 6 x 0.3 > 1."""
    if serving is compiled and library.library() is None:
        pytest.skip("no compiled kernels here")
    rules = random_rules(generator, 0, 1, rho=0.3, bound=0.31)
    links = su3.exp(0.1 * su3.random_algebra((1, 4, 2, 2, 2, 2), generator))
    with pytest.raises(InversionError, match="inverse within 400 iterations, found .* moving"):
        serving.inverse(links, rules)


@pytest.mark.parametrize("serving", (compiled, reference))
def test_a_field_that_is_no_number_stays_so(serving, generator):
    """A trajectory that ran away is a reject, no error and no endless loop."""
    if serving is compiled and library.library() is None:
        pytest.skip("no compiled kernels here")
    rules = random_rules(generator, 4, 1)
    links = rough_links(generator, (2, 2, 2, 4), 2)
    links[1] = torch.nan
    for go in (serving.transform, serving.inverse):
        found, change = go(links, rules)
        assert found[0].isfinite().all() and change[0].isfinite()
        assert found[1].isnan().any() and change[1].isnan()
