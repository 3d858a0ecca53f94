"""The check on a GPU: says so where there is none; what is measured, written and concluded."""

import json
import math
import os
import subprocess
import sys
import time

import pytest
import torch

from benchmarks.kernels import gpu_check, gpu_targets
from l2hmc_bridge.fast.cpu import library
from tests.support.places import ROOT


@pytest.fixture
def report(tmp_path):
    return gpu_check.Report(tmp_path / "g.json", time.monotonic() + 240, {"gpu": "x", "torch": "y"})


@pytest.fixture
def place():
    return gpu_targets.Place(torch.device("cpu"), 0.0, 1, tried=True)


def target(measure, bound=2.0, wanted="at most"):
    return gpu_targets.Target("a", (2, 2, 2, 2), "double", wanted, bound, "s", measure)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_script_ends_with_one_line_where_there_is_no_gpu():
    done = subprocess.run([ROOT / "benchmarks" / "gpu_check.sh"], capture_output=True, text=True,
                          env=os.environ | {"PYTHON": sys.executable}, timeout=120)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("gpu_check: expected an NVIDIA GPU") and "found none" in line


def test_the_targets_are_those_that_are_wanted(place):
    found = list(gpu_targets.targets())
    assert len({(one.name, one.lattice, one.precision) for one in found}) == len(found) == 25
    bounds = {one.name: one.bound for one in found if one.lattice == (32, 32, 32, 32)
              and one.precision == "double" and one.unit == "ns per site"}
    assert bounds == {"force": 1.0, "exp(P) U": 0.6, "force, rectangles": 4.0, "clover E, Q": 1.3,
                      "flow step": 4.0, "trajectory of 20 forces": 30.0}
    assert len(gpu_targets.TWENTY.drifts) == 20 and len(gpu_targets.THIRTY.drifts) == 30


@pytest.mark.parametrize("name", sorted({one.name for one in gpu_targets.targets()} - {
    "sample, five trajectories, cold start", "everything"}))
def test_every_number_can_be_measured(name, place):
    one = next(one for one in gpu_targets.targets() if one.name == name)
    row = gpu_check.measured(one, place, 1.0)
    assert row["verdict"] in (gpu_check.REACHED, gpu_check.SHORT) and row["found"] >= 0


def test_what_is_measured_is_written_and_what_falls_short_is_named(report, place, capsys):
    wanted = [target(lambda _: 1.0), target(lambda _: 3.0), target(lambda _: 1 / 0),
              target(lambda _: 3.0, wanted="at least"), target(lambda _: math.nan)]
    gpu_check.measure_all(report, place, wanted)
    verdicts = [row["verdict"] for row in json.loads(report.path.read_text())["targets"]]
    assert verdicts[:2] == ["reached", "falls short"] and verdicts[3:] == ["reached", "falls short"]
    assert verdicts[2] == "failed: ZeroDivisionError: division by zero"
    assert "| a | 2x2x2x2 | double | at most 2 | 3 | s | falls short |" in (
        report.path.with_suffix(".md").read_text())
    assert gpu_check.conclude(report) == 2
    said = capsys.readouterr().out
    assert "2 of 5 targets reached" in said and said.count("\n  ") == 3


@pytest.mark.slow
@pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
def test_two_processes_are_compared_with_one(report, capsys):
    """Rehearsed in main memory, where the compiled kernels serve."""
    gpu_check.run_ranks(report, "--device", "cpu", "--lattice", "12,2,2,2")
    assert report.ranks.startswith("the same bits (wilson on 12,2,2,2: "), report.ranks
    assert json.loads(report.path.read_text())["ranks"] == report.ranks
    assert f"two processes: {report.ranks}" in capsys.readouterr().out
    assert gpu_check.conclude(report) == 0
    gpu_check.run_ranks(report, "--device", "cpu", "--lattice", "3,2,2,2")
    assert "FAILED: expected 5 comparisons, found 0" in report.ranks
    assert gpu_check.conclude(report) == 2


def test_other_bits_are_named():
    row = {"lattice": "4,4,4,4", "differs": [], "ranks": 0.01, "one": 0.02, "sent": 5e6}
    rows = [{**row, "action": name}
            for name in ("wilson", "iwasaki", "nested", "networks", "measure")]
    rows[1]["differs"] = ["dH", "links"]
    said = gpu_check.said_of_ranks("a warning\n" + "\n".join(map(json.dumps, rows)), "")
    assert said == "FAILED: other bits than one process (iwasaki: dH, links)"
    rows[1]["differs"] = []
    said = gpu_check.said_of_ranks("\n".join(map(json.dumps, rows)), "")
    assert said.startswith("the same bits (wilson on 4,4,4,4: 10.0 ms, one process 20.0 ms, 5.0 MB")


def test_all_reached_and_no_time_left(report, place):
    gpu_check.measure_all(report, place, [target(lambda _: 1.0)])
    assert gpu_check.conclude(report) == 0
    report.tests = "FAILED: 1 failed"
    assert gpu_check.conclude(report) == 2
    report.tests, report.until = "3 passed", time.monotonic() - 1
    gpu_check.measure_all(report, place, [target(lambda _: 1.0)])
    assert report.rows[-1]["verdict"] == "not measured: no time left"
    assert gpu_check.conclude(report) == 2


def test_a_rehearsal_from_the_command_line(tmp_path, capsys):
    path = tmp_path / "r.json"
    assert gpu_check.main(["--rehearse", "--only", "clover", "--json", str(path)]) == 2
    assert len(json.loads(path.read_text())["targets"]) == 2
    assert "falls short: clover E, Q, 16x16x16x16" in capsys.readouterr().out
