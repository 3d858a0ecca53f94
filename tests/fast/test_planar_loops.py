"""Charges of m x n loops with numbers apart: in Triton's interpreter, against torch."""

import pytest

from tests.fast.test_planar import START
from tests.fast.test_planar_parts import START as IN_PARTS
from tests.support.interpreter import interpreted, needs_triton

DENSITIES = START + """
from l2hmc_bridge.fast.gpu.observables import loops
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.observables.topology import FIVE_LOOP_SHAPES
from tests.support.fields import gauge_transform
OBLONG = ((1, 1, 0.3), (3, 2, -0.7))
BOUNDS[torch.float64] = BOUNDS[torch.complex128]

def agree(shape, dtype, shapes, traceless=True):
    u, _ = fields(shape, dtype)
    # A sum over shapes cancels: rounding is that of the largest of them.
    each = [reference.charge_density(u.to(torch.complex128), (one,), traceless) for one in shapes]
    bound = 4 * BOUNDS[dtype] * max(float(one.abs().max()) for one in each)
    found = gpu.charge_density(u, shapes, traceless)
    assert found.dtype == u.real.dtype and found.shape == (shape[0], *shape[2:])
    wrong = float((found - sum(each)).abs().max())
    print(shape, dtype, traceless, shapes, wrong, bound)
    return wrong < bound
"""

# Lines of three links go round extents of 1, 2 and 3.
AGAINST_TORCH = DENSITIES + """
for case in (((1, 4, 2, 3, 1, 5), torch.complex128, FIVE_LOOP_SHAPES),
             ((2, 4, 3, 1, 2, 2), torch.complex128, ((1, 3, 0.4), (2, 2, -0.7)), False),
             ((1, 4, 4, 2, 3, 2), torch.complex64, ((3, 3, 0.4), (2, 1, -0.7))),
             ((1, 4, 5, 1, 6, 2), torch.complex128, ((4, 1, 0.3),)),
             ((1, 4, 1, 1, 1, 1), torch.complex128, ((5, 3, 0.3),))):
    if not agree(*case):
        raise SystemExit(case)
shape, bounds = (2, 4, 3, 1, 2, 2), {torch.complex128: 1e-13, torch.complex64: 1e-5}
for dtype, bound in bounds.items():
    u, _ = fields(shape, dtype)
    expected = reference.charge(u.to(torch.complex128), OBLONG)
    for part in (None, parts.whole(shape[2:])):
        with parts.holding(part):
            charge = gpu.charge(u, OBLONG)
        assert charge.dtype == torch.float64 and charge.shape == shape[:1]
        if not float((charge - expected).abs().max()) < bound:
            raise SystemExit(f"{part}: {charge}, expected {expected}")
"""

LAWS = DENSITIES + """
case = (1, 4, 2, 3, 1, 5), torch.complex128, OBLONG
u, _ = fields(case[0])
found = gpu.charge_density(u, OBLONG)
turned, _ = gauge_transform(u, torch.Generator().manual_seed(5))
check("gauge transformed", gpu.charge_density(turned, OBLONG), found, 10)
back = u.clone()  # x is reversed: U_x(x) becomes U_x(-x - 1)^dagger, and q changes sign
back[:, 1] = u[:, 1].mH.roll(1, 2)
back = back.flip(3)
check("mirrored", -gpu.charge_density(back, OBLONG).flip(2), found, 10)

# Errors that must be seen: a distance that ends at 2, one orientation taken with the wrong sign,
# the sum of two orientations taken for their mean.
far, part, start = loops.far, loops.with_part, gpu.totals.launch_planar
def shifted(at, distance):
    return far(at, distance - (distance > 2))
def unsigned(g, sign, a, b):
    return part(g, sign * sign, a, b)
def summed(name, field, lines, *given, **options):
    if name.endswith("charge_kernel"):
        out, density, m, n, longest, turns, traceless, weight, *rest = given
        given = out, density, m, n, longest, turns, traceless, turns**2 * weight, *rest
    start(name, field, lines, *given, **options)
for module, name, planted in ((loops, "far", shifted), (loops, "with_part", unsigned),
                              (gpu.totals, "launch_planar", summed)):
    right = getattr(module, name)
    setattr(module, name, planted)
    if agree(*case):
        raise SystemExit(f"{planted.__name__}: not seen")
    setattr(module, name, right)
assert agree(*case)
"""

BITS = IN_PARTS + """
from l2hmc_bridge.fields import part as parts
lattice, shapes = (8, 1, 1, 3), ((1, 1, 0.3), (3, 1, -0.7))
links = field(lattice)
def work(part):
    return [fast.charge(part.taken(links), shapes)]
expected = alone(lattice, work)
if wrong := same("1,1,1,2", lattice, 3, work, expected):
    raise SystemExit(f"{wrong} differ")
with parts.holding(None):
    found, = work(parts.whole(lattice))
assert found.shape == (1,) and torch.allclose(found, expected[0], rtol=0, atol=1e-12)
def ragged(part):  # a copy is not what it copies
    mine = part.taken(links)
    mine[:, :, 0] = mine[:, :, 1]
    return [fast.charge(mine, shapes)]
if not same("1,1,1,2", lattice, 3, ragged, expected):
    raise SystemExit("copies are not looked at")
try:
    same("1,1,1,2", lattice, 2, work)
except Exception as error:
    assert "expected 3 sites beside its own" in str(error)
else:
    raise SystemExit("loops of links that are not there")
"""


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("program", [AGAINST_TORCH, LAWS, BITS],
                         ids=("against torch", "laws", "parts"))
def test_charges_of_loops_with_numbers_apart(program):
    interpreted(program)
