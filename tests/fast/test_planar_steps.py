"""Steps with networks in one kernel: against torch, there and back, and from what was handed on."""

import pytest

from tests.fast.test_planar_networks import START
from tests.support.interpreter import interpreted, needs_triton

# (extents, chains, parts, precision): a drift network wants even extents.
ONE_KERNEL = START + """
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
            at.drift(0, 1)  # a turn's subset first
            at.turn()
            at.drift(0, -1)
            at.unkick(0, 0.3)
            at.flip()
            at.kick(0)
            ends.append(at.leave())
    bound = 1e-12 if dtype == torch.complex128 else 1e-5
    for what in ("links", "momenta", "log_det", "force"):
        found, expected = (getattr(end, what) for end in ends)
        check(f"{extents} {dtype} {what}", found, expected, bound)
    if made.kick_network is not None:
        assert float(ends[1].log_det.abs().min()) > 1e-3
"""

BOTH_WAYS = START + """
for parts in (dict(kick=("square",)), dict(kick=("square",), drift=("turn", ("q", "t"))),
              dict(kick=(), drift=("turn", ("q",)), composition="direction")):
    links, momenta = fields((2, 2, 2, 2))
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
from l2hmc_bridge.sampling.seen import selected
def same(one, other):
    return all(torch.equal(getattr(one, what), getattr(other, what))
               for what in ("links", "momenta", "log_det", "force"))

for parts in (dict(kick=("square",), drift=("turn", ("q",))),
              dict(kick=("rectangle", "laplacian"), c1=-1 / 12)):
    links, momenta = fields((2, 2, 2, 2), 2)
    made = kernel(integrator="leapfrog", **parts)
    first = made.trajectory(State(links, None, made.action.force(links)), momenta, generator)
    other = made.trajectory(State(first.links, None, first.force), momenta, generator)
    assert first.seen and set(first.seen) == set(other.seen)
    accepted = torch.tensor([True, False])
    chains = accepted.view(-1, *[1] * 7)
    mixed = State(*(torch.where(chains, getattr(other, what), getattr(first, what))
                    for what in ("links",)), None,
                  torch.where(chains, other.force, first.force),
                  seen=selected(accepted, other.seen, first.seen))
    found = made.trajectory(mixed, momenta, generator)
    if not same(found, made.trajectory(mixed._replace(seen=None), momenta, generator)):
        raise SystemExit("what was handed on changes bits")
    wrong = mixed._replace(seen={name: 1.001 * one for name, one in mixed.seen.items()})
    if same(found, made.trajectory(wrong, momenta, generator)):
        raise SystemExit("what was handed on is not looked at")
    # Another coupling, a network that sees more, another precision: of no use, and no harm.
    for another in (kernel(integrator="leapfrog", **dict(parts, c1=0.1)),
                    kernel(integrator="leapfrog", kick=("square", "rectangle"))):
        bare = State(mixed.links, None, another.action.force(mixed.links))
        assert same(another.trajectory(bare._replace(seen=mixed.seen), momenta, generator),
                    another.trajectory(bare, momenta, generator))
    single = [one.to(torch.complex64) for one in (mixed.links, momenta, mixed.force)]
    ends = []
    for seen in (None, mixed.seen):
        at = made.enter(*single, seen)
        made.palindrome(at)
        ends.append(at.leave())
    assert same(*ends)
"""

KICKS = """[
    ((3, 1, 2, 5), 2, dict(LEAPFROG, kick=("square",)), torch.complex128),
    ((1, 2, 3, 3), 1, dict(LEAPFROG, kick=(), activation="tanh"), torch.complex64),
    ((2, 1, 1, 3), 1, dict(LEAPFROG, kick=("square", "rectangle"), c1=-1 / 12), torch.complex128),
]"""
TURNS = """[
    ((2, 2, 2, 4), 2, dict(TURN, kick=("square",)), torch.complex128),
    ((4, 2, 2, 2), 1, dict(TURN, kick=("square",), activation="tanh"), torch.complex64),
    ((2, 4, 2, 2), 1, dict(TURN, c1=0.1), torch.complex128),
    ((2, 2, 4, 2), 1, dict(LEAPFROG, kick=(), drift=("turn", ("q", "t"))), torch.complex128),
]"""


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("program", [ONE_KERNEL.replace("CASES", KICKS),
                                     ONE_KERNEL.replace("CASES", TURNS), BOTH_WAYS, HANDED_ON],
                         ids=("kicks", "turns", "both ways", "handed on"))
def test_steps_in_one_kernel(program):
    interpreted(program)
