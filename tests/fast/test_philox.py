"""Numbered random numbers: known answers, another library's generator, uniform numbers."""

import numpy as np
import pytest
import torch

from l2hmc_bridge.fast.cpu import heatbath as compiled, library
from l2hmc_bridge.fast.philox import WORD, fine_uniform, philox, uniform
from tests.support.philox import philox4

# Random123, tests/kat_vectors, "philox4x32 10": counter, key, answer.
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)
KNOWN = (
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((WORD,) * 4, (WORD,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (*PI, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
)
needs_kernels = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")


def words(generator, *shape):
    return torch.randint(0, WORD + 1, shape, generator=generator)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers_of_random123(counter, key, answer):
    assert tuple(philox(torch.tensor(counter), torch.tensor(key)).tolist()) == answer
    assert tuple(philox4(32, counter, key)) == answer


def test_the_rounds_in_whole_numbers_are_those_of_numpy():
    """numpy has the generator with words of 64 bits; it counts one up before it draws."""
    rows = np.random.Generator(np.random.Philox(3)).integers(0, 2**63, (20, 6), dtype=np.uint64)
    for row in 2 * rows + 1:
        drawn = np.random.Philox(counter=row[:4], key=row[4:]).random_raw(4)
        first, *rest = row.tolist()
        assert philox4(64, (first + 1, *rest[:3]), rest[3:]) == drawn.tolist()


def test_torch_agrees_with_whole_numbers(generator):
    counters, keys = words(generator, 200, 4), words(generator, 200, 2)
    expected = [philox4(32, c, k) for c, k in zip(counters.tolist(), keys.tolist(), strict=True)]
    assert philox(counters, keys).tolist() == expected
    assert philox(counters, keys[0]).shape == (200, 4)


@needs_kernels
@pytest.mark.parametrize("dtype", (torch.float64, torch.float32))
def test_compiled_words_are_the_same(dtype, generator):
    if library.library_of(dtype) is None:
        pytest.skip("no compiled kernels in this precision here")
    for counter, key, answer in KNOWN:
        found = compiled.philox(torch.tensor([counter]), torch.tensor(key), dtype)
        assert tuple(found[0].tolist()) == answer
    counters, key = words(generator, 333, 4), words(generator, 2)
    assert torch.equal(compiled.philox(counters, key, dtype), philox(counters, key))


def test_a_counter_or_key_that_differs_by_one_bit_draws_other_bits(generator):
    """Half of the 128 bits change: 64 on average, with a standard deviation of 5.7."""
    counter, key = words(generator, 4), words(generator, 2)
    start = philox(counter, key)
    for bit in range(192):
        flip = torch.zeros(6, dtype=torch.int64)
        flip[bit // 32] = 1 << bit % 32
        moved = philox(counter ^ flip[:4], key ^ flip[4:])
        changed = sum(int(x).bit_count() for x in (moved ^ start).tolist())
        assert 34 <= changed <= 94


def test_uniform_numbers_lie_inside_the_interval():
    ends = torch.tensor([0, WORD])
    assert uniform(ends).tolist() == [2.0**-33, 1 - 2.0**-33]
    assert fine_uniform(ends, ends).tolist() == [2.0**-53, 1 - 2.0**-53]
    assert fine_uniform(torch.tensor(1), torch.tensor(0)) == 2.0**-32 + 2.0**-53


def test_numbers_of_neighbouring_counters_are_uniform_and_uncorrelated():
    """2^18 sites, two draws each: moments of a uniform distribution within 4.5 sigma."""
    sites = torch.arange(2**18)
    counter = torch.stack((sites, torch.full_like(sites, 7), *torch.ones(2, len(sites)).long()), 1)
    numbers = uniform(philox(counter, torch.tensor([1, 2]))) - 0.5
    variance = 1 / 12
    assert (numbers.mean(0).abs() < 4.5 * (variance / len(sites)) ** 0.5).all()
    squares = (numbers.square() - variance).mean(0)
    assert (squares.abs() < 4.5 * (1 / 180 / len(sites)) ** 0.5).all()
    shifted = torch.cat((numbers, numbers.roll(1, 0), numbers.roll(16, 0)), dim=1)
    product = (shifted.T @ shifted / len(sites)).fill_diagonal_(0)
    assert (product.abs() < 5 * variance / len(sites) ** 0.5).all()
