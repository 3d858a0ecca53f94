"""A sampler travels as one safe file: round trip, and everything that must be refused."""

import json

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

import l2hmc_bridge as lb
from l2hmc_bridge import models
from l2hmc_bridge.bundle import architecture, file as bundle, nested
from l2hmc_bridge.errors import ActionError, BundleError, ConfigError
from l2hmc_bridge.networks.covariant import DriftNetwork
from l2hmc_bridge.systems.actions import gauge_action
from tests.l2hmc.test_kernel import KINDS, make_kernel, phase_point


@pytest.fixture
def path(tmp_path, generator):
    kernel = make_kernel("all", generator, "force_gradient", steps=1)
    bundle.save(tmp_path / "one.safetensors", kernel, {"seed": 1}, (5.6, 6.2))
    return tmp_path / "one.safetensors"


def rewrite(path, change):
    """Apply `change(tensors, meta)` and write the file back, hash and all as they then are."""
    with safetensors.safe_open(path, "pt") as file:
        meta = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    change(tensors, meta)
    path.write_bytes(safetensors.torch.save(tensors, meta))


def rehash(tensors, meta):
    meta["hash"] = bundle.digest(tensors, meta)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("composition", ["palindrome", "direction"])
def test_round_trip_gives_the_same_step(kind, composition, tmp_path, generator):
    kernel = make_kernel(kind, generator, "omf2", composition).scaled(0.7)
    file = tmp_path / "kernel.safetensors"
    bundle.save(file, kernel, {"note": "test"}, (5.6, 6.0))
    loaded = bundle.load(file, beta=5.8)
    assert loaded.meta["provenance"]["note"] == "test"
    assert loaded.kernel.length == pytest.approx(kernel.length)
    links, _ = phase_point(generator, (2, 2, 4, 2))
    ends = [one.step(one.init(links), torch.Generator().manual_seed(5))
            for one in (kernel, loaded.kernel)]
    assert (ends[0][0].links - ends[1][0].links).abs().max() < 1e-13
    assert torch.allclose(ends[0][1].log_ratio, ends[1][1].log_ratio, atol=1e-9)


def test_beta_is_the_callers(path):
    assert bundle.load(path).kernel.action.beta == pytest.approx(5.9)
    assert bundle.load(path, beta=6.1).kernel.action.beta == 6.1


def test_every_changed_byte_is_refused(path):
    """Flip one bit in each of 300 bytes all over the file, metadata and tensors."""
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for position in [0, 8, 9, len(data) - 1, *rng.integers(0, len(data), 296)]:
        changed = bytearray(data)
        changed[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(BundleError, match=path.name):
            bundle.load(path)
    path.write_bytes(data)
    bundle.load(path)


@pytest.mark.parametrize("size", [0, 4, 8, 100, -1])
def test_truncated_or_longer_files_are_refused(path, size):
    data = path.read_bytes()
    path.write_bytes(data[:size] if size >= 0 else data + b"\0")
    with pytest.raises(BundleError, match="safetensors"):
        bundle.load(path)


def test_names_of_bundles_that_ship_are_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bundle.load("wilson").hash == bundle.load().hash == bundle.load(models.default()).hash
    assert nested.load("quarks").path == str(models.path("quarks"))
    with pytest.raises(BundleError, match="or the name of one that ships .*wilson.* found no such"):
        bundle.load("wilsom")
    checks, report = lb.check_bundle("wilson", (2, 2, 2, 2), 6.0, trajectories=4)
    assert checks and report["hash"] == bundle.load("wilson").hash
    (tmp_path / "wilson").write_text("a file of this name comes first")
    with pytest.raises(BundleError, match="^wilson: "):
        bundle.load("wilson")


@pytest.mark.parametrize("given", (5, b"wilson", ["wilson"], 6.0))
def test_what_is_neither_path_nor_name_is_refused(given):
    for load in (bundle.load, nested.load, lb.check_bundle):
        with pytest.raises(BundleError, match="expected a path, or the name of one that ships"):
            load(given)


def test_what_is_no_beta_is_refused():
    for beta in ("6.0", float("nan"), -1.0, [6.0]):
        with pytest.raises(ActionError, match="beta: expected a finite number"):
            bundle.load(beta=beta)


def test_missing_file_and_foreign_files(tmp_path):
    with pytest.raises(BundleError, match="no such file"):
        bundle.load(tmp_path / "nothing.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(safetensors.torch.save({"a": torch.ones(2)}, {"format": "pt"}))
    with pytest.raises(BundleError, match="expected 'l2hmc-bridge bundle'"):
        bundle.load(foreign)


def test_unknown_version_and_missing_masks_are_refused(path):
    rewrite(path, lambda tensors, meta: (meta.update(version="2"), rehash(tensors, meta)))
    with pytest.raises(BundleError, match="expected version 1, found '2'"):
        bundle.load(path)

    def without_masks(tensors, meta):
        meta["version"] = "1"
        description = json.loads(meta["architecture"])
        del description["masks"]
        meta["architecture"] = json.dumps(description)
        rehash(tensors, meta)

    rewrite(path, without_masks)
    with pytest.raises(BundleError, match="masks"):
        bundle.load(path)


@pytest.mark.parametrize("defect", ["weight missing", "weight shape", "group", "mask rule"])
def test_inconsistent_contents_are_refused(path, defect):
    def change(tensors, meta):
        if defect == "weight missing":
            del tensors["kick_network.bias"]
        elif defect == "weight shape":
            tensors["kick_network.bias"] = tensors["kick_network.bias"][:1].clone()
        elif defect == "group":
            meta["group"] = "u1"
        else:
            description = json.loads(meta["architecture"])
            description["masks"] = "checkerboard of matrix elements"
            meta["architecture"] = json.dumps(description)
        rehash(tensors, meta)

    rewrite(path, change)
    with pytest.raises(BundleError, match="expected"):
        bundle.load(path)


def test_wrong_mask_after_reload_is_caught_by_the_fingerprint(path, monkeypatch):
    """Every mask obeys every law: only the stored result tells them apart."""
    right = DriftNetwork.order
    monkeypatch.setattr(DriftNetwork, "order", lambda self, drift: tuple(
        (mu, None if odd is None else not odd, alive) for mu, odd, alive in right(self, drift)))
    with pytest.raises(BundleError, match="fingerprint"):
        bundle.load(path)


def test_another_weight_is_caught_by_the_fingerprint(path):
    def nudge(tensors, meta):
        tensors["steps.kicks"][0] += 1e-7
        rehash(tensors, meta)

    rewrite(path, nudge)
    with pytest.raises(BundleError, match="fingerprint"):
        bundle.load(path)


def test_gate_report_is_bound_to_the_hash(path):
    """What it has to hold: tests/gate/test_expected.py."""
    loaded = bundle.load(path)
    assert loaded.gate is None
    with pytest.raises(BundleError, match="another hash"):
        bundle.write_gate(path, {"hash": "0" * 64, "passed": True, "checks": []})
    bundle.write_gate(path, {"hash": loaded.hash, "passed": True, "checks": []})
    assert bundle.load(path).hash == loaded.hash and bundle.load(path).gate["passed"]
    rewrite(path, lambda tensors, meta: meta.update(gate=meta["gate"].replace("true", "false")))
    with pytest.raises(BundleError, match="digest"):
        bundle.load(path)


@pytest.mark.parametrize("report", ["[1]", "3", '"x"', "{}", "{"])
def test_what_is_no_gate_report_is_refused_with_the_name_of_the_file(report, path):
    rewrite(path, lambda tensors, meta: meta.update(gate=report))
    with pytest.raises(BundleError, match=f"{path.name}: (gate report: )?expected"):
        bundle.load(path)


def test_bundle_of_another_action_is_refused(path):
    loaded = bundle.load(path)
    bundle.require_action(loaded, gauge_action("wilson", 6.0))
    with pytest.raises(BundleError, match="expected a bundle for su3 iwasaki, found su3 wilson"):
        bundle.require_action(loaded, gauge_action("iwasaki", 2.6))


def test_description_builds_the_same_kernel(generator):
    for kind in KINDS:
        kernel = make_kernel(kind, generator)
        again = architecture.build(architecture.describe(kernel), kernel.action)
        architecture.load_tensors(again, architecture.tensors(kernel))
        assert architecture.describe(again) == architecture.describe(kernel)
        for name, value in architecture.tensors(kernel).items():
            assert torch.equal(value, architecture.tensors(again)[name])


def test_what_a_network_does_not_say_is_what_it_was_before_there_was_a_choice(generator):
    kernel = make_kernel("all", generator)
    description = architecture.describe(kernel)
    for part in ("kick_network", "drift_network"):
        assert description[part]["activation"] == "isru"
        del description[part]["activation"]
    assert description["drift_network"].pop("outputs") == ["q", "t"]
    again = architecture.build(description, kernel.action)
    assert again.kick_network.activation == again.drift_network.activation == "tanh"
    assert again.drift_network.outputs == ("q", "t")
    with pytest.raises(ConfigError, match="expected one of .*isru.*tanh.*, found 'relu'"):
        architecture.untrained(kernel.action, "omf2", 0.1, 2, kick_network={"activation": "relu"})
