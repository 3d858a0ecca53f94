"""Numbered draws: normal, independent, the same bits from torch and from the compiled kernels."""

import pytest
import torch
from scipy import stats

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast import normal
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.part import whole
from l2hmc_bridge.recorded import randomness
from l2hmc_bridge.sampling import counter
from l2hmc_bridge.sampling.numbered import numbered
from l2hmc_bridge.systems.groups import GROUPS

LATTICE = (8, 6, 4, 10)
SU3 = GROUPS["su3"]


def field(lattice=LATTICE, chains=1):
    return torch.empty(chains, 4, *lattice, 3, 3, dtype=torch.complex128)


def components(seed=1, trajectory=1, lattice=LATTICE, chains=1, phase=0):
    """p_a of the momenta of a trajectory, [Nb,4,Nt,Nx,Ny,Nz,8]."""
    draws = numbered(seed, [trajectory] * chains, phase)
    return su3.to_components(draws.momenta(field(lattice, chains), SU3))


@pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
def test_torch_and_the_compiled_kernels_draw_the_same_bits():
    ours = numbered(2**63 + 5, [7, 2**31]).momenta(field(chains=2), SU3)
    with fast.using("torch"):
        theirs = numbered(2**63 + 5, [7, 2**31]).momenta(field(chains=2), SU3)
    assert torch.equal(ours, theirs)


def test_a_part_of_the_lattice_draws_what_the_whole_draws_there():
    words = counter.stacked([counter.words(3, chain, 9, counter.MOMENTA) for chain in range(2)])
    calls = torch.tensor([0, 2])
    whole = normal.momenta(torch.arange(700), words, calls)
    some = torch.randperm(700, generator=torch.Generator().manual_seed(1))[:131]
    assert torch.equal(normal.momenta(some, words, calls), whole[:, :, some])


def moments(numbers):
    """p-values of mean, variance, and the fourth moment of numbers that should be N(0, 1)."""
    count = numbers.numel()
    found = ((numbers.mean(), 0, 1), (numbers.square().mean(), 1, 2),
             (numbers.pow(4).mean(), 3, 96))
    return [2 * stats.norm.sf(abs(float(value) - exact) / (variance / count) ** 0.5)
            for value, exact, variance in found]


def is_normal(numbers):
    """Moments, and the distribution as a whole (Kolmogorov and Smirnov): 1 in 10^4 fails."""
    return min(*moments(numbers), stats.kstest(numbers.numpy(), "norm").pvalue) > 2.5e-5


def test_every_component_is_normal():
    drawn = components(lattice=(16, 8, 8, 8)).flatten(0, -2)  # 32768 of each
    assert all(is_normal(drawn[:, a]) for a in range(8))


def test_numbers_that_are_not_normal_are_found():
    drawn = components(lattice=(16, 8, 8, 8)).flatten()
    assert not is_normal(1.02 * drawn)
    assert not is_normal(drawn + 0.02)
    assert not is_normal(torch.rand(4000, generator=torch.Generator().manual_seed(1)).double())


def correlated(one, other):
    """Whether two fields of N(0, 1) numbers are correlated, or their squares: 5 sigma."""
    bound = 5 / one.numel() ** 0.5
    squares = (one.square() - 1) * (other.square() - 1) / 2
    return abs(float((one * other).mean())) > bound or abs(float(squares.mean())) > bound


def test_neighbours_in_site_direction_component_trajectory_chain_and_phase_are_independent():
    here = components(chains=2)
    for axis in range(1, 7):
        assert not correlated(here, here.roll(1, axis))
    assert not correlated(here[0], here[1])
    for beside in ({"trajectory": 2}, {"seed": 2}, {"phase": 1}, {"seed": 1 + 2**32}):
        assert not correlated(here, components(chains=2, **beside))
    assert correlated(here, here + 0.1 * here.roll(1, 3))


def test_each_call_draws_others_and_again_the_same_from_the_start():
    draws, again = numbered(5, [1, 4]), numbered(5, [1, 4])
    first, second = (draws.momenta(field(chains=2), SU3) for _ in range(2))
    assert not correlated(su3.to_components(first), su3.to_components(second))
    assert torch.equal(again.momenta(field(chains=2), SU3), first)
    numbers = torch.stack([draws.uniform(2) for _ in range(3)])
    assert len(set(numbers.flatten().tolist())) == 6
    noise = draws.normal(2, (5000,))
    assert noise.shape == (2, 5000) and is_normal(noise.flatten())
    assert not torch.equal(draws.normal(2, (5000,)), noise)


def test_the_draws_of_some_chains_are_those_they_have_in_the_batch():
    draws, alone = numbered(5, [1, 4, 9]), numbered(5, [1, 4, 9]).of([2, 0])
    assert torch.equal(alone.momenta(field(chains=2), SU3),
                       draws.momenta(field(chains=3), SU3)[[2, 0]])
    assert torch.equal(alone.uniform(2), draws.uniform(3)[[2, 0]])


def test_uniform_numbers_are_uniform():
    numbers = torch.cat([numbered(1, [n] * 4).uniform(4) for n in range(500)])
    assert stats.kstest(numbers.numpy(), "uniform").pvalue > 1e-4


def test_hot_links_are_in_su3_and_haar():
    """<|tr U|^2> = 1 and <tr U> = 0; the variance of |tr U|^2 is 1 (<|tr U|^4> = 2)."""
    links = numbered(1, [0], randomness.PHASES[randomness.START]).links(whole((8, 8, 8, 4)))
    assert float(su3.unitarity_defect(links).max()) < 1e-14
    assert float(su3.determinant_defect(links).max()) < 1e-14
    trace = su3.trace(links).flatten()
    error = len(trace) ** -0.5
    assert abs(trace.real.mean()) < 4 * error and abs(trace.imag.mean()) < 4 * error
    assert abs(float(trace.abs().square().mean()) - 1) < 4 * error
    assert abs(float((trace**3).real.mean()) - 1) < 4 * 6**0.5 * error


def test_phases_and_trajectories_never_share_a_counter():
    words = {counter.words(3, chain, number, counter.purpose(drawn, phase))
             for chain in range(3) for number in range(50)
             for phase in (0, *randomness.PHASES.values())
             for drawn in (counter.MOMENTA, counter.UNIFORM, counter.NOISE, counter.HEAT_BATH)}
    assert len(words) == 3 * 50 * 6 * 4
    with pytest.raises(ConfigError, match="trajectory below"):
        numbered(1, [2**32]).uniform(1)
