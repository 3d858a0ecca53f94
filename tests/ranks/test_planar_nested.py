"""Nested steps on Triton kernels, in their interpreter: parts have the bits of the lattice."""

import pytest

from tests.fast.test_planar_parts import START
from tests.support.interpreter import interpreted, needs_triton

NESTED = START + """
from l2hmc_bridge.fields import agreement
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from tests.support.nested_host import rectangles

lattice = (6, 1, 1, 2)
links = field(lattice)

def nested(part):
    torch.set_grad_enabled(False)
    term, = rectangles(lattice, in_parts=True).terms
    inner = HMC(WILSON, 0.3, 1, "leapfrog")
    kernel = Nested(inner, (Level("quarks", (term,), schedule("force_gradient", 0.3, 1)),))
    state, info = kernel.step(kernel.init(part.taken(links)), numbered(3, [7]))
    return [info.delta_h, info.log_ratio, info.accepted, state.level_actions,
            *(part.kept(one) for one in (state.links, state.force, state.level_forces[:, 0]))]

expected = alone(lattice, nested)
if same("1,1,1,2", lattice, 2, nested, expected):
    raise SystemExit("other bits")

def left_out(part, own):
    held = own.new_zeros((*own.shape[:2], *part.held, 3, 3))
    part.kept(held).copy_(own)
    return held

agreement.with_copies = left_out
if not same("1,1,1,2", lattice, 2, nested, expected):
    raise SystemExit("nobody misses the forces beside a part")
"""


@needs_triton
@pytest.mark.slow
def test_nested_steps_in_parts_have_the_bits_of_the_whole():
    """A term with noise, kicked at displaced links; then with the forces beside forgotten."""
    interpreted(NESTED)
