"""What is measured on fields with numbers apart: in Triton's interpreter, against torch."""

import pytest

from tests.fast.test_planar import START
from tests.fast.test_planar_parts import START as IN_PARTS
from tests.support.interpreter import interpreted, needs_triton

LOOPS = START + """
from l2hmc_bridge.fast.gpu.observables import totals
from l2hmc_bridge.fast.gpu.observables.totals import Where
from l2hmc_bridge.fields import part as parts
for dtype, shapes in ((torch.complex128, SHAPES[::2]), (torch.complex64, SHAPES[3:])):
    BOUNDS[torch.float64] = BOUNDS[torch.float32] = BOUNDS[dtype]  # sums are double for both
    for shape in shapes:
        u, p = fields(shape, dtype)
        apart, momenta = planar.enter(u, planar.LINKS), planar.enter(p, planar.ALGEBRA)
        for part in (None, parts.whole(shape[2:])):
            where = Where(shape[2:], part)
            with parts.holding(part):
                check("plaquettes", gpu.plaquettes(u), reference.plaquettes(u).double())
                # The terms of an action cancel: rounding is that of V, not of S.
                for c1 in (0.0, -0.331):
                    found = gpu.action(u, 5.7, c1) / (5.7 * where.volume)
                    expected = reference.action(u.to(torch.complex128), 5.7, c1)
                    if float((found - expected / (5.7 * where.volume)).abs().max()) > (
                            BOUNDS[dtype]):
                        raise SystemExit(f"action {c1}")
            check("kinetic", totals.kinetic(momenta, where), reference.kinetic(p).double())
        for traceless in (True, False) if shape == SHAPES[0] else (True,):
            planes, numbers = gpu.measured(u, traceless)
            check("planes", planes, reference.plaquettes(u).double())
            for row in range(3):
                check(f"clover {row}", numbers[:, row],
                      reference.clover(u.to(torch.complex128), traceless)[:, row].double(), 20)
            assert torch.equal(numbers, gpu.clover(u, traceless))
            density = reference.charge_density(u, ((1, 1, 0.7),), traceless)
            check("density", gpu.charge_density(u, ((1, 1, 0.3), (1, 1, 0.4)), traceless),
                  density)
            check("charge", gpu.charge(u, ((1, 1, 0.7),), traceless),
                  density.double().flatten(1).sum(1), 20)
"""

SMOOTH = START + """
BOUNDS[torch.float64] = 5e-14
u, p = fields((1, 4, 3, 1, 2, 4))
u = su3.exp(0.3 * p)
for c1 in (0.0, -1 / 12):
    legs = ((0.0, 0), (0.05, 1), (0.03, 1))
    found = gpu.flow_measured(u, legs, c1, False)
    expected = reference.flow_measured(u, legs, c1, False)
    assert len(found) == 3 and not torch.equal(found[1].clover, found[2].clover)
    for one, other in zip(found, expected, strict=True):
        check("planes", one.planes, other.planes)
        check("clover", one.clover, other.clover)
    for one, steps in zip(found, (0, 1, None), strict=True):
        if steps is not None:
            assert torch.equal(one.planes, gpu.measured(gpu.flow(u, 0.05, steps, c1)).planes)
if torch.equal(gpu.measured(u).clover, gpu.measured(u.transpose(2, 5)).clover):
    raise SystemExit("another field, the same numbers")
"""

ENERGIES = START + """
from l2hmc_bridge import fast
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import Steps
from l2hmc_bridge.sampling.host_action import Hosted
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.systems.actions import GaugeAction

fast.backend = lambda *_: reference if fast.choice() == "torch" else gpu
BOUNDS[torch.float64] = 1e-11
torch.set_grad_enabled(False)
u, p = fields((2, 4, 2, 3, 2, 2))
generator = torch.Generator().manual_seed(1)
wilson, iwasaki = GaugeAction(5.7), GaugeAction(2.6, -0.331)
steps = Steps(schedule("leapfrog", 0.1, 1))
for kernel in (HMC(iwasaki, 0.1, 1, "leapfrog"), L2HMC(wilson, steps, composition="direction"),
               Hosted(HMC(wilson, 0.1, 1, "leapfrog"), iwasaki)):
    state = State(u, kernel.action(u), kernel.guide.force(u))
    end = kernel.trajectory(state, p, generator.manual_seed(1))
    assert torch.equal(end.action, kernel.guide(end.links))
    check("K", end.delta_kinetic, reference.kinetic(end.momenta) - reference.kinetic(p))
    new, found = kernel.moved(state, p, generator.manual_seed(1))
    assert torch.equal(new.action, kernel.action(end.links))
    with fast.using("torch"):
        _, expected = kernel.moved(state, p, generator.manual_seed(1))
    check(kernel.name, found.delta_h, expected.delta_h)
with parts.exactly(u):
    check("exactly", kernel.moved(state, p, generator.manual_seed(1))[1].delta_h, expected.delta_h)
"""

BITS = IN_PARTS + """
from l2hmc_bridge.fields import part as parts
lattice = (6, 1, 2, 3)
links = field(lattice, 2)
def work(part):
    mine = part.taken(links)
    return [*fast.measured(mine), fast.plaquettes(mine), fast.action(mine, 5.7),
            *fast.flow_measured(mine, ((0.05, 1),))[0]]
expected = alone(lattice, work)
if wrong := same("1,1,1,2", lattice, 1, work, expected):
    raise SystemExit(f"{wrong} differ")
with parts.holding(None):
    for one, other in zip(work(parts.whole(lattice)), expected, strict=True):
        assert one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=1e-11)
def rectangles(part):
    return [fast.action(part.taken(links), 5.7, -0.3)]
try:
    same("1,1,1,2", lattice, 1, rectangles)
except Exception as error:
    assert "expected 2 sites beside its own" in str(error)
else:
    raise SystemExit("rectangles of links that are not there")
lattice = (10, 1, 1, 3)
links = field(lattice)
if same("1,1,1,2", lattice, 2, rectangles):
    raise SystemExit("rectangles differ")
"""


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("program", [LOOPS, SMOOTH, ENERGIES, BITS],
                         ids=("loops", "flow", "energies", "parts"))
def test_measured_with_numbers_apart(program):
    interpreted(program)
