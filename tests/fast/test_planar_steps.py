"""Steps with networks in one kernel: against torch, there and back, and from what was handed on."""

import pytest

from tests.fast.test_planar_networks import START
from tests.support.interpreter import interpreted, needs_triton

# (extents, chains, parts, precision): a drift network wants even extents.
ONE_KERNEL = START + """
from benchmarks.kernels.modelled.launches import launch_of, measures
labels, started = set(), launch._start
def start(kernel, grid, there, arguments, constants):
    if not measures(kernel):
        labels.add(launch_of(kernel, arguments, constants).label)
    started(kernel, grid, there, arguments, constants)
launch._start = start
LEAPFROG = dict(integrator="leapfrog")
TURN = dict(LEAPFROG, drift=("turn", ("q",)))
for extents, chains, parts, dtype in CASES:
    links, momenta = (one.to(dtype) for one in fields(extents, chains))
    made = kernel(**parts)
    ends = []
    for engine in (PlanarNetworkEngine, TorchEngine):
        with fast.using("auto" if engine is PlanarNetworkEngine else "torch"):
            u, p = (links, momenta) if engine is PlanarNetworkEngine else (
                links.to(torch.complex128), momenta.to(torch.complex128))
            at = engine.enter(made, u, p, made.action.force(u))
            at.kick(0)
            at.drift(0, 1)
            at.turn()
            at.drift(0, 1)  # the subset of a drift network first
            at.unkick(0, 0.3)
            at.drift(0, -1)  # and last
            at.flip()
            at.kick(0)
            ends.append(at.leave())
    bound = 1e-12 if dtype == torch.complex128 else 1e-5
    for what in ("links", "momenta", "log_det", "force"):
        found, expected = (getattr(end, what) for end in ends)
        check(f"{extents} {dtype} {what}", found, expected, bound)
    if made.kick_network is not None:
        assert float(ends[1].log_det.abs().min()) > 1e-3
if not labels >= {EXPECTED}:
    raise SystemExit(f"{labels}: it was not tried")
"""

BOTH_WAYS = START + """
for parts, extents in ((dict(kick=("square",), integrator="leapfrog"), (1, 2, 3, 1)),
                       (dict(kick=("square",), drift=("turn", ("q",))), (2, 2, 2, 2)),
                       (dict(kick=(), composition="direction"), (2, 1, 1, 3))):
    links, momenta = fields(extents)
    made = kernel(**parts)
    assert engine_for(made, links) is PlanarNetworkEngine
    start = State(links, None, made.action.force(links))
    end = (made.directed(links, momenta, start.force, 1) if "composition" in parts
           else made.trajectory(start, momenta, generator))
    back = (made.directed(end.links, end.momenta, end.force, -1, end.seen)
            if "composition" in parts else made.trajectory(
                State(end.links, None, end.force, seen=end.seen), -end.momenta, generator))
    if float((end.links - links).abs().max()) < 0.1 or not float(end.log_det.abs().min()) > 1e-3:
        raise SystemExit("nothing moves")
    sign = 1 if "composition" in parts else -1
    check("links", back.links, links)
    check("momenta", back.momenta, sign * momenta)
    check("log|J|", back.log_det, -end.log_det)
"""

HANDED_ON = START + """
from dataclasses import replace
from l2hmc_bridge.sampling.seen import selected
def same(one, other):
    return all(torch.equal(getattr(one, what), getattr(other, what))
               for what in ("links", "momenta", "log_det", "force"))

def proposal(made, state):
    return made.trajectory(state, momenta, generator)

def agree(made, seen):  # whether it has the bits of one that looks anew
    return same(*(proposal(made, State(mixed, None, force, seen=one)) for one in (seen, None)))

LEAPFROG = dict(integrator="leapfrog")
links, momenta = fields((1, 2, 1, 3), 2)
made = kernel(**LEAPFROG, kick=("square",))
first = proposal(made, State(links, None, made.action.force(links)))
other = proposal(made, State(first.links, None, first.force))
accepted = torch.tensor([True, False])
mixed, force = (torch.where(accepted.view(-1, *[1] * 7), one, two) for one, two in (
    (other.links, first.links), (other.force, first.force)))
seen = selected(accepted, other.seen, first.seen)
wrong = {name: 1.001 * one for name, one in seen.items()}
if not agree(made, seen):
    raise SystemExit("what was handed on changes bits")
if agree(made, wrong):
    raise SystemExit("what was handed on is not looked at")
# Another coupling, less than the network sees: of no use, and no harm.
assert agree(replace(made, action=GaugeAction(5.2)), wrong)
assert agree(made, {name: one for name, one in wrong.items() if "square" not in name})
ends = []
for one in (None, wrong):  # nor is another precision
    at = made.enter(*(field.to(torch.complex64) for field in (mixed, momenta, force)), one)
    at.kick(0)
    ends.append(at.leave())
assert same(*ends)

links, momenta = fields((2, 1, 1, 2))
made = kernel(**LEAPFROG, kick=("rectangle", "laplacian"))
first = proposal(made, State(links, None, made.action.force(links)))
mixed, force = first.links, first.force
if len(first.seen) != 3 or not agree(made, first.seen):
    raise SystemExit("what was handed on changes bits, with rectangles")
"""

KICKS = ONE_KERNEL.replace("EXPECTED", "'kick network and drift'").replace("CASES", """[
    ((3, 1, 2, 5), 2, dict(LEAPFROG, kick=("square",)), torch.complex128),
    ((1, 2, 3, 3), 1, dict(LEAPFROG, kick=(), activation="tanh"), torch.complex64),
    ((2, 1, 1, 3), 1, dict(LEAPFROG, kick=("square", "rectangle"), c1=-1 / 12), torch.complex128),
]""")
TURNS = ONE_KERNEL.replace("EXPECTED", """
    'kick network and drift network', 'kick and drift network', 'kick network and drift',
    'kick and drift of the rest'""").replace("CASES", """[
    ((2, 2, 2, 4), 2, dict(TURN, kick=("square",)), torch.complex128),
    ((4, 2, 2, 2), 1, dict(TURN, kick=("square",), activation="tanh"), torch.complex64),
    ((2, 4, 2, 2), 1, dict(TURN, c1=0.1), torch.complex128),
    ((2, 2, 4, 2), 1, dict(LEAPFROG, kick=(), drift=("turn", ("q", "t"))), torch.complex128),
]""")


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("program", [KICKS, TURNS, BOTH_WAYS, HANDED_ON],
                         ids=("kicks", "turns", "both ways", "handed on"))
def test_steps_in_one_kernel(program):
    interpreted(program)
