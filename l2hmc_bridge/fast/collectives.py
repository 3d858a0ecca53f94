"""Sums and messages among processes, by who can carry a tensor.

Tensors in main memory go by gloo, as all that controls a run does. Those on GPUs go by nccl if
every process has a GPU of its own; nccl refuses two on one: there they go by gloo through main
memory.
"""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

DOWN, UP = 1, 2  # tags of messages


class Place(NamedTuple):
    """Where the tensors of a process are."""

    machine: str
    gpu: str  # which one; "" for main memory


@dataclass(frozen=True)
class Collectives:
    """What processes do together; `gpus` is their nccl group, None where there is none.

    control: their gloo group, None for all processes. Numbers of processes are those among all.
    """

    gpus: "dist.ProcessGroup | None" = None
    note: str = ""  # why tensors on GPUs take the longer way, to be said once
    control: "dist.ProcessGroup | None" = None

    def add_up(self, tensor: Tensor) -> None:
        """Replace it by the sum over processes."""
        self._carry(tensor, lambda one, group: dist.all_reduce(one, group=group))

    def take_largest(self, tensor: Tensor) -> None:
        """Replace it by the largest over processes, element by element."""
        self._carry(tensor, lambda one, group: dist.all_reduce(one, dist.ReduceOp.MAX, group))

    def gathered(self, tensor: Tensor) -> list[Tensor]:
        """Those of all processes, of one shape, in the order of the ranks."""
        carried, group = self._carried(tensor.contiguous())
        parts = [torch.empty_like(carried) for _ in range(dist.get_world_size(group))]
        dist.all_gather(parts, carried, group=group)
        return [home(one, tensor) for one in parts]

    def swapped(self, down: Tensor, up: Tensor, lower: int, upper: int) -> tuple[Tensor, Tensor]:
        """(what `lower` sends up, what `upper` sends down) of processes that all swap alike."""
        (first, group), (second, _) = (self._carried(one.contiguous()) for one in (down, up))
        below, above = torch.empty_like(second), torch.empty_like(first)
        # gloo goes by tags; nccl by the order between two processes, which may be neighbours twice.
        for one in dist.batch_isend_irecv([
                dist.P2POp(dist.isend, first, lower, group, DOWN),
                dist.P2POp(dist.isend, second, upper, group, UP),
                dist.P2POp(dist.irecv, above, upper, group, DOWN),
                dist.P2POp(dist.irecv, below, lower, group, UP)]):
            one.wait()
        return home(below, up), home(above, down)

    def direct(self, tensor: Tensor) -> bool:
        """Whether it goes from GPU to GPU."""
        return tensor.device.type != "cpu" and self.gpus is not None

    def _carry(self, tensor: Tensor,
               how: "Callable[[Tensor, dist.ProcessGroup | None], object]") -> None:
        carried, group = self._carried(tensor)
        how(carried, group)
        if carried is not tensor:
            tensor.copy_(carried)

    def _carried(self, tensor: Tensor) -> "tuple[Tensor, dist.ProcessGroup | None]":
        """The tensor that travels, and the group that carries it."""
        if self.direct(tensor):
            return tensor, self.gpus
        return tensor.cpu(), self.control  # itself, if it is in main memory


def home(found: Tensor, like: Tensor) -> Tensor:
    """What came, where `like` is."""
    return found if found.device == like.device else torch.empty_like(like).copy_(found)


def place_of(device: torch.device) -> Place:
    """That of this process, whose tensors are on `device`."""
    if device.type == "cpu":
        return Place(platform.node(), "")
    try:
        known = str(torch.cuda.get_device_properties(device).uuid)
    except AttributeError:  # torch before 2.5 does not tell
        known = f"number {device.index or 0} of {os.environ.get('CUDA_VISIBLE_DEVICES', 'all')}"
    return Place(platform.node(), known)


def obstacle(places: Sequence[Place]) -> str | None:
    """What keeps nccl from carrying tensors on GPUs at these places, or None."""
    if not all(place.gpu for place in places):
        return "not every process has a GPU"
    if len(set(places)) < len(places):
        machine, gpu = next(place for place in places if places.count(place) > 1)
        return f"several processes share a GPU ({gpu} of {machine})"
    return None if dist.is_nccl_available() else "torch was built without nccl"


def connected(device: torch.device) -> Collectives:
    """The collectives of the processes of the group of control, each with its `device`.

    To be called by all of them.
    """
    places: list[Place] = [place_of(device)] * dist.get_world_size()
    dist.all_gather_object(places, places[dist.get_rank()])
    if not any(place.gpu for place in places):
        return Collectives()
    wrong = obstacle(places)
    if wrong is None:
        torch.cuda.set_device(device)  # nccl takes the current one
        return Collectives(dist.new_group(backend="nccl"))
    return Collectives(None, f"{wrong}: what they exchange goes through main memory (gloo), not "
                             "from GPU to GPU (nccl)")
