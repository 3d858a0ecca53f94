"""Bundles of other systems, lattices of other dimensions: one line that names the bundle."""


import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from l2hmc_bridge import models
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.cli import main
from l2hmc_bridge.cli.sample.command import command
from l2hmc_bridge.errors import QUARKS_PAGE
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


def test_a_nested_bundle_is_refused_with_the_page_on_quarks(tmp_path, capsys):
    start = write_start(tmp_path / "start.ildg")
    status = sample("--in", start, "--out", tmp_path / "out", "-n", 1, "--bundle", "quarks")
    refused(capsys, tmp_path, status, models.path("quarks"), "'l2hmc-bridge bundle'", QUARKS_PAGE)


def test_a_bundle_that_ships_is_known_by_its_name(tmp_path, capsys):
    status = sample("--start", "hot", "--lattice", "2,2,2,2", "--beta", 5.6, "--tune", 0, "-n", 1,
                    "--thermalise", 0, "--bundle", "wilson", "--out", tmp_path / "out")
    assert status == 0, capsys.readouterr().err
    made = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert made["bundle_hash"] == bundle.load(models.default()).hash


@pytest.mark.parametrize("name", ["wilson", "quarks"])
def test_gate_knows_a_bundle_that_ships_by_its_name(name, capsys):
    assert main(["gate", name, "--lattice", "4,4"]) == 1
    assert f"{models.path(name)}: expected 4 number(s)" in capsys.readouterr().err
    assert main(["gate", name, "--write"]) == 1
    assert f"{name}: expected a file to --write into" in capsys.readouterr().err


def test_a_file_is_taken_before_a_bundle_that_ships(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wilson").mkdir()
    assert models.located("wilson") == models.path("wilson")
    (tmp_path / "wilson").rmdir()
    (tmp_path / "wilson").write_text("mine")
    assert models.located("wilson") == Path("wilson")
    assert main(["gate", "nowhere"]) == 1
    assert "ships (quarks, wilson), found no such file" in capsys.readouterr().err


def test_help_states_only_bounds_that_there_are():
    text = CliRunner().invoke(command, ["--help"]).output
    assert "None" not in text and "0<x<=100" in text
