"""Who carries tensors among processes, which GPU a process takes: by stand-ins, without a GPU."""

from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
import torch.distributed as dist

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast import collectives, devices
from l2hmc_bridge.fast.collectives import Collectives, Place, connected, obstacle, place_of

GPUS = [Place("one", "a"), Place("one", "b"), Place("other", "a")]
SHARED = [Place("one", "a"), Place("one", "b"), Place("one", "a")]


class OnGpu(torch.Tensor):
    """Numbers of which the code cannot know that they lie in main memory."""

    device = torch.device("cuda", 0)

    def cpu(self):
        return self.as_subclass(torch.Tensor).clone()


class Message(NamedTuple):
    op: object
    tensor: torch.Tensor
    peer: int
    group: object
    tag: int


@pytest.fixture
def carried(monkeypatch):
    """What a fake torch.distributed of two processes, this one twice, was given to carry."""
    seen = []

    def reduce(tensor, op=dist.ReduceOp.SUM, group=None):
        seen.append((tensor, group))
        tensor.mul_(2 if op == dist.ReduceOp.SUM else 1)

    def gather(parts, tensor, group=None):
        seen.append((tensor, group))
        for part in parts:
            part.copy_(tensor)

    def batch(messages):
        seen.extend((one.tensor, one.group) for one in messages)
        sent = [one for one in messages if one.op is dist.isend]
        for one in messages:
            if one.op is dist.irecv:
                other, = (sender for sender in sent if sender.tag == one.tag)
                one.tensor.copy_(other.tensor)
        return []

    for name, fake in (("all_reduce", reduce), ("all_gather", gather), ("P2POp", Message),
                       ("batch_isend_irecv", batch), ("get_world_size", lambda group=None: 2)):
        monkeypatch.setattr(dist, name, fake)
    return seen


@pytest.mark.parametrize("group", [None, "nccl"])
def test_tensors_on_gpus_go_by_nccl_or_through_main_memory(group, carried):
    together, numbers = Collectives(group), torch.arange(6.0).as_subclass(OnGpu)
    together.add_up(numbers)
    together.take_largest(numbers)
    assert numbers.tolist() == [0, 2, 4, 6, 8, 10]
    found = [*together.gathered(numbers), *together.swapped(numbers, numbers + 1, 1, 1)]
    assert all(type(one) is OnGpu for one in found)
    assert [one.tolist()[1] for one in found] == [2, 2, 3, 2]  # below: what was sent up
    for tensor, by in carried:
        assert (type(tensor) is OnGpu) == (group is not None) and by == group


def test_tensors_in_main_memory_go_by_gloo_whatever_gpus_do(carried):
    together, flag = Collectives("nccl", control="some"), torch.ones(3)
    together.add_up(flag)
    assert flag.tolist() == [2, 2, 2] and carried == [(flag, "some")]


def test_messages_between_twice_neighbours_are_in_one_order(monkeypatch):
    """nccl knows no tags: the first that is sent to a process is the first it receives."""
    seen = []
    monkeypatch.setattr(dist, "P2POp", Message)
    monkeypatch.setattr(dist, "batch_isend_irecv", lambda messages: seen.extend(messages) or [])
    Collectives().swapped(torch.zeros(2), torch.zeros(3), 1, 1)
    sent, received = ([(one.tag, len(one.tensor)) for one in seen if one.op is op]
                      for op in (dist.isend, dist.irecv))
    assert sent == received == [(collectives.DOWN, 2), (collectives.UP, 3)]


def test_what_keeps_nccl_away(monkeypatch):
    monkeypatch.setattr(dist, "is_nccl_available", lambda: True)
    assert obstacle(GPUS) is None
    assert "share a GPU (a of one)" in obstacle(SHARED)
    assert "not every process has a GPU" in obstacle([*GPUS, Place("one", "")])
    monkeypatch.setattr(dist, "is_nccl_available", lambda: False)
    assert "without nccl" in obstacle(GPUS)


@pytest.mark.parametrize(("places", "group", "note"), [
    (GPUS, "nccl", ""), (SHARED, None, "share a GPU"), ([Place("one", "")] * 3, None, "")])
def test_the_group_for_gpus_is_made_if_they_are_of_one_process_each(places, group, note,
                                                                    monkeypatch):
    chosen = []

    def told(found, mine):
        assert mine == places[1]
        found[:] = places

    for name, fake in (("get_world_size", lambda: 3), ("get_rank", lambda: 1),
                       ("all_gather_object", told), ("is_nccl_available", lambda: True),
                       ("new_group", lambda backend: backend)):
        monkeypatch.setattr(dist, name, fake)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(collectives, "place_of", lambda device: places[1])
    made = connected(torch.device("cuda", 1))
    assert made.gpus == group and note in made.note and bool(note) == bool(made.note)
    assert chosen == ([torch.device("cuda", 1)] if group else [])


def test_a_gpu_is_known_by_its_number_of_make(monkeypatch):
    known = SimpleNamespace(uuid="4f1c")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: known)
    assert place_of(torch.device("cuda", 1)).gpu == "4f1c"
    del known.uuid
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert place_of(torch.device("cuda", 1)).gpu == "number 1 of 2,3"
    assert place_of(torch.device("cpu")).gpu == ""


def test_each_process_takes_the_gpu_of_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(devices, "device_of", torch.device)

    def taken(name, **told):
        return str(devices.own_device(name, {key: str(value) for key, value in told.items()}))

    assert [taken("cuda", LOCAL_RANK=n) for n in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert taken("cuda", OMPI_COMM_WORLD_LOCAL_RANK=1, RANK=7) == "cuda:1"
    assert taken("cuda", SLURM_LOCALID=1) == "cuda:1"
    assert taken("cuda:1", LOCAL_RANK=0) == "cuda:1" and taken("cpu", LOCAL_RANK=1) == "cpu"
    assert taken("cuda") == "cuda"
    with pytest.raises(ConfigError, match="LOCAL_RANK: expected a whole number, found 'x'"):
        taken("cuda", LOCAL_RANK="x")


def test_without_a_gpu_it_is_refused_as_ever(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if torch.cuda.device_count():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="--device cuda: expected a device of this machine"):
        devices.own_device("cuda", {"LOCAL_RANK": "1"})
