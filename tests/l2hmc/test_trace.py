"""Records along a trajectory end where the proposal ends, with its energies and log|J|."""

import pytest
import torch

from l2hmc_bridge.l2hmc import trace
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.systems.groups import GROUPS
from tests.networks.test_elementwise import KINDS, SHAPES, make


@pytest.mark.parametrize("composition", ["palindrome", "direction"])
@pytest.mark.parametrize("group, kind", KINDS)
def test_ends_are_those_of_the_proposal(group, kind, composition, generator):
    kernel = make(group, kind, composition, generator)
    links, momenta = torch.randn(2, 3, *SHAPES[group], generator=generator, dtype=torch.float64)
    found = trace.proposal(kernel, links, momenta)
    state = kernel.init(links)
    with torch.no_grad():
        if composition == "palindrome":
            end = kernel.trajectory(state, momenta, generator)
        else:
            end = kernel.directed(links, momenta, state.force, 1)
    last = found[-1]
    # To rounding: where a palindrome turns, the trajectory makes one kick of two.
    for one, other in ((last.links, end.links), (last.momenta, end.momenta)):
        assert (one - other).abs().max() < 1e-12 * (1 + other.abs().max())
    assert (last.log_det - end.log_det).abs().max() < 1e-12
    energy = kernel.action(end.links) + GROUPS[group].kinetic(end.momenta)
    assert (last.energy - energy).abs().max() < 1e-10
    assert found[0].time == 0 and last.time == pytest.approx(kernel.length)
    assert len(found) == (5 if composition == "palindrome" else 3)


def test_energy_inside_hmc_is_conserved_to_second_order(generator):
    errors = []
    for step in (0.1, 0.05):
        kernel = make("u1", "dense", step=step, steps=round(0.4 / step))
        links = torch.randn(20, *SHAPES["u1"], generator=torch.Generator().manual_seed(1),
                            dtype=torch.float64)
        momenta = markov.draw_momenta(links, torch.Generator().manual_seed(2), GROUPS["u1"])
        found = trace.records(kernel, links, momenta)
        errors.append(max(float((one.energy - found[0].energy).abs().max()) for one in found))
    assert 3 < errors[0] / errors[1] < 5
