"""What is measured by torch beside Triton's kernels, in parts of a lattice: the bits of the whole.

In Triton's interpreter, with products of matrices as they are on a GPU.
"""

import pytest
import torch

from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.part import Part, holding
from tests.fast.test_collectives import OnGpu
from tests.fast.test_planar_parts import START
from tests.support import samples
from tests.support.interpreter import interpreted, needs_triton

MEASURED = START + """
from l2hmc_bridge.observables import flow, standard

su3.product = su3.by_entries
lattice = (6, 1, 1, 2)
links = field(lattice)

def measured(part):
    torch.set_grad_enabled(False)
    mine = part.taken(links)
    (_, zeuthen), = flow.integrate(mine, [0.05], 0.05, "zeuthen")
    (_, adapted), = flow.integrate(flow.stout(mine, 0.1), [0.1], 0.02, tolerance=1e-2)
    smeared = flow.ape(mine)
    loops = [standard.rectangle(smeared), standard.wilson_loop(smeared, 2, 4),
             *(torch.view_as_real(standard.polyakov_loop(smeared, mu)) for mu in range(4)),
             *standard.defects(smeared).values(), standard.loops.link_trace(smeared)]
    return [part.kept(one) for one in (zeuthen, adapted, smeared)] + loops

if same("1,1,1,2", lattice, 3, measured):
    raise SystemExit("other bits")
"""


@needs_triton
@pytest.mark.slow
def test_flows_and_loops_in_parts_have_the_bits_of_the_whole():
    interpreted(MEASURED)


def test_matrices_of_a_part_on_a_gpu_are_multiplied_entry_by_entry():
    """And else by torch: the result of a library may depend on how many there are."""
    left, right = (samples.random_links(seed=seed, extents=(2, 2, 2, 2)) for seed in (1, 2))
    there, expected = left.as_subclass(OnGpu), left @ right
    with holding(Part((2, 2, 2, 2), (0, 0, 0, 0), (2, 2, 2, 2))):
        found = su3.product(there, right)
        assert torch.equal(su3.product(left, right), expected)
    assert type(found) is OnGpu
    assert (found.as_subclass(torch.Tensor) - expected).abs().max() < 1e-15
    assert torch.equal(su3.product(there, right).as_subclass(torch.Tensor), expected)
