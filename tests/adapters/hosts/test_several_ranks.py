"""Fields of hosts that several ranks share: local, the bits of one rank, and what is refused."""

import sys
import types
from dataclasses import replace

import pytest
import torch

from l2hmc_bridge.adapters.hosts import cut, gpt, gpt_grid, gpt_terms, pyquda
from l2hmc_bridge.adapters.hosts.cut import Cut
from l2hmc_bridge.errors import BridgeError, ConfigError, LayoutError, StreamError
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fields.part import holding, whole
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.host_action import Hosted
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support import mpi, ranks
from tests.support.fields import rough_links
from tests.support.nested_host import rectangles
from tests.support.standins import gpt_standin, pyquda_standin

needs_kernels = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
HMC_KERNEL = HMC(GaugeAction(5.7), 0.1, 2)
SAME = ["hmc: the same", "kick network: the same", "drift network, mixing: the same",
        "heat bath: the same"]
REFUSED = ["odd parts: ConfigError ranks: expected parts of even extent along t for the parity "
           "masks of the drift network, found 3",
           "a boundary: VerificationError GPT field: expected links in SU(3), found phases "
           "(|det U - 1| up to 2, max|U U^+ - 1| small) multiplied into the links (one process "
           "says which); multiply them out again"]


def lines(transport, size, module, *words):
    """What rank 0 of so many processes writes."""
    words = f"tests.support.{module}", transport, *words
    if transport != "gloo":
        done = mpi.command(size, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()
    found = ranks.ended(ranks.start(size, *words))
    assert [status for status, *_ in found] == [0] * size, found
    return found[0][1].splitlines()


@pytest.mark.parametrize("transport", ["gloo", "mpi", "carried"])
@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_transports_say_the_same(transport, size):
    assert lines(transport, size, "transport_worker") == [
        f"{name}: {[[]] * size}" for name in ("as it is", "turned", "turned again")]


@needs_kernels
@pytest.mark.parametrize(("transport", "grid", "lattice"), [
    ("gloo", "1,1,1,2", "2,4,2,16"),
    ("mpi", "1,1,1,2", "2,4,2,16"),
    pytest.param("mpi", "2,1,1,2", "12,2,2,12", marks=pytest.mark.slow),
    pytest.param("gloo", "1,2,2,1", "2,12,12,2", marks=pytest.mark.slow),
])
def test_updates_of_hosts_have_the_bits_of_one_rank(transport, grid, lattice):
    found = lines(transport, ranks.processes(grid), "hosts_worker", grid, lattice)
    assert found[:4] == SAME
    if grid.endswith("2"):
        assert found[4:] == REFUSED


@needs_kernels
@pytest.mark.slow
def test_parts_without_the_sites_beside_them_are_found():
    found = lines("gloo", 2, "hosts_worker", "1,1,1,2", "2,4,2,16", "without-copies")
    assert len(found) == 6
    for line in found[:3]:
        assert "GPT update" in line and "GPT proposal" in line and "PyQUDA proposal" in line


NESTED = ["networks, mixing: the same", "GPT's own: the same"]
FAULTS = ["a solver: accepted False, dH inf, unsolved [True], kept True",
          "a sum: ActionError host term 'heavy': expected one S in all processes",
          "a term of the whole field: ConfigError host term 'heavy': expected one that takes parts"]


@needs_kernels
@pytest.mark.parametrize(("transport", "grid", "lattice"), [
    ("gloo", "1,1,1,2", "2,2,2,12"),
    pytest.param("mpi", "1,1,2,1", "2,4,4,4", marks=pytest.mark.slow),
    pytest.param("mpi", "1,1,2,2", "2,2,4,12", marks=pytest.mark.slow),
    pytest.param("gloo", "1,1,2,2", "2,2,4,12", marks=pytest.mark.slow),
])
def test_nested_updates_have_the_bits_of_one_rank(transport, grid, lattice):
    """Rectangle terms with noise of the host, two levels, displaced kicks, the check before."""
    found = lines(transport, ranks.processes(grid), "nested_worker", grid, lattice)
    assert found[:2] == NESTED
    faults = FAULTS if ranks.processes(grid) == 2 else []
    assert all(one.startswith(other) for one, other in zip(found[2:], faults, strict=True)), found


@needs_kernels
@pytest.mark.slow
def test_nested_updates_without_the_sites_beside_them_are_found():
    found = lines("gloo", 2, "nested_worker", "1,1,1,2", "2,2,2,12", "without-copies")
    assert all(f"{host} {what}" in found[0] for host in ("GPT", "PyQUDA")
               for what in ("update", "links", "numbers"))
    assert found[1] == NESTED[1]  # whose gauge step looks at none of ours


@needs_kernels
@pytest.mark.slow
def test_the_example_with_quarks_runs_on_several_ranks_as_it_stands():
    assert lines("mpi", 2, "nested_worker", "1,1,2,1", "2,2,4,4", "quarks") == ["quarks: [[], []]"]


def cuts(**changed):
    """Of two ranks cut along t, of which the second says something else."""
    first = Cut("field", (8, 4, 4, 4), (2, 1, 1, 1), (0, 0, 0, 0), (4, 4, 4, 4), 0)
    return [first, replace(first, coordinates=(1, 0, 0, 0), number=1, **changed)]


class Said:
    """A transport of two ranks that say these cuts."""

    rank, size = 0, 2

    def __init__(self, cuts, other=None):
        self.cuts, self.other = cuts, other

    def of_all(self, value):
        if isinstance(value, Cut):
            return self.cuts
        return [value, self.other if self.other and isinstance(value, str) else value]

    def in_order(self, order):
        self.order = list(order)
        return self


def test_ranks_are_numbered_by_where_they_lie():
    first, second = cuts()
    said = Said([second, first])  # the host's order is the other way round
    share = cut.share_of(second, HMC_KERNEL, said)
    assert said.order == [1, 0] and share.grid.ranks == (2, 1, 1, 1) and share.halo == 1
    places = [(t, x, y, z) for t in range(3) for x in range(2) for y in range(3) for z in range(2)]
    on = gpt_standin.grid([4, 6, 4, 12], gpt_standin.double, mpi=[2, 3, 2, 3])
    assert sorted(cut.in_host_order(place, (3, 2, 3, 2)) for place in places) == list(range(36))
    for number in range(36):
        other = gpt_standin.grid(on.fdimensions, on.precision, mpi=on.mpi, processor=number)
        here = gpt_grid.cut_of(other)
        assert cut.in_host_order(here.coordinates, here.ranks) == here.number == number


@pytest.mark.parametrize(("words", "changed"), [
    ("expected the lattice 4,4,4,8 on ranks 1,1,1,2 as on rank 0, found 4,4,4,10 on 1,1,1,2",
     {"lattice": (10, 4, 4, 4)}),
    ("on ranks 1,1,1,2 as on rank 0, found 4,4,4,8 on 2,1,1,1 on rank 1", {"ranks": (1, 2, 1, 1)}),
    ("equal parts of the lattice 4,4,4,8 on ranks 1,1,1,2, found 4,4,4,5 on rank 1",
     {"extents": (5, 4, 4, 4)}),
    ("a place on the grid 1,1,1,2, found 0,0,0,2 for rank 1", {"coordinates": (2, 0, 0, 0)}),
    ("x slowest, t fastest, found number 0 at 0,0,0,1 of 1,1,1,2", {"number": 0}),
    ("found 0,0,0,0 for ranks 0 and 1", {"coordinates": (0, 0, 0, 0), "number": 0}),
])
def test_layouts_that_do_not_match_are_refused(words, changed):
    first, second = cuts()
    with pytest.raises(LayoutError, match=words):
        cut.share_of(first, HMC_KERNEL, Said([first, replace(second, **changed)]))


def test_what_does_not_fit_the_ranks_is_refused():
    first, second = cuts()
    with pytest.raises(LayoutError, match="expected 2 ranks, as its grid 1,1,1,2 has, found 3"):
        cut.grid_of([first, second, first])
    with pytest.raises(StreamError, match="kernel: expected HMC.*found another kernel on rank 1"):
        cut.share_of(first, HMC_KERNEL, Other([first, second], "another kernel"))
    thin = [replace(one, lattice=(2, 4, 4, 4), extents=(1, 4, 4, 4)) for one in (first, second)]
    with pytest.raises(ConfigError, match="parts of at least 2 sites along t, found 1"):
        cut.share_of(thin[0], HMC_KERNEL, Said(thin))
    term, = rectangles((4, 4, 4, 4)).terms
    with pytest.raises(ConfigError, match="one rank alone"):
        cut.share_of(first, HMC(term, 0.1, 2), Said([first, second]))
    assert cut.share_of(first, Hosted(HMC_KERNEL, GaugeAction(5.0)), Said([first, second]))


def test_nested_steps_that_differ_between_ranks_are_refused():
    """A description holds no address of an object, and every number."""

    def described(steps=2, name="quarks", inner=HMC_KERNEL, in_parts=True):
        term, = rectangles((4, 4, 4, 4), in_parts=in_parts).terms
        return Nested(inner, (Level(name, (term,), schedule("omf2", 0.2, steps)),))

    step = gpt_terms.gauge_step(None, [None] * 4, [None] * 4, None, forces=3)
    assert cut.share_of(cuts()[0], described(inner=step), Said(cuts())).halo == 1
    same = cut.share_of(cuts()[0], described(), Noted(cuts()))
    words = same.world.transport.words
    assert cut.share_of(cuts()[0], described(), Noted(cuts(), words[-1]))
    for other in (described(3), described(name="light"), described(inner=step),
                  described().scaled(2.0)):
        with pytest.raises(StreamError, match="kernel: expected nested.*on rank 1"):
            cut.share_of(cuts()[0], other, Noted(cuts(), words[-1]))
    with pytest.raises(ConfigError, match="'quarks'.*one that takes parts of a lattice"):
        cut.share_of(cuts()[0], described(in_parts=False), Said(cuts()))


class Noted(Said):
    """Of nested steps the second rank says `other`; what the first one says is kept."""

    def of_all(self, value):
        if not isinstance(value, str) or not value.startswith("nested"):
            return self.cuts if isinstance(value, Cut) else [value] * 2
        self.words = [value]
        return [value, self.other or value]


class Other(Said):
    """The second rank has another kernel, and the same program."""

    def of_all(self, value):
        said = super().of_all(value)
        return [value, self.other] if isinstance(value, str) and value.startswith("HMC") else (
            [value] * 2 if isinstance(value, str) else said)


def gpt_part(links, **more):
    """The stand-in's field of rank 0 of 2."""
    on = gpt_standin.grid([*links.shape[3:6], links.shape[2]], gpt_standin.double,
                          mpi=[1, 1, 1, 2], **more)
    shared = gpt_standin.unit(gpt_standin.grid(on.fdimensions, on.precision))
    gpt_standin.store(links, shared)
    return [gpt_standin.lattice(on, one.otype, one.data) for one in shared]


@pytest.fixture
def links(generator):
    return rough_links(generator, (8, 4, 4, 4))


def test_a_host_on_several_ranks_needs_mpi4py_and_says_so(links, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    update = gpt.l2hmc_update(HMC_KERNEL, gpt_standin.random("one"))
    with pytest.raises(BridgeError, match="expected mpi4py and the MPI library.*pip install"):
        update(gpt_part(links))
    gathering = gpt.l2hmc_update(HMC_KERNEL, gpt_standin.random("one"), gather=True)
    assert gathering(gpt_part(links))[0]  # without mpi4py


def test_torchs_generator_draws_on_one_rank_alone(links):
    share = cut.share_of(cuts()[0], HMC_KERNEL, Said(cuts()))
    for draws in (lambda: gpt.draws_of(torch.Generator(), None),
                  lambda: pyquda.draws_of(torch.Generator())):
        assert isinstance(draws(), torch.Generator)
        with holding(whole((8, 4, 4, 4))):
            draws()
        with holding(share.part), pytest.raises(LayoutError, match="found a torch.Generator"):
            draws()


def test_a_part_that_is_not_this_ranks_is_refused(links):
    share = cut.share_of(cuts()[1], HMC_KERNEL, Said(cuts()))  # rank 0's part
    on = gpt_part(links, processor=1)
    with holding(share.part), pytest.raises(LayoutError, match=(
            "expected the sites 4,4,4,4 from 0,0,0,0 of this rank, found 4,4,4,4 from 0,0,0,4")):
        gpt.to_links(on)


def test_the_order_of_pyqudas_ranks_is_asked_for(monkeypatch):
    info = pyquda_standin.LatticeInfo([4, 4, 4, 8], grid=[1, 1, 1, 2], coordinates=[0, 0, 0, 1])
    info.mpi_rank = 1
    monkeypatch.setitem(sys.modules, "pyquda_comm", None)
    with pytest.raises(BridgeError, match="pyquda_comm with getGridRanks"):
        pyquda.number_of(info)
    module = types.ModuleType("pyquda_comm")
    module.getGridRanks = lambda: [1, 0]  # as QUDA's map "dist_graph" may turn them
    monkeypatch.setitem(sys.modules, "pyquda_comm", module)
    assert pyquda.number_of(info) == 0
    gauge = pyquda_standin.LatticeGauge(info)
    with pytest.raises(LayoutError, match="even extents on every rank.*found"):
        info.size[2] = 3
        pyquda.to_links(gauge)
