"""One of several processes of a host: nested updates of its fields in parts and of the whole.

    python -m tests.support.nested_worker TRANSPORT RANKS LATTICE [without-copies | quarks]

TRANSPORT is mpi, under mpirun, or gloo; RANKS and LATTICE are X,Y,Z,T. Rank 0 writes a line for
each inner step: its name, and what is not the same bit for bit as on one rank; of two ranks also
what becomes of faults of one alone, and whether on all alike. without-copies: those of the
neighbours' sites are not renewed after drifts. quarks: examples/gpt_two_flavour.py instead of that.
"""

import runpy
import sys
from random import Random
from types import SimpleNamespace

import torch

from l2hmc_bridge.adapters.hosts import gpt_terms, pyquda_terms
from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fields import su3
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support.hosts_worker import communicators, same
from tests.support.nested_host import rectangles
from tests.support.places import EXAMPLES
from tests.support.ranks_worker import WILSON, learned
from tests.support.standins import gpt_standin as g, pyquda_standin, ranks_standin as ranks

HMC_INSIDE = HMC(WILSON, 0.2, 2)
INNER = {"networks, mixing": learned(subsets="turn", mixing=True), "GPT's own": None}


class NotConverged(Exception):
    """What a solver of these hosts raises."""


class Phi:
    """The noise of a term, as a host keeps it."""

    factor = 1.0


class Rectangles:
    """An action like those of GPT's pseudofermions; spoil(what, value) as one rank returns it."""

    def __init__(self, strength, spoil=lambda what, value: value):
        self.ours, self.spoil = GaugeAction(strength, -0.2), spoil

    def draw(self, fields, rng):
        on, drawn = fields[0].grid, rng.uniform_real()
        fields[4].factor = 0.9 + 0.2 * on.globalsum(drawn if on.processor == 0 else 0.0)

    def __call__(self, fields):
        return self.spoil("S", fields[4].factor * float(self.ours(g.tensor(fields[:4]))))

    def gradient(self, fields, dfields):
        out = g.group.cartesian(dfields)
        g.store(-1j * fields[4].factor * self.ours.force(g.tensor(fields[:4])), out)
        return self.spoil("F", out)


class Monomial:
    """The same as a fermion monomial of PyQUDA."""

    invert_param = SimpleNamespace(iter=1, maxiter=2)

    def __init__(self, strength, communicator=None):
        self.ours, self.factor = GaugeAction(strength, -0.2), None
        self.communicator = communicator

    def sample(self, links, chance):
        drawn = chance.random()
        self.factor = 0.9 + 0.2 * (self.communicator.bcast(drawn, 0) if self.communicator
                                   else drawn)

    def action(self, links):
        return self.factor * float(self.ours(links))

    def force(self, links):
        return self.factor * self.ours.force(links)


def nested(inner, heavy, ratio):
    """Two levels, the outer one with displaced kicks."""
    return Nested(inner, (Level("heavy", (heavy,), schedule("omf2", 0.2, 2)),
                          Level("ratio", (ratio,), schedule("force_gradient", 0.25, 1))))


def integrator(U):
    """GPT's own gauge step on fields of its own."""
    links, action, kinetic = g.copy(U), g.wilson(5.7), g.mass_term()
    pi = g.group.cartesian(links)
    scheme = g.leap_frog(2, g.update_p(pi, lambda: action.gradient(links, links)),
                         g.update_q(links, lambda: kinetic.gradient(pi, pi)))
    return gpt_terms.gauge_step(scheme, links, pi, action, forces=2)


def gpt_update(inner, U, name, more=(), spoil=lambda what, value: value):
    """A nested update of GPT's fields, and its rng, which draws the noise, too."""
    rng = g.random(name)
    terms = [gpt_terms.host_term(term, Rectangles(strength, spoil), U, Phi(), rng,
                                 gives_up=(NotConverged,))
             for term, strength in (("heavy", 0.8), ("ratio", 0.4))]
    return gpt_terms.nested_update(nested(inner or integrator(U), *terms), rng, *more)


def pyquda_update(inner, gauge, made, seed, communicator=None):
    """The same of PyQUDA's; made: its HMC class."""
    terms = []
    for name, strength in (("heavy", 0.8), ("ratio", 0.4)):
        host = made(gauge.latt_info, [Monomial(strength, communicator)], None)
        host.initialize(seed, gauge)
        terms.append(pyquda_terms.host_term(name, host, gauge,
                                            pyquda_standin.LatticeMom(gauge.latt_info)))
    return pyquda_terms.nested_update(nested(inner, *terms), Random(seed))


def told(update, field, links_of):
    """What an update after a check comes to, with names."""
    update.check(field)
    outcome, info = update(field), update.infos[0]
    numbers = info.log_det.tolist(), info.delta_h.tolist(), info.force_evaluations, info.levels
    return [("update", outcome), ("links", links_of(field)), ("numbers", numbers),
            ("usage", update.usage())]


def differences(one, other):
    """Names of what is not the same."""
    return {name for (name, mine), (_, theirs) in zip(one, other, strict=True)
            if not same(mine, theirs)}


def of_gpt(inner, on, links, handed):
    """What differs on this rank of GPT, ours of two ranks also where it gathers."""
    wrong = set()
    ways = ("GPT", (handed,)), ("GPT that gathers", (handed, True))
    for how, more in ways[:1 if inner is None or on.Nprocessors > 2 else 2]:
        U, alone = ranks.gpt_field(on, links), g.unit(g.grid(on.fdimensions, g.double))
        g.store(links, alone)
        on.gathers = len(more) > 1
        found = differences(
            told(gpt_update(inner, U, f"rank {on.processor}" if not on.gathers else "rank 0",
                            more), U, g.tensor),
            told(gpt_update(inner, alone, "rank 0"), alone, g.tensor))
        wrong |= {f"{how} {what}" for what in found}
    on.gathers = False
    return wrong


def of_pyquda(inner, info, links, handed):
    """The same of PyQUDA, with fermions antiperiodic in time."""
    mine = ranks.pyquda_field(info, links)
    alone = pyquda_standin.LatticeGauge(pyquda_standin.LatticeInfo(info.global_size, -1))
    pyquda_standin.store(links, alone)
    here = pyquda_update(inner, mine, ranks.HMC, 7 + info.mpi_rank, info.mpi_comm)
    here.rng, here.communicator = Random(7 + info.mpi_rank), handed
    there = pyquda_update(inner, alone, pyquda_standin.HMC, 7)

    def own(gauge):
        return torch.from_numpy(info.evenodd(ranks.pyquda_own(info, gauge.lexico())))

    return {f"PyQUDA {what}" for what in differences(
        told(here, mine, lambda gauge: torch.from_numpy(gauge.data.copy())),
        told(there, alone, own))}


def faults(on, links, handed):
    """(what one rank does alone, what becomes of an update there)."""
    last = on.processor == on.Nprocessors - 1

    def lost(what, value):
        if what == "F" and last:
            raise NotConverged("500 iterations")
        return value

    def local(what, value):
        return value * (1 + on.processor) if what == "S" else value

    for name, spoil in (("a solver", lost), ("a sum", local)):
        U = ranks.gpt_field(on, links)
        update = gpt_update(HMC_INSIDE, U, "one", (handed,), spoil)
        try:
            accepted, delta = update(U)
            yield name, (f"accepted {accepted}, dH {delta}, unsolved "
                         f"{update.infos[0].unsolved.tolist()}, "
                         f"kept {torch.equal(g.tensor(U), links)}")
        except BridgeError as error:
            yield name, f"{type(error).__name__} {error}"
    U = ranks.gpt_field(on, links)
    whole = nested(HMC_INSIDE, *rectangles(None, terms=2).terms)
    try:
        gpt_terms.nested_update(whole, g.random("one"), handed)(U)
    except BridgeError as error:
        yield "a term of the whole field", f"{type(error).__name__} {error}"


def quarks(mpi, xyzt, communicator):
    """What differs in a stream of the example, with either gauge step."""
    sys.path.insert(0, str(EXAMPLES))  # as the example's folder is
    from tests.support.standins import gpt_quarks_standin

    alone, several = gpt_quarks_standin.library(), gpt_quarks_standin.library()
    several.grid = lambda extents, precision: ranks.grid(extents, precision, mpi, communicator)
    stream = runpy.run_path(str(EXAMPLES / "gpt_two_flavour.py"))["stream"]
    for gauge in ("ours", "gpt"):
        here, there = (stream(one, xyzt, 5.7, 0.15, 0.6, 1, gauge, outer=2, thermalise=0)
                       for one in (several, alone))
        if here != there:
            yield f"{gauge}: {here} {there}"


@torch.no_grad()
def main(transport, grid, lattice, *how):
    torch.set_num_threads(1)
    if how == ("without-copies",):
        library.Lattice.renew = lambda self, field: None
    mpi, xyzt = ([int(n) for n in word.split(",")] for word in (grid, lattice))
    links = su3.exp(0.4 * su3.random_algebra((1, 4, xyzt[3], *xyzt[:3]),
                                             torch.Generator().manual_seed(1)))
    with communicators(transport) as (handed, spoken):
        theirs = ranks.Reversed(spoken)
        if how == ("quarks",):
            every = spoken.allgather(list(quarks(mpi, xyzt, theirs)))
            return print(f"quarks: {every}") if spoken.Get_rank() == 0 else None
        on = ranks.grid(xyzt, g.double, mpi, theirs)
        info = ranks.pyquda_info(xyzt, mpi, theirs if transport == "gloo" else spoken, -1)
        for name, inner in INNER.items():
            wrong = of_gpt(inner, on, links, handed)
            if inner is not None:
                wrong |= of_pyquda(inner, info, links, handed)
            found = sorted(set().union(*spoken.allgather(wrong)))
            if spoken.Get_rank() == 0:
                print(f"{name}: {', '.join(found) or 'the same'}", flush=True)
        for what, came in faults(on, links, handed) if on.Nprocessors == 2 else ():
            every = spoken.allgather(came)
            if spoken.Get_rank() == 0:
                print(f"{what}: {came if set(every) == {came} else every}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
