"""Streams on several ranks: the bits of one rank, on any grid; refusals, deaths, signals."""

import json
import os
import signal
import time

import pytest

import l2hmc_bridge as lb
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast.cpu import library
from tests.support import ranks
from tests.support.places import ROOT
from tests.support.ranks_worker import learned, smearing
from tests.support.streams import contents, differences

pytestmark = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
START = ROOT / "examples" / "data" / "milc_l4x6x8x10_b6.0.ildg"
HOW = {"seed": 1, "tune": 2, "save_every": 2, "check_reversibility": 2, "threads": 1}


def sample(grid, out, *words, kernel="hmc", size=None):
    size = size or ranks.processes(grid)
    given = [word for name, value in HOW.items()
             for word in (f"--{name.replace('_', '-')}", value)]
    return ranks.command(size, "sample", "--ranks", grid, "--in", START, "--out", out,
                         "--kernel", kernel, *given, *words)


def on_one(out, count, **how):
    return lb.begin_stream(lb.SampleOptions(out=out, trajectories=count,
                                            **{"inputs": START, **HOW, **how}))


def goes_on(folder, count, grid, one):
    """A stream resumed by two processes on another grid is `one`, resumed by this process."""
    told = ranks.command(2, "sample", "--in", folder, "--resume", "-n", count, "--ranks", grid)
    assert [status for status, *_ in told] == [0, 0], told
    lb.resume_stream(one, count)
    assert same(one, folder)


def same(one, other):
    found = [contents(folder) for folder in (one, other)]
    rows = [[{name: value for name, value in json.loads(line.partition(" ")[2]).items()
              if name != "seconds"} for line in (folder / "log.jsonl").read_text().splitlines()]
            for folder in (one, other)]
    return differences(*found) == [] and rows[0] == rows[1]


@pytest.mark.slow
def test_a_stream_has_the_bits_of_one_rank_and_goes_on_on_another_grid(tmp_path):
    told = sample("1,1,1,2", tmp_path / "two", "-n", 2, "--chains", 2)
    assert [status for status, *_ in told] == [0, 0], told
    assert "2 of 2" in told[0][1] and told[1][1:] == ("", "")  # rank 0 alone speaks
    on_one(tmp_path / "one", 2, kernel="hmc", chains=2)
    assert same(tmp_path / "one", tmp_path / "two")
    goes_on(tmp_path / "two", 2, "1,1,2,1", tmp_path / "one")


@pytest.mark.slow
def test_each_chain_on_ranks_of_its_own_and_resumed_otherwise(tmp_path):
    """Two files, two chains, four processes; then a process for each chain; then one for all."""
    before = on_one(tmp_path / "before", 1, kernel="hmc").folder / "cfg_1.ildg"
    told = sample("1,1,1,2", tmp_path / "four", "-n", 2, "--in", before, size=4)
    assert [status for status, *_ in told] == [0] * 4, told
    assert all(one[1:] == ("", "") for one in told[1:])
    on_one(tmp_path / "one", 2, kernel="hmc", inputs=[START, before])
    assert same(tmp_path / "one", tmp_path / "four")
    goes_on(tmp_path / "four", 2, "1,1,1,1", tmp_path / "one")
    lb.resume_stream(tmp_path / "four", 1)
    lb.resume_stream(tmp_path / "one", 1)
    assert same(tmp_path / "one", tmp_path / "four")


@pytest.mark.slow
def test_the_bundle_that_ships_on_four_ranks(tmp_path):
    told = sample("1,2,1,2", tmp_path / "four", "-n", 2, kernel="l2hmc")
    assert [status for status, *_ in told] == [0] * 4, told
    on_one(tmp_path / "one", 2)
    assert same(tmp_path / "one", tmp_path / "four")


@pytest.mark.slow
def test_a_bundle_with_a_field_transformation_goes_on_on_another_grid(tmp_path):
    path = tmp_path / "smeared.safetensors"
    bundle.save(path, learned(loops=("square",), transformation=smearing()),
                {"purpose": "test"}, (5.5, 6.5))
    told = sample("1,1,1,2", tmp_path / "two", "-n", 2, "--bundle", path, "--ungated",
                  kernel="l2hmc")
    assert [status for status, *_ in told] == [0, 0], told
    on_one(tmp_path / "one", 2, bundle=path, kernel="l2hmc", ungated=True)
    assert same(tmp_path / "one", tmp_path / "two")
    goes_on(tmp_path / "two", 1, "1,2,1,1", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("grid", ["1,1,1,2", "2,1,1,1", "1,1,1,1"])
def test_a_hot_start_thermalised_and_sampled_by_the_heat_bath(grid, tmp_path):
    """Extents of 6 and 10 sites have three colours; the flow is measured on the way.

    On the last grid each process has a chain.
    """
    lattice, seed = (6, 4, 4, 10), 5
    flow = {"flow_time": 0.1, "flow_step": 0.05}
    words = [word for name, value in flow.items()
             for word in (f"--{name.replace('_', '-')}", value)]
    told = ranks.command(2, "sample", "--start", "hot", "--lattice", ",".join(map(str, lattice)),
                         "--beta", 5.8, "--kernel", "heatbath", "--thermalise", 3, "-n", 3,
                         "--seed", seed, "--chains", 2, "--ranks", grid, "--out", tmp_path / "two",
                         "--measure", "flow", *words)
    assert [status for status, *_ in told] == [0, 0], told
    lb.begin_stream(lb.SampleOptions(
        start="hot", lattice=lattice, beta=5.8, kernel="heatbath", thermalise=3, trajectories=3,
        seed=seed, chains=2, out=tmp_path / "one", measure=("flow",), threads=1, **flow))
    assert same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize(("words", "message"), [
    (("--ranks", "1,1,1,4"), "expected a grid of 2 ranks, as many as there are processes, found"),
    (("--ranks", "1,1,1,1", "--chains", 3), "expected 1 or 3 processes (1,1,1,1 for each of equal"),
    (("--ranks", "1,1,2,1", "--in", "nowhere.ildg"), "nowhere.ildg: expected a file, found none"),
    (("--ranks", "1,2,1,1", "--bundle", "nowhere.safetensors", "--kernel", "l2hmc"), "nowhere"),
])
def test_one_line_of_rank_0_and_status_1_everywhere(words, message, tmp_path):
    given = [] if "--in" in words else ["--in", START]
    told = ranks.command(2, "sample", *given, "--out", tmp_path / "s", "-n", 1, *words)
    assert [status for status, *_ in told] == [1, 1]
    assert message in told[0][2] and told[0][2].count("\n") == 1 and told[1][1:] == ("", "")
    assert not (tmp_path / "s").exists()


def test_without_other_processes_ranks_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected several processes, found one"):
        lb.begin_stream(lb.SampleOptions(inputs=START, out=tmp_path / "s", trajectories=1),
                        ranks="1,1,1,2")


@pytest.mark.slow
@pytest.mark.parametrize(("grid", "of"), [("1,1,1,2", ()), ("1,1,1,2", (1,)), ("1,1,1,1", (1,))])
def test_a_full_disk_ends_all_with_one_line(grid, of, tmp_path):
    """Of all ranks, of one that is not the first, and of one with a chain of its own."""
    processes = ranks.start(2, "cli", "sample", "--ranks", grid, "--in", START, "--out",
                            tmp_path / "s", "-n", 1, "--kernel", "hmc", "--tune", 0, "--chains", 2,
                            room=1 << 20, of=of)
    told = ranks.ended(processes)
    assert [status for status, *_ in told] == [1, 1]
    lines = told[0][2].splitlines()
    assert "could not be written" in lines[-1] and sum("could not" in one for one in lines) == 1
    assert told[1][1:] == ("", "") and not (tmp_path / "s").exists()


def under_way(out, *words):
    """Processes of a long stream, once some of it is there."""
    processes = ranks.start(2, "cli", "sample", "--in", START, "--out", out, "--kernel", "hmc",
                            "--seed", 1, "--tune", 0, "-n", 100000, *words)
    end = time.monotonic() + 180
    while not (out / "log.jsonl").exists() or (out / "log.jsonl").stat().st_size < 2000:
        assert time.monotonic() < end and all(one.poll() is None for one in processes)
        time.sleep(0.05)
    return processes


@pytest.mark.slow
@pytest.mark.parametrize("grid", ["1,1,1,2", "1,1,1,1"])
def test_a_rank_that_dies_ends_all_and_the_stream_goes_on(grid, tmp_path):
    """One that shares the lattices of both chains, and one with a chain of its own."""
    processes = under_way(tmp_path / "s", "--ranks", grid, "--chains", 2)
    processes[1].kill()
    began = time.monotonic()
    told = ranks.ended(processes, 30)
    assert time.monotonic() - began < 25  # a second, where nothing else runs
    assert told[0][0] == 1 and "a process of this run ended, so all do" in told[0][2]
    assert "Traceback" not in told[0][2]
    done = lb.resume_stream(tmp_path / "s", 1)
    on_one(tmp_path / "one", done.trajectories, kernel="hmc", tune=0, save_every=None,
           check_reversibility=0, chains=2)
    assert same(tmp_path / "one", tmp_path / "s")


@pytest.mark.slow
def test_a_signal_to_one_rank_ends_all_with_everything_saved(tmp_path):
    processes = under_way(tmp_path / "s", "--ranks", "1,1,1,2")
    os.kill(processes[1].pid, signal.SIGTERM)
    told = ranks.ended(processes, 30)
    assert [status for status, *_ in told] == [0, 0]
    assert "stopped on SIGTERM" in told[0][2] and told[1][1:] == ("", "")
    assert lb.resume_stream(tmp_path / "s", 1).stopped is None
