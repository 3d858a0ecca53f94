"""Parts of a stream know each other: what is foreign, edited or lost is refused or mended.

Forgeries here are as good as they get: every checksum that can be made anew is made anew.
"""

import dataclasses
import json
import os
import shutil

import h5py
import numpy as np
import pytest
import torch

from l2hmc_bridge.errors import BridgeError, StreamError
from l2hmc_bridge.recorded import folder as places, history, rows, state as checkpoint
from l2hmc_bridge.recorded.rows import encode
from l2hmc_bridge.storage import tensors as safetensors
from l2hmc_bridge.stream import run as stream
from tests.support.streams import Raw, begin, complete, contents, define, differences, resume


@pytest.fixture
def made(tmp_path):
    complete(begin(tmp_path / "s", define(), 4))
    return tmp_path / "s"


def other_stream(tmp_path, **changes):
    complete(begin(tmp_path / "other", define(seed=8, **changes), 4))
    return tmp_path / "other"


def forged_state(folder, **changes) -> None:
    """The state with changes, saved with a digest of its own."""
    point = checkpoint.load(folder)
    state = point.state._replace(**{k: v for k, v in changes.items() if k in point.state._fields})
    rest = {k: v for k, v in changes.items() if k not in point.state._fields}
    checkpoint.save(folder, dataclasses.replace(point, state=state, **rest))


def rewritten(folder, **texts) -> None:
    """The state with other texts in its head (None: without), and a fitting hash."""
    path = folder / checkpoint.NAME
    tensors, meta = safetensors.load(path, StreamError)
    meta = {name: text for name, text in {**meta, **texts}.items() if text is not None}
    meta["hash"] = checkpoint.digest(tensors, meta)
    raw = safetensors.save(tensors, meta)  # before the file, whose memory the tensors are
    path.write_bytes(raw)


def as_version_1(folder) -> None:
    """State and log as they were before they had digests."""
    rows = [json.loads(line.partition(" ")[2])
            for line in (folder / places.LOG).read_text().splitlines()]
    log = b"".join(encode({k: v for k, v in row.items() if k != "files"}) for row in rows)
    (folder / places.LOG).write_bytes(log)
    rewritten(folder, version="1", log_digest=None, log_size=str(len(log)))
    assert checkpoint.load(folder).log_digest is None


def edited(folder, number, **changes) -> None:
    """One row of the log with other numbers of as many letters, and a fitting checksum."""
    path = folder / places.LOG
    lines = path.read_bytes().splitlines(keepends=True)
    row = {**json.loads(lines[number].partition(b" ")[2]), **changes}
    line = encode(row)
    lines[number] = line[:-1].ljust(len(lines[number]) - 1) + b"\n"
    if len(lines[number]) == len(line):
        path.write_bytes(b"".join(lines))
        return
    raise AssertionError("choose numbers of as many letters")


def test_the_log_of_another_stream_is_refused(made, tmp_path):
    """Of the same size, too: a seed with as many digits makes rows of nearly the same length."""
    theirs = (other_stream(tmp_path) / places.LOG).read_bytes()
    point = checkpoint.load(made)
    (made / places.LOG).write_bytes(theirs)
    forged_state(made, log_size=len(theirs))
    with pytest.raises(StreamError, match="the log of another stream, or altered"):
        resume(made, more=1)
    assert (made / places.LOG).read_bytes() == theirs
    forged_state(made, log_size=len(theirs), log_digest=None)  # no digest: the plaquette tells
    with pytest.raises(StreamError, match="expected the log of this state, whose plaquette"):
        resume(made, more=1)
    assert checkpoint.load(made).count == point.count


@pytest.mark.parametrize("number", [0, 3])
def test_an_edited_row_is_refused_whatever_its_checksum(made, number):
    row = json.loads((made / places.LOG).read_text().splitlines()[number].partition(" ")[2])
    text = repr(row["plaquette"][0])
    other = float(text[:-1] + ("1" if text[-1] != "1" else "2"))
    assert len(repr(other)) == len(text)
    edited(made, number, plaquette=[other])
    with pytest.raises(StreamError, match="the log of another stream, or altered"):
        resume(made, more=1)


def test_rows_out_of_turn_are_refused(made):
    lines = (made / places.LOG).read_bytes().splitlines(keepends=True)
    (made / places.LOG).write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(StreamError, match="line 1: expected trajectory 41, found 42"):
        resume(made, more=1)


@pytest.mark.parametrize("name, change, told", [
    ("links", lambda x: x * (1 + 1e-6), "expected links in SU.3. within"),
    ("links", lambda x: x.conj().resolve_conj(), "expected the force of the links"),
    ("links", lambda x: x.roll(1, 2).clone(), "expected the force of the links"),
    ("links", lambda x: torch.full_like(x, torch.nan), "expected links in SU.3."),
    ("action", lambda x: x + 1e-3, "expected the action of the links"),
    ("action", lambda x: x * torch.nan, "expected the action of the links"),
    ("force", lambda x: x * 1.01, "expected the force of the links"),
])
def test_a_state_that_is_not_what_was_saved_is_refused(made, name, change, told):
    forged_state(made, **{name: change(getattr(checkpoint.load(made).state, name))})
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    with pytest.raises(StreamError, match=told):
        resume(made, more=1)
    assert before == {path.name: path.read_bytes() for path in made.iterdir()}


def test_another_definition_is_refused_or_is_another_stream(made, tmp_path):
    """A definition of other trajectories cannot be slipped under the rows that are there."""
    for change in ({"first": [41]}, {"action": {"name": "wilson", "beta": 5.8}}):
        shutil.copytree(made, tmp_path / "copy")
        point = checkpoint.load(made)
        definition = dataclasses.replace(point.definition, **change)
        forged_state(tmp_path / "copy", definition=definition)
        with pytest.raises(BridgeError):
            resume(tmp_path / "copy", more=1)
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.parametrize("change, told", [
    ({"seed": -1}, "seed: expected a whole number"),
    ({"threads": 10**9}, "threads: expected a whole number from 1 to 1024"),
    ({"suffix": "x/../../../tmp/y"}, "suffix: expected a text like"),
    ({"factor": 0.9e300}, "factor: expected a finite number from 0"),
    ({"factor": "1"}, "factor: expected a finite number"),
    ({"save_every": 0}, "save_every: expected a whole number from 1"),
    ({"keep_every": 1.5}, "keep_every: expected a whole number from 1"),
    ({"first": []}, "first: expected a list of 1 to 1024, found a list of 0"),
    ({"first": [1] * 2000}, "first: expected a list of 1 to 1024, found a list of 2000"),
    ({"device": "cuda:0; rm"}, "device: expected a text like"),
    ({"action": {"name": "none", "beta": 5.7}}, "action: expected one of wilson"),
    ({"action": {"name": "wilson", "beta": -5.7}}, "action: beta: expected a finite number"),
    ({"meta": [{}, {}]}, "meta: expected a table for each of 1 chains"),
    ({"meta": [3]}, "meta: expected a table"),
    ({"record": []}, "record: expected a table"),
    ({"record": {"lattice": [8, 8, 8, 8]}}, r"expected links \[1, 4, 8, 8, 8, 8, 3, 3, 2\]"),
    ({"more": 1}, "definition: expected entries of"),
    ({"kernel": {"kind": "hmc"}}, "kernel: integrator: expected a value"),
])
def test_a_definition_of_impossible_numbers_is_refused(made, change, told):
    text = checkpoint.load(made).definition.text()
    rewritten(made, definition=json.dumps({**json.loads(text), **change}))
    with pytest.raises(StreamError, match=f"{made / checkpoint.NAME}: .*{told}"):
        resume(made, more=1)


@pytest.mark.parametrize("loss", ["missing", "damaged", "empty", "a link"])
def test_the_last_configuration_is_written_anew_from_the_state(made, tmp_path, loss):
    whole = contents(made)
    path = made / "cfg_44.bin"
    raw = path.read_bytes()
    path.unlink()
    if loss == "damaged":
        path.write_bytes(raw[:700] + bytes([raw[700] ^ 1]) + raw[701:])
    elif loss == "empty":
        path.touch()
    elif loss == "a link":
        (tmp_path / "precious").write_bytes(raw[:-1])
        path.symlink_to(tmp_path / "precious")
        with pytest.raises(BridgeError, match=f"{path}: expected the name of a file"):
            resume(made)
        assert (tmp_path / "precious").read_bytes() == raw[:-1]
        return
    with stream.reopen(made, Raw) as found:
        assert found.notes == [f"{path}: missing or damaged; written anew from the state"]
    assert differences(whole, contents(made)) == [] and path.read_bytes() == raw
    with stream.reopen(made, Raw) as found:
        assert found.notes == []


def test_what_cannot_be_written_anew_is_said(tmp_path):
    """Stopped between save points: the state is later than the last configuration."""
    complete(begin(tmp_path / "s", define(save_every=3), 7))
    resume(tmp_path / "s", more=4, stop=lambda: "asked")
    (tmp_path / "s" / "cfg_47.bin").unlink()
    with stream.reopen(tmp_path / "s", Raw) as found:
        assert len(found.notes) == 1 and "from which it cannot be written" in found.notes[0]


def test_version_1_goes_on_and_becomes_version_2(made, tmp_path):
    complete(begin(tmp_path / "whole", define(), 6))
    as_version_1(made)
    (made / "cfg_44.bin").unlink()
    with stream.reopen(made, Raw) as found:
        assert found.notes and "written anew" in found.notes[0]
    resume(made, more=2)
    point = checkpoint.load(made)
    assert point.log_digest is not None
    assert safetensors.head(made / checkpoint.NAME, StreamError).meta["version"] == "2"
    assert differences(contents(tmp_path / "whole"), contents(made)) == []


def test_the_log_of_another_stream_is_refused_in_version_1(made, tmp_path):
    other = other_stream(tmp_path)
    for folder in (made, other):
        as_version_1(folder)
    theirs = (other / places.LOG).read_bytes()
    rewritten(made, log_size=str(len(theirs)))
    (made / places.LOG).write_bytes(theirs)
    with pytest.raises(StreamError, match="expected the log of this state, whose plaquette"):
        resume(made, more=1)


def measured(folder, **attributes) -> None:
    """A group of measurements as `measure --extend` leaves it."""
    with h5py.File(folder / history.NAME, "a") as file:
        group = file.create_group(history.MEASURED)
        for name in ("trajectory", "plaquette"):
            group[name] = file[name][()]
        group["energy_density"] = np.arange(4.0)[None]
        group.attrs.update(attributes)


def test_own_measurements_stay_and_foreign_ones_are_refused(made, tmp_path):
    measured(made)
    resume(made, more=1)
    with h5py.File(made / history.NAME) as file:
        assert file["measurements/energy_density"].shape == (1, 4)
        assert file.attrs["stream"] == checkpoint.load(made).definition.identity
        assert file.attrs["log_digest"] == checkpoint.load(made).log_digest
    other = other_stream(tmp_path)
    measured(other)
    shutil.copy(other / history.NAME, made / history.NAME)
    with pytest.raises(StreamError, match="expected measurements of this stream, found plaquette"):
        resume(made, more=1)
    assert checkpoint.load(made).target == 5  # nothing was changed


def test_measurements_that_say_another_stream_are_refused(made):
    measured(made, stream="0" * 64)
    with pytest.raises(StreamError, match="found those of 000000000000"):
        resume(made, more=1)


def test_an_old_history_without_its_rows_is_made_anew(made):
    """An external link in the file is not followed, nor copied."""
    with h5py.File(made / history.NAME, "a") as file:
        file["elsewhere"] = h5py.ExternalLink(str(made / "none.h5"), "/group")
    resume(made, more=1)
    with h5py.File(made / history.NAME) as file:
        assert "elsewhere" not in file and file["plaquette"].shape == (1, 5)


@pytest.mark.parametrize("name", [places.LOG, checkpoint.NAME, "lock", "cfg_45.bin"])
def test_links_inside_a_stream_are_not_followed(made, tmp_path, name):
    precious = tmp_path / "precious"
    precious.write_bytes((made / name).read_bytes() if (made / name).exists() else b"results")
    before = precious.read_bytes()
    (made / name).unlink(missing_ok=True)
    (made / name).symlink_to(precious)
    with pytest.raises(BridgeError, match="a symbolic link|expected a stream with"):
        resume(made, more=1)
    assert precious.read_bytes() == before


def test_the_folder_of_a_chain_is_no_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    complete(begin(tmp_path / "s", define(first=[0, 0]), 1))
    shutil.rmtree(tmp_path / "s" / "chain_1")
    (tmp_path / "s" / "chain_1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StreamError, match="chain_1: expected the folder of a chain, found a symb"):
        resume(tmp_path / "s", more=1)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_stray_files_do_not_stop_a_resume(tmp_path):
    folder = tmp_path / "s"
    complete(begin(folder, define(first=[0, 0]), 2))
    (folder / "chain_notes.txt").write_text("mine")
    (folder / "chain_7").write_text("mine")
    (folder / ".mine.0123abcd.part").write_text("mine")
    os.mkfifo(folder / "chain_pipe")
    resume(folder, more=1)
    assert (folder / "chain_notes.txt").read_text() == "mine"
    assert (folder / ".mine.0123abcd.part").exists() and (folder / "chain_7").exists()


def test_a_lock_that_is_none_is_not_emptied(made):
    (made / "lock").write_text("my precious notes\n")
    with pytest.raises(StreamError, match="lock: expected no file or a lock, found another file"):
        resume(made, more=1)
    (made / "lock").unlink()
    os.mkfifo(made / "lock")
    with pytest.raises(StreamError, match="lock: expected no file or a lock, found a pipe"):
        resume(made, more=1)


def test_nan_in_a_row_is_read_as_it_was(tmp_path):
    """The columns of NaN are no damage: the digest is that of the bytes."""
    complete(begin(tmp_path / "s", define(factor=1e9), 2))
    assert resume(tmp_path / "s", more=1) is None
    with stream.reopen(tmp_path / "s", Raw) as found:
        assert rows.series(found.rows, "accepted") == [[0, 0, 0]]
