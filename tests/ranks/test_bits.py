"""A lattice in parts gives the bits of the whole: every kernel, cuts in each direction."""

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast.cpu import library, smearing
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.part import Part, holding, whole
from l2hmc_bridge.fields.sums import exact
from l2hmc_bridge.observables.topology import topological_charge
from tests.support import ranks
from tests.support.ranks_worker import KERNELS
from tests.support.transformations import random_rules

pytestmark = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
LATTICE = (6, 4, 8, 10)


def lines(grid, lattice, *how):
    size = ranks.processes(grid)
    found = ranks.ended(ranks.start(size, "tests.support.ranks_worker", grid, lattice, *how), 240)
    assert [status for status, *_ in found] == [0] * size, found
    return found[0][1].splitlines()


@pytest.mark.parametrize(("grid", "lattice"), [
    ("1,1,1,2", "16,2,4,2"),  # cut along t
    pytest.param("1,1,2,1", "4,6,2,16", marks=pytest.mark.slow),  # along z
    pytest.param("1,1,2,2", "12,4,2,16", marks=pytest.mark.slow),  # along both, on four ranks
])
def test_every_kernel_has_the_bits_of_one_rank(grid, lattice):
    assert lines(grid, lattice) == [f"{name}: the same" for name in KERNELS]


@pytest.mark.slow
def test_parts_without_the_sites_beside_them_are_found():
    found = lines("1,1,1,2", "16,2,4,2", "without-copies")
    assert len(found) == len(KERNELS) and not any(line.endswith("the same") for line in found)


def links_of(chains=2):
    generator = torch.Generator().manual_seed(2)
    return su3.exp(0.4 * su3.random_algebra((chains, 4, *LATTICE), generator))


def sums(links):
    algebra = su3.project_algebra(links)
    return torch.cat([fast.plaquettes(links), fast.action(links, 5.7)[:, None],
                      fast.action(links, 2.6, -0.331)[:, None], fast.kinetic(algebra)[:, None],
                      topological_charge(links)[:, None]], 1)


def test_exact_sums_do_not_change_when_the_sites_change_places():
    links = links_of()
    plain = sums(links)
    with holding(whole(LATTICE)):
        here = sums(links)
        for mu, step in ((0, 1), (1, 2), (2, 3), (3, 5)):
            assert torch.equal(sums(links.roll(step, 2 + mu)), here)
    assert not torch.equal(sums(links.roll(1, 2)), plain)  # the order counts without them
    torch.testing.assert_close(here, plain, rtol=1e-13, atol=1e-12)


def test_what_is_no_number_or_too_large_makes_a_sum_none():
    for wrong in (float("nan"), float("inf"), 1e6):
        links = links_of(1)
        links[0, 1, 2, 3, 4, 5, 0, 1] = wrong
        with holding(whole(LATTICE)):
            assert sums(links)[0, [6, 7, 8]].isnan().all()


def test_a_sum_of_one_process_that_no_whole_number_counts_is_none():
    """2^33 and more: of squares, and of the chunks of any kernel."""
    unit = torch.eye(3, dtype=torch.complex128).expand(1, 4, 16, 16, 16, 16, 3, 3)
    with holding(whole((16, 16, 16, 16))):
        assert float(fast.kinetic(100 * unit)) == 3 * 2**18 * 100.0**2 < 2**33
        assert fast.kinetic(110 * unit).isnan()
    wide = unit.repeat(1, 1, 1, 1, 2, 2, 1, 1)
    with holding(whole((16, 16, 32, 32))):
        assert fast.action(9 * wide, 3.0).isfinite() and fast.action(11 * wide, 3.0).isnan()


def test_exact_numbers_are_rounded_once():
    counts = torch.tensor([[1 << 30, 1, 0], [-(1 << 30), -1, 0], [3, 0, 1]])
    found = exact(counts).tolist()
    assert found[0] == -found[1] == 1 + 2.0**-62 == 1.0
    assert found[2] != found[2]


def test_a_part_takes_its_sites_and_those_beside_them():
    part = Part(LATTICE, (3, 0, 4, 0), (3, 4, 4, 10), (2, 0, 1, 0))
    sites = torch.arange(torch.Size(LATTICE).numel()).view(1, 1, *LATTICE)
    taken = part.taken(sites)
    assert taken.shape[2:] == part.held == (7, 4, 6, 10)
    assert torch.equal(taken.flatten(), part.sites())
    assert torch.equal(part.kept(taken), sites[:, :, 3:6, :, 4:8])
    assert part.cut == (0, 2) and part.parity == 0


def test_field_transformations_know_exact_sums(generator):
    """Every kernel that ends in a sum: what it comes to is the same but for rounding."""
    links, rules = links_of(), random_rules(generator, 3, 2, "isru")
    plain = [smearing.transform(links, rules), smearing.inverse(links, rules)]
    shapes = ((1, 1, 1.0), (1, 3, 0.5))
    charges = fast.charge(links, shapes)
    with holding(whole(LATTICE)):
        exact = [smearing.transform(links, rules), smearing.inverse(links, rules)]
        torch.testing.assert_close(fast.charge(links, shapes), charges, rtol=0, atol=1e-12)
    for (one, change), (other, wanted) in zip(exact, plain, strict=True):
        assert torch.equal(one, other) and float(wanted.abs().min()) > 1e-3
        torch.testing.assert_close(change, wanted, rtol=1e-13, atol=1e-12)


def test_what_looks_further_than_the_copies_is_refused():
    part = Part(LATTICE, (0, 0, 0, 0), (3, 4, 8, 10), (1, 0, 0, 0))
    with holding(part), pytest.raises(LayoutError, match="expected 3 sites beside its own, found"):
        fast.charge(part.taken(links_of()), ((1, 3, 1.0),))
