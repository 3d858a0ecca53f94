"""What a stream amounts to: summary.json, and what a person should not overlook."""

import json
import math

import pytest

from l2hmc_bridge.stream import summary
from tests.support.streams import begin, complete, define


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


def test_an_update_that_moves_nothing_is_warned_of(tmp_path):
    """Steps of length 0 are accepted with certainty and obey every law."""
    made = begin(tmp_path / "s", define(factor=1e-9), 3)
    complete(made)
    found = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert found["acceptance"] == 1.0
    assert any("the update moves nothing" in sentence for sentence in found["warnings"])
    complete(begin(tmp_path / "t", define(), 3))
    found = json.loads((tmp_path / "t" / "summary.json").read_text())
    assert not any("moves nothing" in sentence for sentence in found["warnings"])
