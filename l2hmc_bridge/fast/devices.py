"""Which device a computation runs on, by its name."""

import os
from collections.abc import Mapping

import torch

from l2hmc_bridge.errors import ConfigError


def device_of(name: str) -> torch.device:
    """The device called `name`, "cpu" or "cuda[:N]"; ConfigError if this machine has none."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split("\n")[0].split())
        raise ConfigError(f"--device {name}: expected a device of this machine, found none: "
                          f"{reason}") from error
    return device


def kind_of(device: torch.device) -> str:
    """What decides which machine code serves there: make and capability of a GPU."""
    if device.type != "cuda":
        return device.type
    major, minor = torch.cuda.get_device_capability(device)
    return f"{torch.cuda.get_device_name(device)}, compute capability {major}.{minor}"


# The number of a process among those of its machine: torchrun, Open MPI, MPICH, srun.
LOCAL_RANKS = ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID")


def own_device(name: str, environment: Mapping[str, str] = os.environ) -> torch.device:
    """`device_of` for one of several processes: "cuda" is the GPU with its number on this machine.

    Where there are fewer GPUs they are dealt out in turn. Raises ConfigError.
    """
    told = next((environment[one] for one in LOCAL_RANKS if one in environment), None)
    if name != "cuda" or told is None or not torch.cuda.is_available():
        return device_of(name)
    if not (told.isascii() and told.isdigit()):
        raise ConfigError(f"LOCAL_RANK: expected a whole number, found {told[:40]!r}")
    return device_of(f"cuda:{int(told) % torch.cuda.device_count()}")
