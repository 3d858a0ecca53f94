"""A stored report counts only if it is one that this gate could have written for this bundle."""

import copy

import pytest
import torch

from l2hmc_bridge.bundle import file as bundle, store
from l2hmc_bridge.errors import BundleError
from l2hmc_bridge.gate import expected, rows as gate
from l2hmc_bridge.l2hmc.reference import TorchEngine
from l2hmc_bridge.systems.actions import cold_start, gauge_action
from tests.l2hmc.test_kernel import make_kernel
from tests.networks import test_dense
from tests.support import gates


@pytest.fixture
def path(tmp_path):
    kernel = make_kernel("all", torch.Generator().manual_seed(1), "omf2", steps=1, step=0.15,
                         action=gauge_action("wilson", 5.7))
    bundle.save(tmp_path / "b.safetensors", kernel, {}, (5.6, 6.2))
    return tmp_path / "b.safetensors"


def refused(path, report, told) -> None:
    bundle.write_gate(path, report)
    with pytest.raises(BundleError, match=f"{path}: .*{told}.*gate .* --write.*--ungated"):
        expected.require(bundle.load(path))


def test_what_a_passing_gate_writes_counts(path):
    with pytest.raises(BundleError, match="expected a gate report, found none"):
        expected.require(bundle.load(path))
    gates.write(path)
    expected.require(bundle.load(path))


@pytest.mark.parametrize("change, told", [
    ({"passed": False}, "found one that failed"),
    ({"passed": "no"}, "passed: expected true or false, found 'no'"),
    ({"passed": 1}, "passed: expected true or false"),
    ({"checks": []}, "checks: expected a list of"),
    ({"checks": {}}, "checks: expected a list of"),
    ({"checks": [1] * 23}, "row 1: expected a table"),
    ({"version": "1"}, "version: expected 2, found '1'"),
    ({"settings": None}, "settings: expected a table"),
    ({"more": 1}, "expected version, hash, passed, checks, settings"),
])
def test_reports_of_no_gate_are_refused(path, change, told):
    report = {**gates.passing(path), **change}
    refused(path, {key: value for key, value in report.items()}, told)


@pytest.mark.parametrize("change, told", [
    ({"lattice_txyz": [2, 2, 2, 2]}, "expected 4 extents of at least 4, found"),
    ({"lattice_txyz": [4, 4]}, "expected 4 extents"),
    ({"lattice_txyz": [4, 4, 4, True]}, "lattice_txyz: expected whole numbers"),
    ({"trajectories": 1}, "trajectories: expected a whole number from 50"),
    ({"chains": 1}, "chains: expected a whole number from 8 to 8"),
    ({"beta": 0.0}, "beta: expected a finite number from 5.6 to 6.2, found 0.0"),
    ({"seed": None}, "seed: expected a whole number"),
    ({"engine": 3}, "engine: expected a text"),
])
def test_settings_that_prove_nothing_are_refused(path, change, told):
    report = gates.passing(path)
    refused(path, {**report, "settings": {**report["settings"], **change}}, told)


@pytest.mark.parametrize("row, change, told", [
    (0, {"name": "hash"}, "row 1: name: expected hash and fingerprint reproduced"),
    (4, {"ours": 0.0}, "row 5: ours: expected 1 within 0, found 0"),
    (5, {"ours": 1e-3}, "row 6: ours: expected 0 within 1e-11, found 0.001"),
    (5, {"tolerance": 1.0}, "row 6: tolerance: expected 1e-11, found 1.0"),
    (5, {"theirs": 1.0, "ours": 1.0}, "row 6: theirs: expected 0, found 1.0"),
    (5, {"ours": None}, "row 6: ours: expected a finite number, found None"),
    (5, {"passed": "yes"}, "row 6: passed: expected true or false"),
    (5, {"passed": False}, "row 6: passed: expected true, found False"),
    (-4, {"tolerance": 0.5}, "tolerance: expected 0.06"),
    (-3, {"ours": 0.9}, "tolerance: expected 3.6"),
    (-2, {"ours": 0.7}, "ours: expected 0.59"),
])
def test_rows_that_are_not_those_of_the_gate_are_refused(path, row, change, told):
    report = copy.deepcopy(gates.passing(path))
    report["checks"][row].update(change)
    refused(path, report, told)


def test_rows_that_are_missing_doubled_or_exchanged_are_refused(path):
    rows = gates.passing(path)["checks"]
    for checks in (rows[:-1], rows[1:], [*rows, rows[0]], [rows[1], rows[0], *rows[2:]]):
        report = {**gates.passing(path), "checks": checks}
        bundle.write_gate(path, report)
        with pytest.raises(BundleError):
            expected.require(bundle.load(path))


def test_the_report_of_another_bundle_is_refused(path, tmp_path):
    other = make_kernel("all", torch.Generator().manual_seed(2), "omf2", steps=1, step=0.15,
                        action=gauge_action("wilson", 5.7))
    bundle.save(tmp_path / "other.safetensors", other, {}, (5.6, 6.2))
    report = gates.passing(tmp_path / "other.safetensors")
    with pytest.raises(BundleError, match="found another hash"):
        bundle.write_gate(path, report)
    tensors, meta = store.read_file(path)
    meta["gate"] = store.json_text({**report, "digest": store._gate_digest(report)})
    store.write_file(path, tensors, meta)
    with pytest.raises(BundleError, match="hash: expected"):
        expected.require(bundle.load(path))


@pytest.mark.slow
@pytest.mark.parametrize("kind, composition", [("steps", "direction"), ("drift", "palindrome"),
                                               ("dense", "palindrome")])
def test_the_rows_expected_are_those_that_the_gate_gives(kind, composition, monkeypatch):
    """The costly numbers left out; tests of whole gates compare rows of other kinds of kernels."""
    generator, lattice = torch.Generator().manual_seed(1), (2, 2, 2, 2)
    kernel = (test_dense.make(generator, composition) if kind == "dense" else
              make_kernel(kind, generator, "omf2", composition, 1, 0.15))
    monkeypatch.setattr(gate, "thermalised", lambda kernel, lattice, generator: cold_start(
        lattice, 4))
    monkeypatch.setattr(gate.gate_exact, "jacobian_by", lambda kernel: (lambda *_: 0.0, "no work"))
    found = gate.run(kernel, lattice, 12)
    gates.require_rows(found, kernel, lattice)


def test_a_row_more_or_another_bound_would_be_noticed():
    kernel = make_kernel("steps", None)
    rows = gates.passing_checks(kernel, (4, 4, 4, 4))[1:]
    gates.require_rows(rows, kernel, (4, 4, 4, 4), TorchEngine.name)
    for wrong in (rows[1:], [*rows, rows[0]], [rows[0]._replace(tolerance=1e-3), *rows[1:]]):
        with pytest.raises(AssertionError):
            gates.require_rows(wrong, kernel, (4, 4, 4, 4), TorchEngine.name)
