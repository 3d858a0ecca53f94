"""Bundles of other systems, lattices of other dimensions: one line that names the bundle."""


import pytest
from click.testing import CliRunner

from l2hmc_bridge import models
from l2hmc_bridge.cli import main
from l2hmc_bridge.cli.sample.command import command
from tests.cli.sample.test_refusals import refused
from tests.cli.sample.test_sample import make_bundle, sample, write_start
from tests.support.places import EXAMPLES

MODELS = EXAMPLES / "models"



@pytest.mark.parametrize("name, group", [("u1_beta4", "u1"), ("mixture", "vector")])
def test_sample_refuses_a_bundle_of_another_system(name, group, tmp_path, capsys):
    start = write_start(tmp_path / "start.ildg")
    path = MODELS / f"{name}.safetensors"
    status = sample("--in", start, "--out", tmp_path / "out", "-n", 1, "--bundle", path)
    refused(capsys, tmp_path, status, path, "expected a bundle for su3", f"one for {group}")


@pytest.mark.parametrize("path, lattice, found", [
    (MODELS / "u1_beta4.safetensors", "4,4,4,4", "expected 2 number(s)"),
    (MODELS / "mixture.safetensors", "4,4", "expected 1 number(s)"),
    (models.default(), "4,4", "expected 4 number(s)"),
    (MODELS / "u1_beta4.safetensors", "8,8", "expected [2, 16, 16]"),
    (MODELS / "mixture.safetensors", "3", "expected"),
])
def test_gate_refuses_a_lattice_that_cannot_be(path, lattice, found, capsys):
    assert main(["gate", str(path), "--lattice", lattice]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.strip().splitlines()) == 1
    assert f"{path}: " in captured.err and found in captured.err


def test_gate_names_the_bundle_whose_masks_need_even_extents(tmp_path, capsys):
    path = make_bundle(tmp_path / "b.safetensors")
    assert main(["gate", str(path), "--lattice", "2,2,3,2", "-n", "50"]) == 1
    captured = capsys.readouterr()
    assert f"{path}: " in captured.err and "even" in captured.err
    assert len(captured.err.strip().splitlines()) == 1


def test_help_states_only_bounds_that_there_are():
    text = CliRunner().invoke(command, ["--help"]).output
    assert "None" not in text and "0<x<=100" in text
