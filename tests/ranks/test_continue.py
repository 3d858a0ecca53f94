"""`sample --continue` on several ranks: a host's next configuration, byte for byte that of one."""

import json
import os
import shutil
import time

import pytest

from l2hmc_bridge.adapters.records import host_log
from l2hmc_bridge.fast.cpu import library
from tests.support import ranks
from tests.support.hosts import HOSTS, leave
from tests.support.verbs_worker import said

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")]
HOW = ("--kernel", "hmc", "--beta", 5.7, "--steps", 2, "--tune", 2, "--seed", 5, "--threads", 1)


def contents(folder):
    """Every file but the record, byte by byte; of the record what does not name folder or time."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()
             if path.name != host_log.NAME}
    for line in (folder / host_log.NAME).read_text().splitlines():
        entry = json.loads(line)
        rows = [{name: value for name, value in row.items() if name != "seconds"}
                for row in entry["rows"]]
        told = [entry[name] for name in ("from", "to", "seed", "kernel", "action", "factor",
                                         "lattice")]
        digests = [one["sha256"] for one in entry["files"]]
        checks = [check["ours"] for check in entry["record"]["checks"]]
        found[entry["to"]] += json.dumps([rows, told, digests, checks]).encode()
    return found


def places(folder, kind):
    """The same last configuration of a host in two folders, its header's date included."""
    first, second = (folder / f"{name} {kind}" for name in ("one", "two"))
    first.mkdir()
    left = leave(first, kind)
    shutil.copytree(first, second)
    return left, second / left.name


KINDS = ("columbia", "chroma", "openqcd")  # by slabs, with checksums at the end, through rank 0


def test_updates_on_two_grids_are_those_of_one_process(tmp_path):
    commands, alone, folders = [], [], []
    for kind in KINDS:
        host, (one, two) = HOSTS[kind], places(tmp_path, kind)
        names = [host.name.format(host.first + step) for step in (0, 1)]
        for name, grid, more in zip(names, ("1,1,1,2", "1,2,1,1"), (HOW, ("-n", 2)), strict=True):
            alone.append(said([str(w) for w in ("sample", "--continue", one.parent / name, *more)]))
            commands.append(("sample", "--continue", two.parent / name, *more, "--ranks", grid))
        folders.append((one.parent, two.parent))
    told = ranks.commands(tmp_path, commands)
    assert [status for status, *_ in told] == [status for status, *_ in alone] == [0] * 6, told
    for one, two in folders:
        assert contents(one) == contents(two)
    for (_, output, errors), (_, expected, notes) in zip(told, alone, strict=True):
        assert output.count("trajectory ") == expected.count("trajectory ")
        assert len(errors.splitlines()) == len(notes.splitlines())


def test_what_was_cut_short_is_finished_and_what_does_not_fit_refused(tmp_path):
    one, two = places(tmp_path, "gpt")
    assert said([str(word) for word in ("sample", "--continue", one, *HOW)])[0] == 0
    shutil.copytree(one.parent, two.parent, dirs_exist_ok=True)
    written = two.parent / "ckpoint_lat.100"
    entry = json.loads((two.parent / host_log.NAME).read_text())
    written.rename(two.parent / entry["files"][0]["part"])  # as if killed before it had its name
    before = sorted(os.listdir(one.parent))
    again = ("sample", "--continue", two)
    told = ranks.commands(tmp_path, [
        (*again, "--ranks", "1,1,1,2"), (*again, "--ranks", "1,1,1,2"),
        ("sample", "--continue", written, "--ranks", "1,4,1,1"),
        ("sample", "--continue", written, "--ranks", "2,1,1,1"),
        ("sample", "--continue", two.parent / "none.7", "--ranks", "auto"),
        ("sample", "--continue", written, "--ranks", "auto", "--device", "cuda:7"),
    ])
    assert [status for status, *_ in told] == [0, 1, 1, 1, 1, 1], told
    assert "the last update was cut short: finished now" in told[0][2]
    assert written.read_bytes() == (one.parent / written.name).read_bytes()
    for message, (_, output, errors) in zip(
            ("to be the last of its stream, found this", "expected a grid of 2 ranks",
             "expected parts of at least 2 sites along x, found 1", "expected a file, found none",
             "expected the device cuda, found cuda:7: each process"), told[1:], strict=True):
        assert message in errors and errors.count("\n") == 1 and output == ""
    assert sorted(os.listdir(two.parent)) == before


@pytest.mark.parametrize("killed", [0, 1])
def test_a_rank_that_dies_leaves_what_the_same_call_repeats(killed, tmp_path):
    one, two = places(tmp_path, "gpt")
    processes = ranks.start(2, "cli", "sample", "--continue", two, *HOW, "-n", 100000, "--ranks",
                            "1,1,1,2")
    end = time.monotonic() + 180
    while not (two.parent / "lock").exists():
        assert time.monotonic() < end and all(one.poll() is None for one in processes)
        time.sleep(0.05)
    time.sleep(1)
    processes[killed].kill()
    told = ranks.ended(processes, 30)
    assert told[1 - killed][0] == 1 and "Traceback" not in told[1 - killed][2]
    assert killed == 0 or "a process of this run ended, so all do" in told[0][2]
    assert not (two.parent / host_log.NAME).exists()
    for path in (one, two):
        assert said([str(word) for word in ("sample", "--continue", path, *HOW)])[0] == 0
    assert contents(one.parent) == contents(two.parent)
