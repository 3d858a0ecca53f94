"""The verb import-l2hmc-qcd: a checkpoint becomes a gated bundle, or one line says why not."""

import json

import numpy as np
import pytest
import torch

from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.cli import main
from l2hmc_bridge.cli.import_l2hmc_qcd import ACTIVATIONS
from l2hmc_bridge.gate import expected, laws
from l2hmc_bridge.networks.layers import ACTIVATIONS as KNOWN
from tests.adapters.l2hmc_qcd.test_checkpoint import Evil, phase_point, plant, upstreams
from tests.support import upstream
from tests.support.upstream import Run, trained

RUN = Run(layers=3, beta=1.0)


@pytest.fixture
def checkpoint(tmp_path):
    return upstream.save(tmp_path / "ckpt-1-20-120-2023-12-19.tar", trained(RUN))


def run(path, *options, seed=RUN.seed, lattice="4,4", beta=1.0):
    """The verb; returns (status, the bundle's path)."""
    out = path.with_suffix(".safetensors")
    said = () if seed is None else ("--seed", seed)
    arguments = ["import-l2hmc-qcd", path, "--out", out, "--lattice", lattice, "--beta", beta,
                 *said, *options]
    return main([str(one) for one in arguments]), out


def test_choices_of_the_command_line_are_those_of_the_networks():
    assert ACTIVATIONS == tuple(KNOWN)


@pytest.mark.slow
def test_a_checkpoint_becomes_a_gated_bundle(checkpoint, capsys):
    status, out = run(checkpoint, "-n", 200)
    said = capsys.readouterr().out
    assert status == 0 and f"wrote {out}" in said and "FAIL" not in said
    assert "96 of 96 bits borne out" in said and "chains are biased" in said
    loaded = bundle.load(out)
    expected.require(loaded)
    about = loaded.meta["provenance"]
    assert about["source"] == "l2hmc-qcd" and about["file"] == checkpoint.name
    assert "exact inverse" in about["checkpoint"]["backward map"]
    assert about["checkpoint"]["masks"].startswith("seed 7, rank 0")
    point = phase_point(trained(RUN))
    with torch.no_grad():
        ours = laws.forward_map(loaded.kernel)(*point)
    theirs = upstream.forward(trained(RUN), *point)
    assert all((one - other).abs().max() < 1e-12 for one, other in zip(ours, theirs, strict=True))


@pytest.mark.slow
def test_the_bundle_passes_the_gate_of_its_own(checkpoint, capsys):
    status, out = run(checkpoint, "--no-gate")
    assert status == 0 and "not gated" in capsys.readouterr().out
    assert bundle.load(out).gate is None
    assert main(["gate", str(out), "--lattice", "4,4", "-n", "200", "--write", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["checks"]
    assert {"automatic differentiation, [2, 4, 4]"} == {
        row["source"] for row in rows if row["name"].startswith("log|J| of")}


def test_masks_need_no_seed_where_the_weights_tell_them(checkpoint, tmp_path):
    assert run(checkpoint, "--no-gate")[0] == 0
    first = bundle.load(checkpoint.with_suffix(".safetensors")).kernel.drift_network.masks
    np.save(tmp_path / "masks.npy", torch.stack(RUN.masks()).reshape(3, 1, 32).numpy())
    for options in ((), ("--masks", tmp_path / "masks.npy")):
        assert run(checkpoint, "--no-gate", "--force", *options, seed=None)[0] == 0
        masks = bundle.load(checkpoint.with_suffix(".safetensors")).kernel.drift_network.masks
        assert torch.equal(masks, first)


def refused(capsys, tmp_path, outcome, *words, status=1):
    """One line on standard error with every word, and no bundle."""
    captured = capsys.readouterr()
    assert outcome[0] == status and not outcome[1].exists()
    assert not list(tmp_path.glob(".*.part*"))
    for word in words:
        assert word in captured.err, captured.err
    if status == 1:
        assert len(captured.err.strip().splitlines()) == 1 and captured.out == ""


@pytest.mark.parametrize("options, said, words", [
    ({"seed": None}, Run(split=False), ("does not save its masks", "--masks")),
    ({"seed": 8}, Run(), ("expected masks that the weights were trained with", "seed 8, rank 0")),
    ({"lattice": "4,6"}, Run(), ("expected the networks of a lattice of 48 links",)),
])
def test_refusals_name_the_checkpoint(options, said, words, tmp_path, capsys):
    path = upstream.save(tmp_path / "ckpt.tar", trained(said))
    refused(capsys, tmp_path, run(path, **options), str(path), *words)


def test_ranks_are_part_of_the_seed(checkpoint, tmp_path, capsys):
    refused(capsys, tmp_path, run(checkpoint, "--rank", 1), "rank 1, local rank 1")
    refused(capsys, tmp_path, run(checkpoint, "--rank", 1, "--local-rank", 0), "local rank 0")


def test_a_pickled_object_is_refused(tmp_path, capsys):
    path = upstream.save(tmp_path / "ckpt.tar", trained(RUN), metrics=Evil(tmp_path / "made"))
    refused(capsys, tmp_path, run(path), str(path), "posix.mkdir, not loaded")
    assert not (tmp_path / "made").exists()


def test_an_update_without_an_inverse_is_refused(checkpoint, tmp_path, capsys):
    refused(capsys, tmp_path, run(checkpoint, "--no-use-ncp"), "use_ncp", "no inverse")


def test_what_is_there_is_not_overwritten(checkpoint, capsys):
    out = checkpoint.with_suffix(".safetensors")
    out.write_text("mine")
    assert run(checkpoint)[0] == 1 and out.read_text() == "mine"
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize("options", [("--masks", "masks.npy"), ("--xnet-weights", "1,2"),
                                     ("--vnet-weights", "1,nan,2"), ("--lattice", "4,4,4,4"),
                                     ("--lattice", "4"), ("--activation", "sine"),
                                     ("--beta", "nan")])
def test_wrong_usage(options, checkpoint, tmp_path, capsys):
    refused(capsys, tmp_path, run(checkpoint, *options), options[0], status=2)


@pytest.mark.slow
def test_the_gate_refuses_upstreams_backward_update(checkpoint, tmp_path, capsys, monkeypatch):
    plant(monkeypatch, upstreams)
    status, out = run(checkpoint, "-n", 50)
    captured = capsys.readouterr()
    assert status == 1 and not out.exists() and not list(tmp_path.glob(".*.part*"))
    assert "not written, the gate failed: " in captured.err
    assert "inverse: U after Phi, Phi^-1" in captured.err and "FAIL" in captured.out


@pytest.mark.slow
def test_what_is_never_accepted_is_not_proved(checkpoint, capsys):
    """Large translations of the momenta: the laws hold, but nothing is sampled."""
    status, out = run(checkpoint, "-n", 50, "--vnet-weights", "1,400,1")
    captured = capsys.readouterr()
    assert status == 1 and not out.exists()
    assert "not written" in captured.err and "inverse:" not in captured.err
