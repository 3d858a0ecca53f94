"""Heat-bath sweeps: colours, compiled kernels against torch, threads, precision, layouts."""

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast import heatbath as reference
from l2hmc_bridge.fast.cpu import heatbath as compiled, library
from l2hmc_bridge.fields import loops, su3
from l2hmc_bridge.systems.actions import GaugeAction
from tests.fast.test_philox import words
from tests.support.fields import rough_links

needs_kernels = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
LATTICES = ((2, 4, 6, 8), (8, 4, 4, 4), (3, 4, 5, 2), (6, 2, 3, 10), (3, 5, 3, 7), (2, 2, 2, 2))
# (sweeps, overrelaxations, beta): all branches of the acceptance, and rounding that one sweep grows
CASES = ((1, 0, 6.0), (1, 0, 0.7), (1, 0, 0.0), (0, 1, 1.0), (2, 1, 5.7))


@pytest.mark.parametrize("extents", LATTICES, ids=str)
def test_neighbours_have_different_colours(extents):
    colours = reference.colours(extents)
    for mu in range(4):
        assert (colours != colours.roll(1, mu)).all()
    assert int(colours.max()) + 1 == (2 if all(n % 4 == 0 or n == 2 for n in extents) else 3)


@pytest.mark.parametrize("extents", [(4, 8, 2, 4), (12, 4, 4, 4)])
def test_colours_are_parity_where_that_fits(extents):
    parity = sum(torch.meshgrid(*map(torch.arange, extents), indexing="ij")) % 2
    assert torch.equal(reference.colours(extents), parity)


def test_colours_do_not_distinguish_the_halves_of_a_direction():
    """So that no vector of sites of different halves holds two colours."""
    for extent in (4, 6, 8, 10, 14):
        colours = reference.colours((extent, 4, 4, 4))
        assert torch.equal(colours[:extent // 2], colours[extent // 2:])


@needs_kernels
@pytest.mark.parametrize("sweeps, overrelaxations, beta", CASES)
@pytest.mark.parametrize("extents", LATTICES, ids=str)
def test_kernels_agree_with_torch(extents, sweeps, overrelaxations, beta, generator):
    """The same numbers for the same counters: only rounding differs, which reflections amplify."""
    links, drawn = rough_links(generator, extents, 2, 0.4), words(generator, 2, 4)
    before = links.clone()
    found = compiled.heat_bath(links, beta, drawn, sweeps, overrelaxations)
    expected = reference.heat_bath(links, beta, drawn, sweeps, overrelaxations)
    assert float((found - expected).abs().max()) < 1e-10
    assert torch.equal(links, before)
    assert float((found - links).abs().max()) > 0.1
    for field in (found, expected):
        assert float(su3.unitarity_defect(field).max()) < 1e-14 * (1 + overrelaxations)


@needs_kernels
@pytest.mark.parametrize("extents", LATTICES, ids=str)
def test_single_precision_draws_the_same_numbers(extents, generator):
    if library.library_of(torch.complex64) is None:
        pytest.skip("no compiled kernels in single precision here")
    links, drawn = rough_links(generator, extents, 2, 0.4), words(generator, 2, 4)
    found = compiled.heat_bath(links.to(torch.complex64), 6.0, drawn, 1, 0)
    expected = compiled.heat_bath(links, 6.0, drawn, 1, 0)
    assert found.dtype == torch.complex64
    assert float((found - expected).abs().max()) < 2e-4
    assert float(su3.unitarity_defect(found).max()) < 3e-6


@pytest.mark.slow
@needs_kernels
@pytest.mark.parametrize("extents", ((4, 6, 4, 6), (8, 4, 4, 4), (3, 4, 5, 2)), ids=str)
@pytest.mark.parametrize("dtype", (torch.complex128, torch.complex64))
def test_bits_do_not_depend_on_threads_or_batch(extents, dtype, generator):
    if library.library_of(dtype) is None:
        pytest.skip("no compiled kernels in this precision here")
    links, drawn = rough_links(generator, extents, 3).to(dtype), words(generator, 3, 4)
    torch.set_num_threads(1)
    expected = fast.heat_bath(links, 5.7, drawn, 2, 2)
    for threads in (2, 3, 5, 16):
        torch.set_num_threads(threads)
        assert torch.equal(fast.heat_bath(links, 5.7, drawn, 2, 2), expected)
    alone = fast.heat_bath(links[1:2].clone(), 5.7, drawn[1:2], 2, 2)
    assert torch.equal(alone[0], expected[1])


@pytest.mark.slow
@needs_kernels
def test_no_race_in_a_hundred_runs(generator):
    links, drawn = rough_links(generator, (4, 4, 6, 4)), words(generator, 1, 4)
    torch.set_num_threads(4)
    end = compiled.heat_bath(links, 6.0, drawn, 1, 1)
    for _ in range(100):
        assert torch.equal(compiled.heat_bath(links, 6.0, drawn, 1, 1), end)


@needs_kernels
def test_the_order_of_the_updates_leaves_no_trace(generator):
    """Colours that follow each other through a plane give what one after the other gives.

    That is a chain of reflections in torch, subset by subset, on lattices of one to many rows.
    """
    torch.set_num_threads(1)
    for extents in ((2, 2, 2, 4), (4, 2, 6, 2), (3, 3, 3, 3), (10, 2, 2, 4)):
        links = rough_links(generator, extents)
        expected = reference.heat_bath(links, 6.0, words(generator, 1, 4), 0, 1)
        found = compiled.heat_bath(links, 6.0, words(generator, 1, 4), 0, 1)
        assert float((found - expected).abs().max()) < 1e-11


@pytest.mark.slow
@needs_kernels
@pytest.mark.parametrize("extents", ((6, 4, 16, 32), (6, 16, 16, 32), (6, 14, 16, 32)), ids=str)
def test_one_passage_over_all_directions_is_one_after_the_other(extents, generator):
    """One thread passes once through memory: behind it planes, rows or lines follow each other."""
    torch.set_num_threads(1)
    links, drawn = rough_links(generator, extents), words(generator, 1, 4)
    found = compiled.heat_bath(links, 6.0, drawn, 1, 1)
    torch.set_num_threads(2)  # direction after direction, plane by plane
    assert torch.equal(compiled.heat_bath(links, 6.0, drawn, 1, 1), found)


@pytest.mark.parametrize("serving", (compiled, reference))
def test_other_words_draw_other_links(serving, generator):
    if serving is compiled and library.library() is None:
        pytest.skip("no compiled kernels here")
    links, drawn = rough_links(generator, (2, 4, 2, 2)), words(generator, 1, 4)
    start = serving.heat_bath(links, 6.0, drawn, 1, 0)
    for word in range(4):
        other = drawn.clone()
        other[0, word] ^= 1
        assert not torch.equal(serving.heat_bath(links, 6.0, other, 1, 0), start)


@pytest.mark.parametrize("serving", (compiled, reference))
def test_not_a_number_stays_in_its_chain_and_comes_to_an_end(serving, generator):
    if serving is compiled and library.library() is None:
        pytest.skip("no compiled kernels here")
    links, drawn = rough_links(generator, (2, 4, 2, 2), 3), words(generator, 3, 4)
    links[1, 0, 0, 0, 0, 0, 0, 0] = float("nan")
    found = serving.heat_bath(links, 6.0, drawn, 1, 1)
    assert not found[[0, 2]].isnan().any() and found[1].isnan().any()


@pytest.mark.parametrize("serving", (compiled, reference))
def test_links_whose_staples_cancel_are_drawn_from_haar(serving, generator):
    """On staples that vanish nothing is known: no division by zero, SU(3), all directions alike."""
    if serving is compiled and library.library() is None:
        pytest.skip("no compiled kernels here")
    links = torch.zeros(1, 4, 2, 2, 2, 2, 3, 3, dtype=torch.complex128)
    links[:, 0] = torch.eye(3)  # every staple has a link of another direction, which is zero
    found = serving.heat_bath(links, 6.0, words(generator, 1, 4), 1, 1)[:, 0]
    assert float(su3.unitarity_defect(found).max()) < 1e-13
    assert float(found.real.mean((0, 1, 2, 3, 4)).abs().max()) < 0.6
    assert torch.equal(serving.heat_bath(links, 6.0, words(generator, 1, 4), 0, 1)[:, 0],
                       links[:, 0])


def test_reflections_keep_the_action_and_the_group(generator):
    action = GaugeAction(5.7)
    for links in (rough_links(generator, (2, 4, 6, 4), 2), rough_links(generator, (3, 4, 5, 2), 2),
                  su3.random_group((2, 4, 4, 4, 2, 4), generator)):
        moved = fast.heat_bath(links, 5.7, words(generator, 2, 4), 0, 4)
        change = (action(moved) - action(links)).abs() / loops.plaquettes(links)[0].numel()
        scale = links[0].numel() / 9 * 5.7  # about the largest |S|
        assert float(change.max()) < 1e-14 * scale
        assert float((moved - links).abs().mean()) > 0.1
        assert float(su3.unitarity_defect(moved).max()) < 1e-13
        assert float(su3.determinant_defect(moved).max()) < 1e-13


def test_a_reflection_is_its_own_inverse(generator):
    """One subgroup, one subset: the second reflection undoes the first."""
    links, staples = (su3.random_group((2, 5), generator) for _ in range(2))
    for rows in reference.SUBGROUPS:
        turned = links
        for _ in range(2):
            part = reference.quaternion(turned, staples, rows)
            square = part.square().sum(-1, keepdim=True)
            rotation = -2 * part[..., :1] * part / square
            rotation[..., :1] = -1 - rotation[..., :1]
            turned = reference.rotated(turned, rotation, rows)
        assert float((turned - links).abs().max()) < 1e-12


def test_reflections_follow_a_gauge_transformation_that_keeps_the_subgroups(generator):
    """U^g with diagonal g(x): then the subgroups of rows are mapped to themselves."""
    links, drawn = rough_links(generator, (2, 4, 3, 4)), words(generator, 1, 4)
    angles = torch.rand(1, 2, 4, 3, 4, 3, generator=generator, dtype=torch.float64)
    angles = 6 * (angles - angles.mean(-1, keepdim=True))
    gauge = torch.diag_embed(torch.polar(torch.ones_like(angles), angles))

    def transformed(field):
        return torch.stack([gauge @ field[:, mu] @ loops.shift(gauge, mu).mH for mu in range(4)], 1)

    one, other = (fast.heat_bath(field, 6.0, drawn, 0, 1) for field in
                  (links, transformed(links)))
    assert float((transformed(one) - other).abs().max()) < 1e-11
    heated = [fast.heat_bath(field, 6.0, drawn, 1, 0) for field in (links, transformed(links))]
    assert float((transformed(heated[0]) - heated[1]).abs().max()) > 0.1  # numbers are not turned


def test_reflections_follow_a_translation_that_keeps_the_colours(generator):
    links, drawn = rough_links(generator, (4, 8, 2, 4)), words(generator, 1, 4)
    for moves in ((1, 1, 0, 0), (0, 2, 0, 2), (1, 0, 0, 3)):
        moved = links.roll(moves, (2, 3, 4, 5))
        expected = fast.heat_bath(links, 6.0, drawn, 0, 1).roll(moves, (2, 3, 4, 5))
        assert float((fast.heat_bath(moved, 6.0, drawn, 0, 1) - expected).abs().max()) < 1e-11


def test_an_extent_of_one_is_refused(generator):
    with pytest.raises(LayoutError, match="extents of at least 2, found .3, 1, 2, 4.*itself"):
        fast.heat_bath(rough_links(generator, (3, 1, 2, 4)), 6.0, words(generator, 1, 4), 1, 0)


def test_too_many_sites_are_refused():
    links = torch.zeros(1, dtype=torch.complex128).expand(1, 4, 2**9, 2**8, 2**8, 2**8, 3, 3)
    with pytest.raises(LayoutError, match="at most 2.32 sites"):
        reference.check(links)
