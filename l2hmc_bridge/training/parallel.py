"""Training by several processes (torchrun), each with a part of the chains.

Random numbers are drawn for the chains of all processes, each keeps its part; gradients and means
are averaged. So one step of n processes is that of one process with all the chains, up to
rounding. Without torchrun every function is that of a single process.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as dist
from torch import Tensor

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast import collectives
from l2hmc_bridge.fast.collectives import Collectives
from l2hmc_bridge.sampling.draws import Share

_together: ContextVar[Collectives | None] = ContextVar("l2hmc_bridge_training", default=None)


def size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if size() > 1 else 0


@contextmanager
def processes(device: torch.device, say: Callable[[str], object]) -> Iterator[None]:
    """The process group of torchrun, each with its `device`; nothing outside of torchrun.

    The first process is to `say` why tensors on GPUs go the longer way, if they do.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    dist.init_process_group("gloo")
    try:
        together = collectives.connected(device)
        if together.note and rank() == 0:
            say(together.note)
        _together.set(together)
        yield
        dist.barrier()  # a process that leaves early breaks the connections of those at work
    finally:
        _together.set(None)
        dist.destroy_process_group()


def _all() -> Collectives:
    return _together.get() or Collectives()


def part(chains: int) -> slice:
    """The chains of this process; ConfigError unless all processes get equally many."""
    if chains % size():
        raise ConfigError(f"stage.chains: expected a multiple of the {size()} processes, found "
                          f"{chains}")
    count = chains // size()
    return slice(rank() * count, (rank() + 1) * count)


def share(generator: torch.Generator, chains: int) -> torch.Generator | Share:
    """What draws for `chains` chains of all processes and keeps those of this one."""
    if size() == 1:
        return generator
    mine = part(chains)
    return Share(generator, mine.start, mine.stop, chains)


def mean(value: Tensor) -> Tensor:
    """The mean over processes of a number, the gradient of this process's part of it."""
    if size() == 1:
        return value
    total = value.detach().clone()
    _all().add_up(total)
    return total / size() + (value - value.detach())


def average_gradients(parameters) -> None:
    """Replace every gradient by its mean over processes."""
    if size() == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            _all().add_up(parameter.grad)
            parameter.grad /= size()


def gathered(chains: Tensor) -> Tensor:
    """The chains of all processes, in order."""
    if size() == 1:
        return chains
    numbers = torch.view_as_real(chains) if chains.is_complex() else chains
    whole = torch.cat(_all().gathered(numbers))
    return torch.view_as_complex(whole) if chains.is_complex() else whole


def any_of(flag: bool) -> bool:
    """Whether `flag` is set in any process."""
    if size() == 1:
        return flag
    total = torch.tensor(float(flag))
    _all().add_up(total)
    return bool(total > 0)
