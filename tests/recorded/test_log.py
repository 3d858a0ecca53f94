"""The log and history.h5 of a stream."""

import math
import os
import re
import sys

import h5py
import numpy as np
import pytest

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.recorded import rows as records
from l2hmc_bridge.recorded.log import Log
from tests.support.streams import begin, complete, define, resume

FIRST = [6, 7]  # of the chains
ROW = {
    **{name: [0.1, 1 / 3] for name in records.COLUMNS},
    "trajectory": [7, 8], "accepted": [1, 0], "delta_h": [math.nan, -math.inf],
    "force_evaluations": 12, "reunitarised": 0, "reversibility": None, "files": ["a" * 64] * 2,
}


def numbered(n) -> dict:
    """The n-th row."""
    return {**ROW, "trajectory": [one + n for one in FIRST]}


def written(path, rows) -> Log:
    log = Log.begin(path)
    for row in rows:
        log.append(row)
    log.close()
    return log


def reopened(path, size, count, digest=None) -> list:
    log, rows = Log.reopen(path, size, count, FIRST, digest)
    log.close()
    return rows


def same(one, other) -> bool:
    """Equality that takes NaN for NaN."""
    return repr(sorted(one.items())) == repr(sorted(other.items()))


def test_rows_come_back_bit_for_bit(tmp_path):
    log = written(tmp_path / "log", [ROW, {**numbered(2), "plaquette": [5e-324, 0.1 + 0.2]}])
    rows = reopened(tmp_path / "log", log.size, 2, log.digest)
    assert same(rows[0], ROW) and rows[1]["plaquette"] == [5e-324, 0.1 + 0.2]


def test_reopening_cuts_back_and_goes_on(tmp_path):
    kept = written(tmp_path / "one", [ROW])
    log = written(tmp_path / "log", [ROW, numbered(2)])
    whole = (tmp_path / "log").read_bytes() + b"deadbeef {half a li"
    (tmp_path / "log").write_bytes(whole)
    log, rows = Log.reopen(tmp_path / "log", kept.size, 1, FIRST, kept.digest)
    assert len(rows) == 1 and (tmp_path / "log").read_bytes() == whole
    log.cut_back()
    log.append({**numbered(2), "plaquette": [0.5, 0.6]})
    log.close()
    rows = reopened(tmp_path / "log", log.size, 2, log.digest)
    assert rows[1]["plaquette"] == [0.5, 0.6]


def test_every_changed_byte_of_the_log_is_found(tmp_path):
    path = tmp_path / "log"
    log = written(path, [ROW])
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1:])
        with pytest.raises(StreamError, match="damaged"):
            reopened(path, log.size, 1)
    for wrong in (whole[:-5], b""):
        path.write_bytes(wrong)
        with pytest.raises(StreamError, match="damaged"):
            reopened(path, log.size, 1)


@pytest.mark.parametrize("change, told", [
    ({"trajectory": [8, 9]}, "expected trajectory 7, found 8"),
    ({"trajectory": [7, 9]}, "expected trajectory 7, found 7"),
    ({"plaquette": [0.5, 0.6, 0.7]}, "plaquette: expected a list of 2 to 2, found a list of 3"),
    ({"plaquette": [0.5, None]}, "plaquette: expected numbers or nan, inf, -inf, found None"),
    ({"plaquette": ["NaN", 0.5]}, "plaquette: expected numbers"),
    ({"accepted": [True, 1]}, "accepted: expected whole numbers"),
    ({"seconds": 3}, "seconds: expected a list"),
    ({"reunitarised": 7}, "reunitarised: expected a whole number from 0 to 1, found 7"),
    ({"reversibility": "wrong"}, "reversibility: expected numbers"),
    ({"files": ["a"] * 2}, "files: expected SHA-256"),
    ({"force_evaluations": 10**5000 - 1}, "found Exceeds the limit"),
    ({"force_evaluations": 2**63}, "expected whole numbers of 64 bits"),
])
def test_a_line_that_is_no_row_is_refused_whatever_its_checksum(tmp_path, change, told):
    sys.set_int_max_str_digits(0)
    try:
        log = written(tmp_path / "log", [{**ROW, **change}])
    finally:
        sys.set_int_max_str_digits(4300)
    with pytest.raises(StreamError, match=f"{tmp_path}/log: line 1: .*{re.escape(told)}"):
        reopened(tmp_path / "log", log.size, 1)


def test_another_log_of_the_same_size_is_refused(tmp_path):
    log = written(tmp_path / "log", [ROW])
    other = written(tmp_path / "other", [{**ROW, "plaquette": [0.2, 2 / 3]}])
    assert other.size == log.size
    assert reopened(tmp_path / "log", log.size, 1, log.digest)
    with pytest.raises(StreamError, match="the log of another stream, or altered"):
        reopened(tmp_path / "other", log.size, 1, log.digest)


def test_a_new_log_takes_no_name_that_is_taken(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("results")
    for name, make in (("link", lambda path: path.symlink_to(precious)), ("pipe", os.mkfifo),
                       ("file", lambda path: path.write_text("results"))):
        path = tmp_path / name
        make(path)
        with pytest.raises(StreamError, match=f"{path}: expected no file here, found a"):
            Log.begin(path)
    with pytest.raises(StreamError, match="expected a file, found a symbolic link"):
        reopened(tmp_path / "link", 0, 0)
    with pytest.raises(StreamError, match="expected a file, found a pipe"):
        reopened(tmp_path / "pipe", 0, 0)
    assert precious.read_text() == "results"


def test_a_line_that_does_not_fit_leaves_the_log_as_it_was(tmp_path):
    """What a full disk does: half a line is written, then no more."""
    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            return self.file.write(data[:10])

        def __getattr__(self, name):
            return getattr(self.file, name)

    log = Log.begin(tmp_path / "log")
    log.append(ROW)
    log._file = Full(log._file)
    with pytest.raises(StreamError, match=f"{tmp_path}/log: could not be written: No space left"):
        log.append(ROW)
    log.close()
    assert (tmp_path / "log").stat().st_size == log.size
    assert reopened(tmp_path / "log", log.size, 1, log.digest)


def test_history_holds_every_column(tmp_path):
    complete(begin(tmp_path / "s", define(first=[40, 0], check_reversibility=2), 5))
    with h5py.File(tmp_path / "s" / "history.h5") as file:
        assert file["trajectory"][()].tolist() == [[41, 42, 43, 44, 45], [1, 2, 3, 4, 5]]
        for name in records.COLUMNS:
            assert file[name].shape == (2, 5)
        assert file["reversibility/trajectory"][()].tolist() == [[42, 44], [2, 4]]
        assert (file["reversibility/defect"][()] < 1e-11).all()
        assert file["force_evaluations"][()].tolist() == [6] * 5


@pytest.mark.skipif(library.library() is None, reason="torch alone stays with finite numbers")
def test_nan_in_a_stream_is_kept_and_survives_a_restart(tmp_path):
    made = begin(tmp_path / "s", define(factor=1e9), 2)
    complete(made)
    resume(tmp_path / "s", more=1)
    with h5py.File(tmp_path / "s" / "history.h5") as file:
        assert not bool(file["accepted"][()].any())
        assert np.isnan(file["delta_h"][()]).all() and file["delta_h"].shape == (1, 3)
        assert np.isfinite(file["plaquette"][()]).all()


def test_a_damaged_history_is_made_anew(tmp_path):
    complete(begin(tmp_path / "s", define(), 3))
    path = tmp_path / "s" / "history.h5"
    path.write_bytes(path.read_bytes()[:600])
    resume(tmp_path / "s", more=1)
    with h5py.File(path) as file:
        assert file["plaquette"].shape == (1, 4)
