"""The log and history.h5 of a stream, its summary, and the tuner."""

import json
import math

import h5py
import numpy as np
import pytest

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.stream import log as records, summary
from l2hmc_bridge.stream.log import Log
from tests.support.streams import begin, complete, define, resume

ROW = {
    **{name: [0.1, 1 / 3] for name in records.COLUMNS},
    "trajectory": [7, 8], "accepted": [1, 0], "delta_h": [math.nan, -math.inf],
    "force_evaluations": 12, "reunitarised": 0, "reversibility": None,
}


def same(one, other) -> bool:
    """Equality that takes NaN for NaN."""
    return repr(sorted(one.items())) == repr(sorted(other.items()))


def test_rows_come_back_bit_for_bit(tmp_path):
    log = Log(tmp_path / "log")
    log.append(ROW)
    log.append({**ROW, "plaquette": [5e-324, 0.1 + 0.2]})
    log.close()
    log, rows = Log.reopen(tmp_path / "log", log.size, 2)
    log.close()
    assert same(rows[0], ROW) and rows[1]["plaquette"] == [5e-324, 0.1 + 0.2]


def test_reopening_cuts_back_and_goes_on(tmp_path):
    log = Log(tmp_path / "log")
    log.append(ROW)
    kept = log.size
    log.append({**ROW, "trajectory": [9, 9]})
    log.close()
    with open(tmp_path / "log", "ab") as file:
        file.write(b"deadbeef {half a li")
    log, rows = Log.reopen(tmp_path / "log", kept, 1)
    log.append({**ROW, "trajectory": [10, 11]})
    log.close()
    assert len(rows) == 1
    log, rows = Log.reopen(tmp_path / "log", log.size, 2)
    log.close()
    assert rows[1]["trajectory"] == [10, 11]


def test_every_changed_byte_of_the_log_is_found(tmp_path):
    path = tmp_path / "log"
    log = Log(path)
    log.append(ROW)
    log.close()
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1:])
        with pytest.raises(StreamError, match="damaged"):
            Log.reopen(path, log.size, 1)
    for wrong in (whole[:-5], b""):
        path.write_bytes(wrong)
        with pytest.raises(StreamError, match="damaged"):
            Log.reopen(path, log.size, 1)


def test_a_line_that_does_not_fit_leaves_the_log_as_it_was(tmp_path):
    """What a full disk does: half a line is written, then no more."""
    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            return self.file.write(data[:10])

        def __getattr__(self, name):
            return getattr(self.file, name)

    log = Log(tmp_path / "log")
    log.append(ROW)
    log._file = Full(log._file)
    with pytest.raises(StreamError, match=f"{tmp_path}/log: could not be written: No space left"):
        log.append(ROW)
    log.close()
    assert (tmp_path / "log").stat().st_size == log.size


def test_history_holds_every_column(tmp_path):
    complete(begin(tmp_path / "s", define(first=[40, 0], check_reversibility=2), 5))
    with h5py.File(tmp_path / "s" / "history.h5") as file:
        assert file["trajectory"][()].tolist() == [[41, 42, 43, 44, 45], [1, 2, 3, 4, 5]]
        for name in records.COLUMNS:
            assert file[name].shape == (2, 5)
        assert file["reversibility/trajectory"][()].tolist() == [[42, 44], [2, 4]]
        assert (file["reversibility/defect"][()] < 1e-11).all()
        assert file["force_evaluations"][()].tolist() == [6] * 5


def test_summary_has_the_stated_keys_and_no_nan(tmp_path):
    complete(begin(tmp_path / "s", define(first=[40, 0]), 24))
    text = (tmp_path / "s" / "summary.json").read_text()
    found = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert {"trajectories", "acceptance", "exp_minus_dh", "plaquette", "seed", "bundle",
            "force_evaluations_per_trajectory", "seconds_per_trajectory", "bundle_hash",
            "link_change", "md_length", "tuning_factor", "warnings"} <= found.keys()
    for name in ("exp_minus_dh", "plaquette", "topological_charge", "link_change"):
        assert {"value", "error", "tau_int", "tau_int_error"} <= found[name].keys()
    assert found["trajectories"] == 24 and found["force_evaluations_per_trajectory"] == 6
    assert [part["chain"] for part in found["chains"]] == [0, 1]
    halves = [part["plaquette"]["value"] for part in found["chains"]]
    assert found["plaquette"]["value"] == pytest.approx(sum(halves) / 2, abs=1e-12)


def test_summary_of_a_short_stream_says_what_it_cannot_resolve(tmp_path):
    complete(begin(tmp_path / "s", define(), 3))
    found = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert found["plaquette"]["error"] is None and "not resolvable" in found["plaquette"]["note"]
    assert summary.shown(found["plaquette"]).endswith("(not resolvable)")


def test_summary_warns(tmp_path):
    made = begin(tmp_path / "s", define(factor=40.0), 12)
    complete(made)
    found = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert found["acceptance"] == 0
    assert any("--thermalise" in sentence for sentence in found["warnings"])
    broken = [{**row, "delta_h": [math.nan], "reversibility": 1e-6} for row in made.rows]
    sentences = summary.summarise(made.definition, broken, 12)["warnings"]
    assert any("12 proposals had a NaN" in sentence for sentence in sentences)
    assert any("missed its start by 1.0e-06" in sentence for sentence in sentences)
    biased = [{**row, "delta_h": [1.0 + 0.1 * (n % 3)]} for n, row in enumerate(made.rows * 3)]
    sentences = summary.summarise(made.definition, biased, 36)["warnings"]
    assert any("standard errors from 1" in sentence for sentence in sentences)


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
