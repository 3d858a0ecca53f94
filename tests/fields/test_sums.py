"""Sums that no order and no cut changes, and what lies where in a file of parts."""

import math

import pytest
import torch

from l2hmc_bridge.errors import BridgeError, StreamError
from l2hmc_bridge.fields import loops, part as parts
from l2hmc_bridge.fields.part import Part, holding, whole
from l2hmc_bridge.fields.sums import exact, exact_sum, joined
from l2hmc_bridge.storage import tensors
from tests.support import samples

LATTICE = (4, 6, 2, 8)


def field():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(2, 4, *LATTICE, 3, generator=generator, dtype=torch.float64)


def test_an_exact_sum_is_that_of_its_terms_in_any_order():
    terms = field()
    found = exact_sum(whole(LATTICE), terms)
    expected = [math.fsum(one.flatten().tolist()) for one in terms]
    assert found.tolist() == pytest.approx(expected, rel=1e-15)
    for axis in range(1, 7):
        assert torch.equal(exact_sum(whole(LATTICE), terms.roll(1, axis)), found)


def test_copies_of_others_sites_count_in_no_sum():
    terms = field()
    halves = [Part(LATTICE, (0, 0, 0, at), (4, 6, 2, 4), (0, 0, 0, 1)) for at in (0, 4)]
    found = [exact_sum(half, half.taken(terms)) for half in halves]
    torch.testing.assert_close(sum(found), exact_sum(whole(LATTICE), terms), rtol=1e-15, atol=0)
    spoiled = halves[0].taken(terms)
    spoiled[:, :, :, :, :, 0] = math.nan
    assert torch.equal(exact_sum(halves[0], spoiled), found[0])


def test_what_is_no_number_makes_a_sum_none():
    for wrong in (math.nan, math.inf, 2.0**17):
        terms = field()
        terms[1, 2, 3, 4, 1, 5, 2] = wrong
        found = exact_sum(whole(LATTICE), terms)
        assert found[0].isfinite() and found[1].isnan()


class Eight(parts.Single):
    """Eight processes that count alike."""

    def total(self, numbers):
        return 8 * numbers


@pytest.mark.parametrize("sign", [1, -1])
def test_what_processes_count_together_may_be_larger_than_what_one_can(sign):
    counts = torch.tensor([[sign * ((1 << 62) + 5), sign * 3, 0], [1, 1, 1]])
    found = exact(counts, Eight())
    assert float(found[0]) == sign * (2.0**35 + 40 * 2.0**-30) and found[1].isnan()


def test_what_one_process_cannot_count_is_none():
    lattice = (16, 16, 16, 16)
    terms = torch.full((1, 4, *lattice, 1), 1.5e4, dtype=torch.float64)
    assert float(exact_sum(whole(lattice), terms)) == 1.5e4 * 2**18
    assert exact_sum(whole(lattice), 4 * terms).isnan()  # counted: 2^63.9
    counts = torch.tensor([[[1 << 61, 0, 0]] * 4, [[1 << 59, 0, 0]] * 4])
    assert exact(joined(counts)).isnan().tolist() == [True, False]


def test_the_link_trace_of_a_part_is_exact():
    links = samples.random_links(extents=LATTICE)
    plain = loops.link_trace(links)
    with parts.exactly(links):
        torch.testing.assert_close(loops.link_trace(links), plain, rtol=1e-13, atol=1e-15)
        for axis in range(2, 6):
            assert torch.equal(loops.link_trace(links.roll(1, axis)), loops.link_trace(links))


def test_neighbours_copies_are_renewed_corners_included():
    held = Part(LATTICE, (0, 0, 0, 0), LATTICE, (1, 0, 0, 2))  # periodic: it is its own neighbour
    terms = field()
    taken = held.taken(terms)
    stale = taken.clone()
    stale[:, :, [0, -1]] = 0
    stale[:, :, :, :, :, [0, 1, -2, -1]] = 0
    with holding(held):
        parts.renew(held, stale)
    assert torch.equal(stale, taken)


def test_a_head_says_where_its_tensors_lie(tmp_path):
    head, known = tensors.head_of({"links": (2, 3), "action": (5,)}, {"a": "1", "b": 'x"y'})
    path = tmp_path / "file.safetensors"
    numbers = torch.arange(11, dtype=torch.float64)
    path.write_bytes(head + numbers.numpy().tobytes())
    found, meta = tensors.load(path, BridgeError)
    assert meta == {"a": "1", "b": 'x"y'} and known.size == len(head)
    assert torch.equal(found["action"], numbers[:5])
    assert torch.equal(found["links"], numbers[5:].view(2, 3))
    assert tensors.head(path, BridgeError) == known
    known.require_whole(path, StreamError)
    path.write_bytes(head + numbers[:10].numpy().tobytes())
    with pytest.raises(StreamError, match="expected .* bytes, found"):
        known.require_whole(path, StreamError)
