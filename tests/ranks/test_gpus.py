"""Ranks with GPUs, by stand-ins: who carries what, on which device, what is refused by name."""

import platform
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ActionError, ConfigError, StreamError
from l2hmc_bridge.fast import devices
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fast.gpu import functions as gpu, heatbath, launch
from l2hmc_bridge.fields import su3, sums
from l2hmc_bridge.fields.part import Part, holding
from l2hmc_bridge.l2hmc import planar_trial
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, MomentumMixing, Steps
from l2hmc_bridge.networks.smeared import SmearedDrift
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.ranks import hands, steps, together
from l2hmc_bridge.ranks.grid import Grid
from l2hmc_bridge.ranks.reach import halo
from l2hmc_bridge.ranks.share import Neighbours
from l2hmc_bridge.ranks.transport import Distributed
from l2hmc_bridge.ranks.world import World
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.systems.actions import gauge_action
from tests.fast.test_collectives import OnGpu
from tests.support import samples
from tests.support.nested_host import rectangles
from tests.support.threads_as_ranks import on_threads

WILSON, IWASAKI = gauge_action("wilson", 5.7), gauge_action("iwasaki", 2.6)
PLAN = Steps(schedule("omf2", 0.3, 1))
META = torch.device("meta")  # stands in for a GPU: no number of a field there can be read
compiled = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")


@dataclass
class Carrier:
    """Of what neighbours swap: keeps what it was given."""

    given: list = field(default_factory=list)

    def swap(self, lower, upper, down, up):
        self.given.append((lower, upper, down, up))
        return up, down


@pytest.fixture
def two(monkeypatch):
    """torch.distributed of two processes, this one the second."""
    for name, fake in (("get_world_size", lambda group=None: 2), ("get_rank", lambda: 1),
                       ("new_group", lambda members, timeout: tuple(members))):
        monkeypatch.setattr(dist, name, fake)


@pytest.mark.parametrize("gpus", ["nccl", None])
def test_links_on_gpus_go_by_nccl_and_else_by_what_carries_main_memory(gpus, two, monkeypatch):
    """Renumbered and divided processes, too: the nccl group is that of all."""
    seen = []
    monkeypatch.setattr(dist, "P2POp", lambda op, tensor, peer, group, tag: (tensor, peer, group))
    monkeypatch.setattr(dist, "batch_isend_irecv", lambda messages: seen.extend(messages) or [])
    numbers, carrier = torch.arange(3.0).as_subclass(OnGpu), Carrier()
    for transport in (Distributed(carrier=carrier).on_gpus(gpus),
                      Distributed(carrier=carrier, gpus=gpus).in_order([1, 0]),
                      Distributed(carrier=carrier, gpus=gpus).divided(1)):
        seen.clear()
        carrier.given.clear()
        beside = transport.rank
        transport.swap(beside, beside, numbers, numbers + 1)
        if gpus:
            assert not carrier.given and {group for _, _, group in seen} == {"nccl"}
            assert {peer for _, peer, _ in seen} == {transport.order[beside]}
            assert all(type(tensor) is OnGpu for tensor, _, _ in seen)
        else:
            assert not seen and all(type(one) is torch.Tensor for one in carrier.given[0][2:])
        transport.swap(beside, beside, torch.ones(1), torch.zeros(1))
        assert len(carrier.given) == (1 if gpus else 2)  # main memory goes by the carrier


def test_a_largest_number_comes_home():
    found = []
    world = SimpleNamespace(transport=SimpleNamespace(largest=found.append))
    numbers = torch.tensor([1.0, torch.nan]).as_subclass(OnGpu)
    largest = Neighbours(world, Grid((1, 1, 1, 2)), world).largest(numbers)
    assert type(found[0]) is torch.Tensor
    assert largest[0] == 1 and largest[1].isnan()


class Alone:
    """A transport of one process."""

    rank, size = 0, 1

    def from_first(self, value):
        return value

    def of_all(self, value):
        return [value]


@pytest.fixture
def connected(monkeypatch):
    """GPUs that are there; what is done once they are connected."""
    done = []
    monkeypatch.setattr(steps, "own_device", torch.device)
    monkeypatch.setattr(steps, "kind_of", lambda device: f"a make of {device}")
    monkeypatch.setattr(torch, "zeros", lambda count, device: ("zeros", count, device))
    monkeypatch.setattr(steps, "connected", lambda device: SimpleNamespace(
        gpus="nccl", note="a longer way", add_up=done.append))
    return done


def test_every_rank_takes_its_device_and_all_meet_before_the_first_swap(connected, two):
    world = World(Alone())
    assert steps.on_device(world, "cpu") == (world, torch.device("cpu"), "")
    placed = steps.on_device(world, "cuda:1")
    assert connected == [("zeros", 1, torch.device("cuda:1"))]
    assert placed.device == torch.device("cuda:1") and placed.note == "a longer way"
    assert placed.world is world  # processes of MPI go through main memory
    torch_world = World(Distributed())
    assert torch_world.on_gpus(None) is torch_world
    assert torch_world.on_gpus("nccl").transport.collectives.gpus == "nccl"


def test_gpus_of_two_kinds_are_refused(connected):
    transport = Alone()
    transport.of_all = lambda value: [value, value.replace("a make", "another make")
                                      if value else None]
    with pytest.raises(StreamError, match="ranks: GPU: expected a make of cuda:0 on every rank"):
        steps.on_device(World(transport), "cuda:0")
    assert not connected


def test_ranks_that_are_told_other_devices_are_refused(connected):
    """One would wait for the others to meet on GPUs."""
    transport = Alone()
    transport.of_all = lambda value: [value, "cpu"]
    with pytest.raises(StreamError, match="ranks: device: expected cuda on every rank as on rank 0"
                                          ", found cpu on rank 1"):
        steps.on_device(World(transport), "cuda")
    assert not connected


def test_one_gpu_by_number_is_for_one_process_of_a_machine(connected):
    transport = Alone()
    transport.size = 2
    transport.of_all = lambda value: [value, value]
    with pytest.raises(ConfigError, match="expected the device cuda, found cuda:1: each process"):
        steps.on_device(World(transport), "cuda:1")
    transport.of_all = lambda value: [value, "elsewhere" if value == platform.node() else value]
    assert steps.on_device(World(transport), "cuda:1").device == torch.device("cuda:1")
    several, alone = World(transport), World(Alone())
    again = [[steps.device_again(world, began) for began in ("cuda:1", "cuda", "cpu")]
             for world in (several, alone)]
    assert again == [["cuda", "cuda", "cpu"], ["cuda:1", "cuda", "cpu"]]


@pytest.mark.parametrize("runs", [hands.hands, together.crew])
def test_verbs_and_updates_of_hosts_run_where_they_are_told(runs, connected, monkeypatch):
    """Every process on its own GPU, and it is known why messages take a longer way."""
    for place in (hands, together):
        monkeypatch.setattr(place, "joined", lambda: nullcontext(World(Alone())))
    monkeypatch.setattr(together, "_require_kernels", lambda device: None)
    with runs("auto", "cuda:1") as those:
        assert (those.device, those.note) == (torch.device("cuda:1"), "a longer way")
    assert len(connected) == 1
    with runs("auto") as those:
        assert (those.device, those.note) == (torch.device("cpu"), "") and len(connected) == 1


def test_the_kind_of_a_gpu_is_its_make_and_capability(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    assert devices.kind_of(torch.device("cuda", 3)) == "NVIDIA H200, compute capability 9.0"
    assert devices.kind_of(torch.device("cpu")) == "cpu"


def test_without_kernels_on_the_gpu_ranks_are_refused():
    with pytest.raises(ConfigError, match="expected the compiled kernels in main memory, or on a"):
        halo(HMC(WILSON, 0.1, 1), META)


def nested(inner, in_parts=True):
    """A step around a term of a host that takes parts of a lattice, or the whole alone."""
    return Nested(inner, (Level("quarks", rectangles(None, in_parts=in_parts).terms,
                                schedule("omf2", 0.3, 1)),))


@compiled
def test_measuring_on_gpus_needs_every_kernel_there(monkeypatch):
    with pytest.raises(ConfigError, match="expected the compiled kernels in main memory, or on a"):
        together._require_kernels(META)
    together._require_kernels(torch.device("cpu"))
    monkeypatch.setattr(fast, "backend", lambda *fields: gpu)
    trusted = set(launch.TRIALS)
    monkeypatch.setattr(gpu, "trusted", lambda name, *_: name in trusted)
    together._require_kernels(META)
    for name in ("charge", "flow", "staples"):
        trusted.remove(name)
        with pytest.raises(ConfigError, match="Triton's, that agree with torch there, found none"):
            together._require_kernels(META)
        trusted.add(name)


@compiled
def test_what_serves_on_gpus_and_what_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(fast, "backend", lambda *fields: (
        gpu if fields[0].is_meta else fast.compiled_functions))
    trusted = set(launch.TRIALS)
    for place in (gpu, launch):
        monkeypatch.setattr(place, "trusted", lambda name, *_: name in trusted)
    with torch.no_grad():
        assert halo(HMC(WILSON, 0.1, 1), META) == halo(HeatBath(WILSON), META) == 1
        assert halo(HMC(IWASAKI, 0.1, 1), META) == halo(L2HMC(IWASAKI, PLAN), META) == 2
        assert halo(nested(HMC(IWASAKI, 0.1, 1)), META) == 2
        with pytest.raises(ConfigError, match="host term 'quarks': expected one that takes parts"):
            halo(nested(HMC(WILSON, 0.1, 1), in_parts=False), META)
        networks = L2HMC(WILSON, PLAN, KickNetwork(3), DriftNetwork(2))
        wide = L2HMC(IWASAKI, PLAN, KickNetwork(3, loops=("laplacian",)), mixing=MomentumMixing())
        with pytest.raises(ConfigError, match="expected HMC, or a bundle whose networks Triton's"):
            halo(networks, META)  # nothing agrees with torch there
        with monkeypatch.context() as patched:
            patched.setattr(planar_trial, "agrees", lambda *_: True)
            assert halo(networks, META) == halo(nested(networks), META) == 2
            assert halo(wide, META) == 4
            for found in (replace(networks, transformation=FieldTransformation(1)),
                          replace(networks, drift_network=SmearedDrift(2))):
                with pytest.raises(ConfigError, match="shares a lattice in main memory alone"):
                    halo(found, META)
        for name in ("trajectory", "kinetic", "clover"):
            trusted.remove(name)
            with pytest.raises(ConfigError, match="Triton's, that agree with torch there, found"):
                halo(HMC(WILSON, 0.1, 1), META)
            trusted.add(name)


def test_terms_are_counted_where_they_are_and_totalled_in_main_memory(monkeypatch):
    """The numbers of a field on another device are not read one by one."""
    moved = []

    def cpu(tensor):
        moved.append(tuple(tensor.shape))
        return torch.zeros(tensor.shape, dtype=tensor.dtype)

    monkeypatch.setattr(torch.Tensor, "cpu", cpu)
    monkeypatch.setattr(sums, "PIECE_ON_GPU", 64)
    half = Part((6, 2, 2, 2), (0, 0, 0, 0), (3, 2, 2, 2), (1, 0, 0, 0))
    terms = torch.empty(2, 4, *half.held, 3, dtype=torch.float64, device=META)
    found = sums.exact_sum(half, terms)
    assert found.device == META and found.shape == (2,) and moved == [(2, 4, 3)]


@compiled
def test_links_of_a_part_are_projected_in_main_memory(monkeypatch):
    """Where what a matrix becomes does not depend on those beside it."""
    links = samples.random_links(extents=(2, 2, 2, 2))
    rough = links + 1e-3 * su3.identity_like(links)
    monkeypatch.setattr(torch.Tensor, "to", lambda here, device: here.as_subclass(OnGpu))
    with holding(Part((2, 2, 2, 2), (0, 0, 0, 0), (2, 2, 2, 2))):
        found = su3.project_group(rough.as_subclass(OnGpu))
    assert type(found) is OnGpu
    assert torch.equal(found.as_subclass(torch.Tensor), su3.project_group(rough))


@compiled
def test_the_heat_bath_of_a_part_asks_its_neighbours_in_main_memory(monkeypatch):
    """With the bits of the compiled kernels on the whole lattice; torch alone is refused."""
    lattice = (6, 2, 2, 4)
    links = samples.random_links(extents=lattice)
    words = torch.tensor([[1, 2, 3, 4]])
    whole = fast.heat_bath(links, 5.7, words, 1, 1)
    for _, part, found in on_threads("1,1,1,2", lattice, 1, lambda part: (
            0, part, heatbath.heat_bath(part.taken(links), 5.7, words, 1, 1))):
        own = whole[:, :, part.origin[0]:part.origin[0] + part.extents[0]]
        assert torch.equal(part.kept(found), own)
    monkeypatch.setattr(library, "library_of", lambda dtype: None)
    half = Part(lattice, (0, 0, 0, 0), (3, 2, 2, 4), (1, 0, 0, 0))
    with holding(half), pytest.raises(ActionError, match="heat bath on a part of a lattice"):
        heatbath.heat_bath(half.taken(links), 5.7, words, 1, 1)
