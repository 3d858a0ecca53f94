"""Trajectories and flows as graphs, recorded in Triton's interpreter: the bits of launches."""

import pytest

from tests.fast.test_planar import START
from tests.support.interpreter import interpreted, needs_triton

RECORDED = START + """
from l2hmc_bridge import fast
from l2hmc_bridge.fast.gpu import graphs
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import Steps
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support.recorded_graphs import Recorded

fast.backend = lambda *_: gpu
torch.set_grad_enabled(False)
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(1)

def drawn(shape, dtype=torch.complex128):
    return (su3.random_group(shape, generator).to(dtype),
            su3.random_algebra(shape, generator).to(dtype))

def proved(name, call, shape, numbers=1, dtype=torch.complex128, captures=1,
           change=lambda: None):
    # The first time launched, the second tried, the third replayed: what launches give.
    runtime = Recorded()
    graphs.GRAPHS = graphs.Graphs(runtime)
    found = []
    for _ in range(3):
        change()
        given = drawn(shape, dtype)[:numbers]
        found.append(call(*given))
    assert (runtime.captures, runtime.replays) == (captures, 3 * captures), name
    with graphs.one_by_one():
        assert graphs.same_bits(found[2], call(*given)), name
    assert not graphs.same_bits(found[2], found[1]), name
    print(name, len(runtime.tape.steps))

def whole(call):
    def exact(links, *more):
        with parts.exactly(links):
            return call(links, *more)
    return exact
"""

TRAJECTORIES = RECORDED + """
def along(c1, *plan):
    return lambda u, p: tuple(gpu.trajectory(u, p, p.roll(1, 2), 5.7, c1, *plan))
proved("single precision, chains", along(0.0, (0.1, 0.3), (0.2,), (0.0, 0.0)), (2, 4, 2, 1, 1, 2),
       2, torch.complex64)
proved("rectangles, displaced, exact sums",
       whole(along(-0.3, (0.1, 0.2), (0.2,), (0.02, 0.0))), (1, 4, 2, 1, 2, 2), 2)
"""

STEPS = RECORDED + """
kernel = L2HMC(GaugeAction(5.7), Steps(schedule("leapfrog", 0.1, 1)), repeats=2)
def call(u, p):
    new, info = kernel.moved(markov.state_at(kernel, u), p, generator)
    return (new.links, new.action, new.force, info.log_ratio, info.delta_kinetic, info.log_det)
proved("trained steps", call, (1, 4, 2, 1, 1, 2), 2)
"""

NETWORKS = RECORDED + """
from l2hmc_bridge.l2hmc import planar_trial
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, MomentumMixing
planar_trial.agrees = lambda *_: True

def networks(integrator, kick, drift, mixing):
    steps = Steps(schedule(integrator, 0.15, 1))
    made = L2HMC(GaugeAction(5.7), steps,
                 None if kick is None else KickNetwork(len(steps.kicks), 3, kick),
                 None if drift is None else DriftNetwork(len(steps.drifts), 3, *drift),
                 MomentumMixing() if mixing else None)
    if mixing:
        made.mixing.coefficient.fill_(0.07)

    def trained():
        for part in (made.kick_network, made.drift_network):
            for p in part.parameters() if part is not None else ():
                p.copy_(0.2 * torch.randn(p.shape, generator=generator, dtype=torch.float64))

    def call(u, p):
        told, force, seen = [], p.roll(1, 2), None
        for sign in (1,) if kick is None else (1, -1):  # back with what was seen where it ended
            end = made.directed(u, p, force, sign, seen)
            u, force, seen = end.links, end.force, end.seen
            told += [end.links, end.momenta, end.force, end.log_det, end.action,
                     end.delta_kinetic, *(seen or {}).values()]
        assert kick is None or float(end.log_det.abs().min()) > 1e-3
        return tuple(told)

    return call, trained
"""

EVERYTHING = NETWORKS + """
call, trained = networks("leapfrog", ("square",), ("turn", ("q", "t")), True)
proved("everything, exact sums", whole(call), (1, 4, 2, 2, 2, 2), 2, captures=2, change=trained)
"""

LOOKING = NETWORKS + """
call, trained = networks("force_gradient", ("laplacian",), None, False)
proved("displaced, Laplacian", call, (1, 4, 2, 1, 1, 2), 2, captures=2, change=trained)
call, trained = networks("leapfrog", None, ("all", ("q",)), False)
proved("drifts of all subsets", call, (1, 4, 2, 2, 2, 2), 2, change=trained)
"""

FLOWS = RECORDED + """
def measured(*legs):
    return lambda u: tuple(one for pair in gpu.flow_measured(u, legs) for one in pair)
proved("flow", lambda u: (gpu.flow(u, 0.05, 1),), (2, 4, 2, 1, 1, 2))
proved("measured", measured((0.0, 0)), (1, 4, 2, 1, 1, 2))
proved("flow, measured, exact sums", whole(measured((0.05, 1))), (1, 4, 2, 1, 1, 2))
"""

CUT = RECORDED + """
import threading
from tests.support.threads_as_ranks import on_threads
# Parts of a lattice wait for each other: never a graph.
one_at_a_time, started = threading.Lock(), launch._start
def start(*given):
    with one_at_a_time:
        started(*given)
launch._start = start
fields = drawn((1, 4, 6, 1, 1, 2))
graphs.GRAPHS = graphs.Graphs(runtime := Recorded())
def work(part):
    u, p = (part.taken(one) for one in fields)
    for _ in range(2):
        with torch.no_grad():
            gpu.trajectory(u, p, p, 5.7, 0.0, (0.1,), (), (0.0,))
            gpu.flow(u, 0.05, 1)
    return runtime.captures
assert on_threads("1,1,1,2", (6, 1, 1, 2), 1, work) == [0, 0]
"""


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("program", [TRAJECTORIES, STEPS, FLOWS, CUT, EVERYTHING, LOOKING],
                         ids=("trajectories", "steps", "flows", "parts", "everything", "looking"))
def test_graphs_give_the_bits_of_launches(program):
    interpreted(program)
