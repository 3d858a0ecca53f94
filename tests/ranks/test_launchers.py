"""Started by the launchers themselves, if they are installed: mpirun (Open MPI, MPICH), srun."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

import l2hmc_bridge as lb
from l2hmc_bridge.fast.cpu import library
from tests.support import mpi, ranks
from tests.support.places import ROOT
from tests.support.streams import contents, differences
from tests.support.verbs_worker import said

pytestmark = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
START = ROOT / "examples" / "data" / "milc_l4x6x8x10_b6.0.ildg"
AS_ROOT = {f"{name}_ALLOW_RUN_AS_ROOT{more}": "1" for name in ("OMPI", "PRTE")
           for more in ("", "_CONFIRM")}


def launched(launcher, *words):
    """What a command line of ours says on two ranks."""
    path = shutil.which(launcher)
    if path is None:
        pytest.skip(f"{launcher} is not installed")
    more = ["--oversubscribe"] if launcher == "mpirun" and "Open MPI" in subprocess.run(
        [path, "--version"], capture_output=True, text=True).stdout else []
    done = subprocess.run(
        [path, *more, "-n", "2", sys.executable, "-m", "cli", *map(str, words)], cwd=ROOT,
        capture_output=True, text=True, timeout=120,
        env={**os.environ, **AS_ROOT, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_processes_find_each_other_by_what_srun_tells(tmp_path):
    """The first machine of its list and the number of the job; nothing of torchrun or mpirun."""
    told = ranks.ended(ranks.start(
        2, "cli", "sample", "--in", START, "--out", tmp_path / "two", "-n", 1, "--kernel", "hmc",
        "--seed", 1, "--tune", 0, "--ranks", "1,1,1,2", told=ranks.of_srun))
    assert [status for status, *_ in told] == [0, 0], told
    assert "1 of 1" in told[0][1] and told[1][1:] == ("", "")
    lb.begin_stream(lb.SampleOptions(inputs=START, out=tmp_path / "one", trajectories=1,
                                     kernel="hmc", seed=1, tune=0))
    assert differences(contents(tmp_path / "one"), contents(tmp_path / "two")) == []


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("0.0.0.0", port := ranks.free_ports())):
        told = ranks.environment(0, 2, port)
        done = subprocess.run(
            [sys.executable, "-m", "cli", "info", START, "--ranks", "auto"], cwd=ROOT, text=True,
            capture_output=True, timeout=60, env=told)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "l2hmc-bridge: MASTER_PORT: expected a port of this machine where nobody listens, found "
        f"{port} taken (set it to another)\n")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["mpirun", "mpiexec", "srun"])
def test_a_launcher_starts_ranks_that_find_each_other(launcher, tmp_path):
    said_there = launched(launcher, "measure", START, "--json", "--ranks", "auto")
    assert json.loads(said_there) == json.loads(said(["measure", str(START), "--json"])[1])
    how = ["--in", START, "-n", 1, "--kernel", "hmc", "--seed", 1, "--tune", 0]
    launched(launcher, "sample", *how, "--out", tmp_path / "two", "--ranks", "1,1,1,2")
    lb.begin_stream(lb.SampleOptions(inputs=START, out=tmp_path / "one", trajectories=1,
                                     kernel="hmc", seed=1, tune=0))
    assert differences(contents(tmp_path / "one"), contents(tmp_path / "two")) == []


@pytest.mark.slow
def test_a_rank_without_mpi4py_leaves_all_to_gloo():
    done = mpi.command(2, "tests.support.carrier_worker", "lacks")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        f"rank {rank}: without MPI [True, True], right True" for rank in (0, 1)]


@pytest.mark.slow
def test_a_rank_that_fails_by_itself_under_mpirun_ends_all():
    began = time.monotonic()
    done = mpi.command(2, "tests.support.carrier_worker", "raises")
    assert done.returncode != 0 and time.monotonic() - began < 60
    assert "an error: ranks: a process of this run ended" in done.stdout
    assert "out of memory, say" in done.stdout and "right" not in done.stdout
