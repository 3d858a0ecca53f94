"""Which process this is, as torchrun, mpirun or srun tell it in the environment."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from l2hmc_bridge.errors import ConfigError


class Starter(NamedTuple):
    """Who starts processes, and where it tells rank, number of processes and those on a machine."""

    name: str
    rank: str
    size: str
    local: str


# The first that is there counts: torchrun and mpirun may themselves have been started by srun.
STARTERS = (
    Starter("torchrun", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    Starter("mpirun (Open MPI)", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
            "OMPI_COMM_WORLD_LOCAL_SIZE"),
    Starter("mpirun (MPICH)", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"),
    Starter("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS_PER_NODE"),
    Starter("srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"),
)
JOBS = (("PMIX_NAMESPACE",), ("OMPI_MCA_ess_base_jobid",), ("PMI_JOBID",),
        ("SLURM_JOB_ID", "SLURM_STEP_ID"))  # of a job several steps may run side by side
PMIX = "PMIX_SERVER_URI"  # where an MPI library asks its launcher; the older ones below
SERVERS = (PMIX, "PMI_FD", "PMI_PORT")
NODES = ("SLURM_STEP_NODELIST", "SLURM_NODELIST", "SLURM_JOB_NODELIST")
FIRST_PORT, PORTS = 20000, 12000  # below those that systems give to outgoing connections


class Launch(NamedTuple):
    """This process, how many there are, where they meet, and if an MPI finds who started them."""

    rank: int
    size: int
    address: str
    port: int
    mpi: bool


def launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """What the environment tells. Raises ConfigError where nothing was started in parallel.

    Ranks meet at MASTER_ADDR and MASTER_PORT; without them on this machine, if all are here, or
    on the first of srun's, at a port made of the number of the job.
    """
    starter = _starter(environment)
    if starter is None:
        names = ", ".join(dict.fromkeys(one.name for one in STARTERS))
        raise ConfigError("ranks: expected several processes, found one (start them with "
                          f"{names}: torchrun --nproc-per-node N -m l2hmc_bridge.cli ...)")
    rank, size = _whole(environment, starter.rank), _whole(environment, starter.size)
    if not rank < size:
        raise ConfigError(f"{starter.rank}: expected a rank below {starter.size}, {size}, found "
                          f"{rank}")
    if starter.name == "srun":
        _refuse_batch(environment)
    return Launch(rank, size, _address(environment, size, environment.get(starter.local, "")),
                  _port(environment), starter.name != "torchrun" and answers(SERVERS, environment))


def answers(servers: str | tuple[str, ...], environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment tells where a launcher answers: a name that begins so."""
    return any(name.startswith(servers) for name in environment)


def is_beside(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a process of several, and not the first: what it has to say, that one says.
    """
    starter = _starter(environment)
    return starter is not None and environment[starter.rank] not in ("", "0")


def _starter(environment: Mapping[str, str]) -> Starter | None:
    return next((one for one in STARTERS if one.rank in environment and one.size in environment),
                None)


def _refuse_batch(environment: Mapping[str, str]) -> None:
    """Raise ConfigError for the script of a job, which sees the numbers of tasks that nobody runs.
    """
    if environment.get("ENVIRONMENT") == "BATCH" and "SLURM_STEP_ID" not in environment:
        raise ConfigError("ranks: expected a process that srun started, found the script of the "
                          "job (begin the command with srun)")


def _whole(environment: Mapping[str, str], name: str) -> int:
    text = environment[name]
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{name}: expected a whole number, found {text[:40]!r}")
    return int(text)


def _address(environment: Mapping[str, str], count: int, local: str) -> str:
    if "MASTER_ADDR" in environment:
        return environment["MASTER_ADDR"]
    nodes = environment.get("SLURM_STEP_NUM_NODES") or environment.get("SLURM_NNODES")
    if local == str(count) or nodes == "1":
        return "127.0.0.1"
    listed = next((environment[name] for name in NODES if environment.get(name)), "")
    first = _first_node(listed) or environment.get("SLURM_LAUNCH_NODE_IPADDR", "")
    if not first:
        raise ConfigError("MASTER_ADDR: expected the machine of rank 0 in the environment, found "
                          "none")
    return first


def _first_node(listed: str) -> str:
    """Of SLURM's list of machines, "n[01-04,07],m" -> "n01"; the first one has rank 0."""
    found = re.match(r"(?:[^,\[]|\[[^\]]*\])*", listed)
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", found.group()) if found else ""


def _port(environment: Mapping[str, str]) -> int:
    if "MASTER_PORT" in environment:
        return _whole(environment, "MASTER_PORT")
    job = next((names for names in JOBS if names[0] in environment), ())
    told = "".join(environment.get(name, "") for name in job)
    digits = "".join(letter for letter in told if letter.isascii() and letter.isdigit())
    return FIRST_PORT + int(digits or 0) % PORTS
