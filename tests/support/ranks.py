"""Several processes on this machine that share a lattice, started as mpirun would."""

import itertools
import math
import os
import resource
import socket
import subprocess
import sys
from contextlib import ExitStack

from l2hmc_bridge.ranks.launch import FIRST_PORT, PORTS
from tests.support.places import ROOT

# Suites side by side, and the processes of each, begin at different ones.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
GIVEN = itertools.count(WORKER * 1500 + os.getpid() % 1500)


def environment(rank, size, port):
    """What Open MPI tells a process."""
    told = {"OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_SIZE": size,
            "OMPI_COMM_WORLD_LOCAL_SIZE": size, "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    return {**os.environ, **{name: str(value) for name, value in told.items()}}


def of_srun(rank, size, port):
    """What srun tells a process of a step on this machine and others, at this port."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("OMPI_", "PMI", "SLURM", "MASTER_", "RANK", "WORLD_SIZE"))}
    told = {"SLURM_PROCID": rank, "SLURM_NTASKS": size, "SLURM_NNODES": 2, "SLURM_LOCALID": rank,
            "SLURM_NODELIST": "localhost,n[01-03]", "SLURM_JOB_ID": port - FIRST_PORT,
            "OMP_NUM_THREADS": 1}
    return {**kept, **{name: str(value) for name, value in told.items()}}


def processes(grid):
    """How many share a lattice that is cut so, "X,Y,Z,T"."""
    return math.prod(map(int, grid.split(",")))


def free_ports(count=1):
    """The first of `count` ports in a row that nobody listens at, none of them given before."""
    while True:
        first = FIRST_PORT + next(GIVEN) % PORTS
        if all(_is_free(port) for port in range(first, first + count)):
            for _ in range(count - 1):
                next(GIVEN)
            return first


def _is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def start(size, *words, room=None, of=(), told=environment, meetings=1):
    """The processes of `python -m words...`, not waited for.

    room: bytes of a file of those ranks `of`, of all by default. told: what their launcher says.
    meetings: how often they meet, each time at the next port.
    """
    port = free_ports(meetings)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    return [subprocess.Popen([sys.executable, "-m", *map(str, words)], cwd=ROOT, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             preexec_fn=limit if room and rank in (of or (rank,)) else None,
                             env=told(rank, size, port)) for rank in range(size)]


def ended(processes, seconds=90):
    """(status, output, errors) of each, once all have ended."""
    with ExitStack() as stack:
        for one in processes:
            stack.enter_context(one)  # closes its pipes and waits for it
            stack.callback(one.kill)
        told = [one.communicate(timeout=seconds) for one in processes]
    return [(one.returncode, *said) for one, said in zip(processes, told, strict=True)]


def command(size, *words):
    """The same of a command line of ours."""
    return ended(start(size, "cli", *words))
