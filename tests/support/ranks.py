"""Several processes on this machine that share a lattice, started as mpirun would."""

import fcntl
import itertools
import json
import math
import os
import resource
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from l2hmc_bridge.ranks.launch import FIRST_PORT, PORTS
from tests.support.places import ROOT

BLOCK = 100  # ports of one process of a suite


def _own_block():
    """The first port of a block that no other suite uses while this process has its lock."""
    for first in range(FIRST_PORT, FIRST_PORT + PORTS, BLOCK):
        path = Path(tempfile.gettempdir()) / f"l2hmc-bridge-ports-{first}.lock"
        with suppress(OSError), ExitStack() as stack:  # another process's, or another user's
            lock = os.open(path, os.O_CREAT | os.O_RDWR)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stack.pop_all()
            return first
    raise OSError(f"no free ports from {FIRST_PORT} on")


FIRST = _own_block()
GIVEN = itertools.cycle(range(FIRST, FIRST + BLOCK))


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
    """The first of `count` ports in a row that nobody listens at."""
    while True:
        row = [next(GIVEN) for _ in range(count)]
        if row[-1] - row[0] == count - 1 and all(map(_is_free, row)):
            return row[0]


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


def ended(processes, seconds=240):
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


def commands(folder, lines, size=2):
    """[(status, output, errors)] of each of these lines of words, one after the other in the same
    processes: what rank 0 says, which alone speaks.
    """
    path = folder / "commands.json"
    path.write_text(json.dumps([list(map(str, words)) for words in lines]))
    told = ended(start(size, "tests.support.verbs_worker", path, meetings=len(lines)))
    assert [status for status, *_ in told] == [0] * size, told
    first, *others = ([tuple(json.loads(line)) for line in output.splitlines()]
                      for _, output, _ in told)
    assert others == [[(status, "", "") for status, *_ in first]] * (size - 1)
    return first
