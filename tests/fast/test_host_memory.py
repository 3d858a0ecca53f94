"""Fields at any place in memory: compiled and in torch, bit for bit, and what is found of SU(3)."""

import math

import numpy as np
import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast.cpu import library as native
from l2hmc_bridge.fields import su3

BACKENDS = ("auto", "torch")
EXTENTS = ((2, 4, 6, 8), (3, 5, 1, 7), (1, 1, 1, 1), (5, 7, 9, 11))
needs_kernels = pytest.mark.skipif(native.library() is None, reason="no compiled kernels here")


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(5)


def scattered(volume, stride, generator):
    """Places of matrices in any order, `stride` of them interwoven entry by entry."""
    order = torch.randperm(volume, generator=generator).numpy()
    width = abs(stride)
    first = 9 * width * (order // width) + order % width + (8 * width if stride < 0 else 0)
    return fast.places(first, stride)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 8, -2])
@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_every_number_is_where_the_places_say_both_ways(backend, stride, dtype, generator):
    for extents in EXTENTS[:3]:
        volume = math.prod(extents)
        links = su3.random_group((1, 4, *extents), generator)
        exact = torch.from_numpy(links.numpy().astype(dtype).astype(np.complex128))
        at = scattered(volume, stride, generator)
        fields = [np.full(at.size + 5, 7j, dtype) for _ in range(4)]
        with fast.using(backend):
            fast.store_links(links, fields, at)
            again, defects = fast.fetch_links(fields, at, extents)
        assert torch.equal(again, exact) and again.is_contiguous()
        assert defects == fast.group_defects(again) or backend == "torch"
        for mu, field in enumerate(fields):
            matrices = exact[0, mu].reshape(-1, 9).numpy()
            for site in range(0, volume, 5):
                for k in range(9):
                    assert field[at.first[site] + stride * k] == matrices[site, k]
            assert np.count_nonzero(field == 7j) == field.size - 9 * volume  # nothing else is


@needs_kernels
@pytest.mark.parametrize("extents", EXTENTS)
def test_defects_are_those_of_the_reference_for_any_threads(extents, generator):
    links = su3.random_group((2, 4, *extents), generator)
    noise = torch.randn(links.shape, generator=generator, dtype=links.dtype)
    for rough in (links + 1e-7 * noise, links + 0.3 * noise, noise):
        expected = (float(su3.unitarity_defect(rough).max()),
                    float(su3.determinant_defect(rough).max()))
        found = []
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            found.append(fast.group_defects(rough))
        assert found[0] == found[1] == found[2]
        assert found[0] == pytest.approx(expected, rel=1e-9, abs=1e-15)
        single = fast.group_defects(rough.to(torch.complex64))
        assert single == pytest.approx(
            fast.group_defects(rough.to(torch.complex64).to(torch.complex128)), rel=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_defects_of_known_matrices(backend):
    with fast.using(backend):
        for position in (0, 9, 17):
            links = torch.eye(3, dtype=torch.complex128).repeat(18, 1, 1)
            assert fast.group_defects(links) == (0, 0)
            links[position] *= -1
            assert fast.group_defects(links) == pytest.approx((0, 2))
            links[position] *= -1.01
            assert fast.group_defects(links) == pytest.approx((0.0201, 0.030301))
            links[position, 1, 2] = 1e-3j
            assert fast.group_defects(links).unitarity == pytest.approx(0.020101)
            links[position, 1, 2] = 0.5j
            assert fast.group_defects(links).unitarity == pytest.approx(0.505)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_number_that_is_not_finite_is_missed(backend, bad, generator):
    """In any entry, of any matrix of a group of eight, in the first and in an unfinished group."""
    links = su3.random_group((1, 4, 1, 1, 1, 11), generator).contiguous()
    at = scattered(11, 2, generator)
    for number in (*range(18), 18 * 8 + 3, 18 * 10 + 17, 18 * 43 + 5):
        spoiled = links.clone()
        torch.view_as_real(spoiled).view(-1)[number] = bad
        fields = [np.zeros(at.size, complex) for _ in range(4)]
        with fast.using(backend):
            fast.store_links(spoiled, fields, at)
            _, fetched = fast.fetch_links(fields, at, (1, 1, 1, 11))
            assert all(math.isnan(one) for one in (*fetched, *fast.group_defects(spoiled)))


def test_a_view_or_a_conjugate_is_measured_as_what_it_says(generator):
    links = su3.random_group((1, 4, 2, 2, 3, 2), generator)
    links[0, 1] *= 1.1j
    whole = fast.group_defects(links.mH.contiguous())
    assert fast.group_defects(links.mH) == pytest.approx(whole, rel=1e-12)
    assert fast.group_defects(links[:, ::2]).unitarity < 1e-14 < whole.unitarity


@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_outside_a_field_is_never_touched(backend, generator):
    at = scattered(16, 2, generator)
    whole = [np.zeros(at.size, complex) for _ in range(4)]
    links = su3.random_group((1, 4, 2, 2, 2, 2), generator)
    for fields, words in (
        ([*whole[:3], whole[3][:-1]], f"expected {at.size} numbers"),
        ([*whole[:3], np.zeros(2 * at.size, complex)[::2]], "strides"),
        (whole[:3], "found 3"),
        ([*whole[:3], whole[3].astype(np.complex64)], "complex64"),
        ([one.real.copy() for one in whole], "float64"),
        ([one.astype(one.dtype.newbyteorder()) for one in whole], "another byte order"),
    ):
        with fast.using(backend):
            with pytest.raises(LayoutError, match=words):
                fast.fetch_links(fields, at, (2, 2, 2, 2))
            with pytest.raises(LayoutError, match=words):
                fast.store_links(links, fields, at)
    for one in whole:
        one.flags.writeable = False
    with fast.using(backend), pytest.raises(LayoutError, match="read-only"):
        fast.store_links(links, whole, at)
    with pytest.raises(LayoutError, match="expected 24 matrices"):
        fast.fetch_links(whole, at, (2, 2, 2, 3))
    with pytest.raises(LayoutError, match="before it"):
        fast.places(at.first, -2)
    assert not any(one.any() for one in whole)
