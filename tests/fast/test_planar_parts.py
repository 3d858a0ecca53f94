"""A lattice in parts on Triton kernels: the bits of the whole, in Triton's interpreter.

Threads hold the parts; what the interpreter does, it does for one of them at a time.
"""

import math

import pytest
import torch

from l2hmc_bridge.errors import ActionError, LayoutError
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.gpu import functions as gpu, launch, planar
from l2hmc_bridge.fast.gpu.observables import totals
from l2hmc_bridge.fast.gpu.observables.totals import Where
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.part import Part, holding
from tests.support import samples
from tests.support.interpreter import interpreted, needs_triton

START = """
import threading
import torch
from l2hmc_bridge import fast
from l2hmc_bridge.fast.gpu import planar
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.part import holding, whole
from l2hmc_bridge.l2hmc.engines import engine_for
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.l2hmc.planar import PlanarEngine
from l2hmc_bridge.networks.covariant import Steps
from l2hmc_bridge.observables.topology import topological_charge
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.numbered import numbered
from l2hmc_bridge.systems.actions import gauge_action, normalised_change
from tests.support.threads_as_ranks import on_threads

fast.backend = lambda *_: gpu
one_at_a_time, started = threading.Lock(), launch._start
def start(*given):
    with one_at_a_time:
        started(*given)
launch._start = start
torch.set_grad_enabled(False)
WILSON, IWASAKI = gauge_action("wilson", 5.7), gauge_action("iwasaki", 2.6)

def field(lattice, chains=1):
    generator = torch.Generator().manual_seed(1)
    return su3.exp(0.4 * su3.random_algebra((chains, 4, *lattice), generator))

def stepped(kernel):
    def work(part):
        torch.set_grad_enabled(False)
        before = markov.state_at(kernel, part.taken(links))
        state, info = markov.step(kernel, before, numbered(3, [7]))
        told = [info.delta_h, info.log_ratio, info.accepted, state.action, state.links, state.force,
                fast.plaquettes(state.links), topological_charge(state.links),
                normalised_change(before.links, state.links)]
        return [part.kept(one) if one.ndim == 8 else one for one in told]
    return work

def alone(lattice, work):
    with holding(whole(lattice)):
        return work(whole(lattice))

def same(grid, lattice, halo, work, expected=None):
    # A part with as many sites as the lattice would be right without its neighbours.
    expected, wrong = expected or alone(lattice, work), 0
    found = on_threads(grid, lattice, halo, lambda part: (part, work(part)))
    for part, told in found:
        for one, other in zip(told, expected, strict=True):
            if one.ndim == 8:
                other = other[(..., *(slice(o, o + n) for o, n in zip(part.origin, part.extents)),
                               slice(None), slice(None))]
            wrong += not torch.equal(one, other)
    return wrong
"""

TRAJECTORIES = START + """
kernels = {"leapfrog": HMC(WILSON, 0.2, 1, "leapfrog"),
           "force gradient": HMC(WILSON, 0.4, 1, "force_gradient"),
           "steps": L2HMC(WILSON, Steps(schedule("omf2", 0.3, 1)))}
for grid, lattice, names in GRIDS:
    links = field(lattice)
    assert engine_for(kernels["steps"], links) is PlanarEngine
    for name in names:
        wrong = same(grid, lattice, 1, stepped(kernels[name]))
        print(grid, name, wrong)
        if wrong:
            raise SystemExit(f"{grid}, {name}: {wrong} differ")
"""

RECTANGLES = START + """
lattice = (10, 1, 1, 3)
links = field(lattice)
wrong = same("1,1,1,2", lattice, 2, stepped(HMC(IWASAKI, 0.3, 1, "leapfrog")))
if wrong:
    raise SystemExit(f"{wrong} differ")
"""

FLOW = START + """
lattice = (6, 1, 2, 2)
links = field(lattice)
work = lambda part: [part.kept(fast.flow(part.taken(links), 0.05, 1)),
                     fast.kinetic(su3.project_algebra(part.taken(links)))]
if same("1,1,1,2", lattice, 1, work):
    raise SystemExit("other bits")
work = lambda part: [fast.charge(part.taken(links), ((1, 2, 0.7),))]
if same("1,1,1,2", lattice, 2, work):
    raise SystemExit("other sums")
"""

COUNTS = """
import torch
from l2hmc_bridge.fields import sums
from l2hmc_bridge.fields.part import Part
half = Part((6, 5, 3, 5), (0, 0, 0, 0), (3, 5, 3, 5), (1, 0, 0, 0))
generator = torch.Generator().manual_seed(1)
terms = torch.randn(2, 7, *half.held, generator=generator, dtype=torch.float64)
terms[0] *= 10.0 ** (10 * torch.rand(7, 1, 1, 1, 1, generator=generator) - 6)
terms[1, 0, 2, 1, 1, :4] = torch.tensor([float("nan"), float("inf"), -2.0**16, 65535.9])
terms[1, 1, 0] = float("nan")  # another process's
terms[1, 2, 2, 1, 1, :4] = torch.tensor([2.0**-31, 3 * 2.0**-31, -(2.0**-63), 5e-324])
found, expected = gpu.sums._counted(half, terms), sums.counted(half.kept(terms))
if not torch.equal(found, expected) or found[:, :, 2].sum() != 3 or found[1, 0, 2] != 3:
    raise SystemExit(f"{found} {expected}")
"""

SUMS = """
import torch
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fields import part, su3
generator = torch.Generator().manual_seed(1)
u, p = (draw((1, 4, 2, 1, 2, 3), generator) for draw in (su3.random_group, su3.random_algebra))
for name, field, more in (("plaquettes", u, ()), ("clover", u, ()), ("clover", u, (False,)),
                          ("kinetic", p, ()), ("charge", u, (((1, 2, 0.7),),))):
    expected = getattr(reference, name)(field, *more)
    with part.exactly(u):
        found = getattr(gpu, name)(field, *more)
    if float((found - expected).abs().max() / expected.abs().max()) > 1e-13:
        raise SystemExit(f"{name}: {found} {expected}")
    if name == "clover" and float(expected.abs().min()) < 1e-4:
        raise SystemExit("numbers that prove nothing")
"""

STALE = START + """
lattice, kernel = (6, 1, 2, 2), HMC(WILSON, 0.4, 1, "force_gradient")
links = field(lattice)
drift, renew, drifting = planar.Moving.drift, planar.renew, threading.local()
def drifted(at, step):
    drifting.now = True
    drift(at, step)
    drifting.now = False
planar.Moving.drift = drifted
expected = alone(lattice, stepped(kernel))
if same("1,1,1,2", lattice, 1, stepped(kernel), expected):
    raise SystemExit("not the same to begin with")
for forgotten in (True, False):  # after drifts, in displaced fields
    planar.renew = lambda part, field: (
        None if getattr(drifting, "now", False) == forgotten else renew(part, field))
    if not same("1,1,1,2", lattice, 1, stepped(kernel), expected):
        raise SystemExit(f"nobody misses the neighbours' links ({forgotten})")
"""


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("grids", [
    [("1,1,1,2", (6, 2, 2, 8), ["force gradient"])],  # whole blocks in a row
    [("1,1,2,1", (2, 2, 2, 6), ["leapfrog", "steps"])],  # lanes here and there
    [("1,1,2,2", (6, 1, 1, 6), ["force gradient"])],
], ids=("t", "z", "both"))
def test_trajectories_in_parts_have_the_bits_of_the_whole(grids):
    interpreted(TRAJECTORIES.replace("GRIDS", repr(grids)))


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("program", [RECTANGLES, FLOW], ids=("rectangles", "flow"))
def test_actions_and_flow_in_parts_have_the_bits_of_the_whole(program):
    interpreted(program)


@needs_triton
@pytest.mark.parametrize("program", [COUNTS, SUMS], ids=("counts", "sums"))
def test_exact_sums_of_kernels_are_those_of_torch(program):
    interpreted(program)


@needs_triton
@pytest.mark.slow
def test_links_that_are_not_renewed_are_found():
    interpreted(STALE)


def apart(field):
    """A torch field [Nb,4,Nt,Nx,Ny,Nz,n] with its numbers apart, as the kernels lay it out."""
    flat = field.flatten(2, 5)
    places = torch.arange(math.ceil(flat.shape[2] / planar.LANES) * planar.LANES)
    flat = flat[:, :, places.clamp(max=flat.shape[2] - 1)]
    return flat.unflatten(2, (-1, planar.LANES)).transpose(-1, -2).contiguous()


@pytest.mark.parametrize(("lattice", "halo"), [
    ((4, 2, 4, 8), (1, 0, 0, 0)),  # blocks in a row
    ((3, 4, 4, 8), (0, 1, 0, 0)),  # blocks here and there
    ((3, 2, 5, 3), (1, 0, 2, 0)),  # lanes, of a last block that is not full, too
    ((2, 3, 2, 7), (0, 1, 0, 2)),
])
def test_copies_are_renewed_with_numbers_apart(lattice, halo):
    held = Part(lattice, (0, 0, 0, 0), lattice, halo)  # periodic: it is its own neighbour
    generator = torch.Generator().manual_seed(1)
    whole = torch.randn(2, 4, *lattice, planar.ALGEBRA, generator=generator, dtype=torch.float64)
    taken = held.taken(whole)
    stale = torch.full_like(taken, math.nan)
    held.kept(stale).copy_(whole)
    found = apart(stale)
    planar.renew(held, found)
    assert torch.equal(found, apart(taken))
    planar.renew(None, found)  # of no part there is nothing to renew


def test_what_torch_would_have_to_serve_is_refused_on_a_part(monkeypatch):
    """Its formulas ask no neighbours; on a whole lattice they serve."""
    monkeypatch.setattr(launch, "trusted", lambda *_: False)
    monkeypatch.setattr(gpu, "trusted", lambda *_: False)
    links = samples.random_links(extents=(4, 2, 2, 2))
    momenta, plan = torch.zeros_like(links), ((0.1, 0.1), (0.1,), (0.0, 0.0))
    half = Part((4, 2, 2, 2), (0, 0, 0, 0), (2, 2, 2, 2), (1, 0, 0, 0))
    with parts.exactly(links):
        assert torch.equal(gpu.action(links, 5.7), reference.action(links, 5.7))
    with holding(half):
        for call in (lambda: gpu.action(half.taken(links), 5.7),
                     lambda: gpu.flow(half.taken(links), 0.01),
                     lambda: gpu.trajectory(half.taken(links), half.taken(momenta),
                                            half.taken(momenta), 5.7, 0.0, *plan)):
            with pytest.raises(ActionError, match="on a part of a lattice: expected its kernel on"):
                call()


def test_loops_that_look_further_than_the_copies_are_refused():
    half = Part((6, 2, 2, 2), (0, 0, 0, 0), (3, 2, 2, 2), (1, 0, 0, 0))
    apart, where = torch.zeros(1, 4, 2, planar.LINKS, planar.LANES), Where(half.held, half)
    with pytest.raises(LayoutError, match="expected 3 sites beside its own, found 1"):
        totals.charge(apart, where, ((1, 1, 1.0), (2, 3, 1.0)), True)
