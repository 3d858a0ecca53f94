"""`sample --continue` killed at any moment: the same call again gives the same files, alone."""

import json
import os
import re
import shutil

import pytest

from l2hmc_bridge.adapters.records import host_log
from tests.cli.sample.test_continue import entries, go_on, names
from tests.support.hosts import HOSTS, leave

KINDS = ("grid", "chroma", "openqcd", "gpt")
CALLS = ("fsync", "replace", "link", "open", "unlink")


class Killed(BaseException):
    """What stands for kill -9: nothing of ours catches it."""


def contents(folder) -> dict:
    """All files but the record, whose lines hold times; of the record, what was done."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()
             if path.name not in (host_log.NAME, "lock")}
    return {**found, "done": sorted({entry["to"] for entry in entries(folder)})}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_before_every_call_of_the_system_that_writes(kind, tmp_path, monkeypatch):
    """Before the k-th sync, rename, link or removal, for every k: nothing to remove by hand."""
    (tmp_path / "left").mkdir()
    name = leave(tmp_path / "left", kind).name
    before = names(tmp_path / "left")
    shutil.copytree(tmp_path / "left", tmp_path / "whole")
    assert go_on(tmp_path / "whole" / name, "--seed", 5) == 0
    whole = contents(tmp_path / "whole")
    left, plain = [-1], {name: getattr(os, name) for name in CALLS}

    def dying(call):
        def counted(*arguments, **options):
            writes = call != "open" or arguments[1] & (os.O_WRONLY | os.O_RDWR)
            left[0] -= bool(writes)
            if left[0] == 0:
                raise Killed
            return plain[call](*arguments, **options)
        return counted

    for k in range(1, 80):
        folder = tmp_path / f"killed_{k}"
        shutil.copytree(tmp_path / "left", folder)
        path = folder / name
        with monkeypatch.context() as patch:
            for call in CALLS:
                patch.setattr(os, call, dying(call))
            # What tidies up in the way of an exception does not run when a process is killed.
            patch.setattr("l2hmc_bridge.storage.together.forget", lambda parts: None)
            left[0] = k
            try:
                status = go_on(path, "--seed", 5)
            except Killed:
                status = None
            left[0] = -1
        if status == 0:
            break
        assert status is None
        assert {one for one in names(folder) if not one.startswith(".")} - {"lock"} >= before
        noted = (folder / host_log.NAME).exists()
        complete = noted and contents(folder) == whole  # killed with nothing left to do
        assert go_on(path, "--seed", 5) == int(complete)
        assert contents(folder) == whole, f"killed before call {k}"
    assert k > 9


def test_the_next_call_finishes_and_says_what_was_cut_short(tmp_path, capsys, monkeypatch):
    """Killed between the names: Grid's pair is never left torn, whoever comes next."""
    path = leave(tmp_path, "grid")
    real = os.replace

    def killed(source, target):
        if str(target).endswith("ckpoint_rng.121"):
            raise Killed
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(Killed):
            go_on(path, "--seed", 5)
    assert (tmp_path / "ckpoint_lat.121").exists() and not (tmp_path / "ckpoint_rng.121").exists()
    capsys.readouterr()
    assert go_on(tmp_path / "ckpoint_lat.121", "--seed", 6) == 0
    err = capsys.readouterr().err
    assert "the last update was cut short: finished now (ckpoint_rng.121)" in err
    assert {"ckpoint_lat.122", "ckpoint_rng.121", "ckpoint_rng.122"} <= names(tmp_path)
    assert [entry["to"] for entry in entries(tmp_path)] == ["ckpoint_lat.121", "ckpoint_lat.122"]


def test_what_the_host_wrote_since_is_not_overwritten(tmp_path, capsys, monkeypatch):
    """openQCD went on by itself from the pair that it had: the update that was cut short is void.
    """
    path = leave(tmp_path, "openqcd")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            go_on(path, "--seed", 5)
    log = tmp_path / "Snoopy137.log"
    with open(log, "a") as file:
        file.write("Trajectory no 36\nConfiguration no 8 exported\n")
    theirs = log.read_bytes()
    assert go_on(path, "--seed", 5) == 0
    err = capsys.readouterr().err
    assert "somebody else goes on here" in err and "is void" in err
    assert log.read_bytes().startswith(theirs)
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_a_forged_note_renames_nothing_else(tmp_path, capsys):
    """The record is a file like any other: a note may only name temporary files of their names."""
    path = leave(tmp_path, "gpt")
    assert go_on(path) == 0
    entry = entries(tmp_path)[0]
    (tmp_path / "precious").write_text("mine")
    for name, final in (("precious", "ckpoint_lat.101"), ("../x", "ckpoint_lat.101"),
                        (".ckpoint_lat.0123abcd.part.101", "precious")):
        forged = {**entry, "files": [{"part": name, "path": final, "sha256": "0", "before": None}]}
        (tmp_path / host_log.NAME).write_text(json.dumps(forged) + "\n")
        assert go_on(tmp_path / "ckpoint_lat.100") == 1
        assert "expected a temporary name of" in capsys.readouterr().err
        assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("kind", ["grid", "grid ildg", "grid cfg"])
def test_a_configuration_of_grid_without_its_generators(kind, tmp_path, capsys):
    """Refused unless told: an older state is there, or the file is Grid's."""
    path = leave(tmp_path, kind)
    rng = tmp_path / HOSTS[kind].sides[0].format(HOSTS[kind].first)
    rng.rename(rng.with_name(f"{rng.name.rpartition('.')[0]}.3"))
    assert go_on(path) == 1
    err = capsys.readouterr().err
    assert f"expected {rng.name} with it" in err and "--without-rng goes on" in err
    assert go_on(path, "--without-rng") == 0
    assert "Grid does not start without" in capsys.readouterr().err


def test_the_label_of_grid_is_enough(tmp_path, capsys):
    path = leave(tmp_path, "gpt")
    text = path.read_bytes()
    path.write_bytes(re.sub(rb"ENSEMBLE_LABEL = .*", b"ENSEMBLE_LABEL = DWF", text, count=1))
    assert go_on(path) == 1
    assert "(the file is Grid's)" in capsys.readouterr().err


def test_the_option_belongs_to_continue(tmp_path, capsys):
    from l2hmc_bridge.cli import main

    assert main(["sample", "--in", "x", "--out", "y", "-n", "1", "--without-rng"]) == 2
    assert "--without-rng: belongs to --continue" in capsys.readouterr().err


def test_a_full_disk_is_said_of_the_file_that_was_to_be(tmp_path, monkeypatch, capsys):
    path = leave(tmp_path, "gpt")
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert go_on(path) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == (f"l2hmc-bridge: {path.with_name('ckpoint_lat.100')}: could not be written: "
                    "No space left on device")
    left = {one.name: one.read_bytes() for one in tmp_path.iterdir() if one.name != "lock"}
    assert left == before
