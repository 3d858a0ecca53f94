"""Which process this is, as torchrun, mpirun or srun tell it in the environment."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from l2hmc_bridge.errors import ConfigError

# (who starts, rank, number of processes, number on this machine), the first that is there counts.
STARTERS = (
    ("torchrun", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    ("mpirun (Open MPI)", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
     "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("mpirun (MPICH)", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"),
    ("srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"),
)
JOBS = ("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "PMI_JOBID", "SLURM_JOB_ID")
FIRST_PORT, PORTS = 20000, 20000


class Launch(NamedTuple):
    """This process, how many there are, and where they meet."""

    rank: int
    size: int
    address: str
    port: int


def launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """What the environment tells. Raises ConfigError where nothing was started in parallel.

    Ranks meet at MASTER_ADDR and MASTER_PORT; without them on this machine, if all are here, or
    where srun began, at a port made of the number of the job.
    """
    for _, rank, size, local in STARTERS:
        if rank in environment and size in environment:
            count = _whole(environment, size)
            return Launch(_whole(environment, rank), count,
                          _address(environment, count, environment.get(local, "")),
                          _port(environment))
    names = ", ".join(name for name, *_ in STARTERS)
    raise ConfigError("ranks: expected several processes, found one (start them with "
                      f"{names}: torchrun --nproc-per-node N -m l2hmc_bridge.cli ...)")


def is_beside(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a process of several, and not the first: what it has to say, that one says.
    """
    return any(environment.get(rank, "0") not in ("", "0") for _, rank, _, _ in STARTERS)


def _whole(environment: Mapping[str, str], name: str) -> int:
    text = environment[name]
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{name}: expected a whole number, found {text[:40]!r}")
    return int(text)


def _address(environment: Mapping[str, str], count: int, local: str) -> str:
    if "MASTER_ADDR" in environment:
        return environment["MASTER_ADDR"]
    if local == str(count) or environment.get("SLURM_NNODES") == "1":
        return "127.0.0.1"
    if "SLURM_LAUNCH_NODE_IPADDR" in environment:
        return environment["SLURM_LAUNCH_NODE_IPADDR"]
    raise ConfigError("MASTER_ADDR: expected the machine of rank 0 in the environment, found none")


def _port(environment: Mapping[str, str]) -> int:
    if "MASTER_PORT" in environment:
        return _whole(environment, "MASTER_PORT")
    job = next((environment[name] for name in JOBS if name in environment), "")
    digits = "".join(letter for letter in job if letter.isdigit())
    return FIRST_PORT + int(digits or 0) % PORTS
