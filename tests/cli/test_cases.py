"""Cases from public bug reports and real files, `../shared/cases`: every verb says what is right.

Inputs of the same kinds that are made here: tests/cli/test_every_verb.py, test_theory_of_files.py,
test_trajectory_numbers.py, tests/adapters/logs.
"""

import json
import shutil

import numpy as np
import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.cli import main
from tests.conftest import REFERENCE
from tests.support.verbs import VERBS, run

XYZT = "4,4,4,8"
READING = [verb for verb in VERBS if verb != "sample --continue"]
PLAQUETTE = 0.5870033844184435
HMC = ("--kernel", "hmc", "--tune", "0", "--seed", "1", "-n", "1")


@pytest.fixture
def case(tmp_path):
    """A copy of a case, by its name; skips where the folder is absent."""

    def copy(name):
        path = REFERENCE.parent / "cases" / name
        if not path.exists():
            pytest.skip(f"case {name} not found beside {REFERENCE}")
        return shutil.copy(path, tmp_path / name)

    return copy


def on(verb, path, capsys, *words, action="wilson"):
    """A verb on a case; beta belongs to sample alone, whose files state none."""
    return run(verb, path, capsys, *words, action=action, xyzt=XYZT)


def beta(verb):
    return ("--beta", "6.0") if verb == "sample" else ()


@pytest.mark.parametrize("name, action, stated", [
    ("tm_wilson.lime", "wilson", 6.0), ("tm_tlsym.lime", "symanzik", 4.05),
    ("chroma_wilson.lime", "wilson", 6.0)])
def test_the_action_of_a_file_is_sampled(name, action, stated, case, tmp_path, capsys):
    path = case(name)
    assert f"{action} (" in on("info", path, capsys).said
    assert on("sample", path, capsys).status == 0
    made = json.loads((tmp_path / "sample_out" / "stream" / "summary.json").read_text())
    assert made["action"] == {"name": action, "beta": stated}
    other = {"wilson": "iwasaki", "symanzik": "wilson"}[action]
    found = on("sample", path, capsys, "--action", other)
    assert found.status == 1 and action in found.said
    assert on("train", path, capsys, action=action).status == 0
    assert on("train", path, capsys, action=other).status == 1


@pytest.mark.parametrize("name, action, words", [
    ("tm_iwasaki_quarks.lime", "iwasaki", "kappa = 0.1373, mu = 0.006"),
    ("chroma_quarks.lime", "wilson", "TWO_FLAVOR_EOPREC_CONSTDET_FERM_MONOMIAL")])
def test_quarks_are_said_and_need_consent(name, action, words, case, tmp_path, capsys):
    path = case(name)
    found = on("info", path, capsys)
    assert words in found.said and f"{action} (" in found.said
    for verb in ("sample", "train"):
        found = on(verb, path, capsys, action=action)
        assert found.status == 1 and words in found.said and "--quenched" in found.said
        found = on(verb, path, capsys, "--quenched", action=action)
        assert found.status == 0, found.said
        first = found.said[found.said.index("l2hmc-bridge: "):]
        assert first.startswith(f"l2hmc-bridge: {path}: tells of quarks")
    made = json.loads((tmp_path / "sample_out" / "stream" / "summary.json").read_text())
    assert made["action"]["name"] == action


@pytest.mark.parametrize("name, words", [
    ("open_boundary.ildg", "open boundaries (time links 0 on the last slice)"),
    ("antiperiodic.ildg", "anti-periodic fermion boundaries multiplied into the links"),
    ("staggered_phases.ildg", "staggered phases"),
    ("su2_called_su3.nersc", "holds SU(2)")])
@pytest.mark.parametrize("verb", READING)
def test_what_a_field_is_is_named(verb, name, words, case, capsys):
    found = on(verb, case(name), capsys, *beta(verb))
    assert found.status == 1 and words in found.said


@pytest.mark.parametrize("verb", READING)
def test_a_payload_alone_takes_a_lattice(verb, case, capsys):
    path = case("payload_only.ildg")
    assert on(verb, path, capsys, *beta(verb)).status == 1
    found = on(verb, path, capsys, *beta(verb), "--lattice", XYZT)
    assert found.status == 0, found.said


def test_drift_is_mended(case, capsys):
    path = case("drift.ildg")
    assert on("convert", path, capsys).status == 1
    found = on("convert", path, capsys, "--reunitarize")
    assert found.status == 0 and "max|UU^+ - 1|, max|det U - 1| was 7.1e-04" in found.said
    assert "projected to SU(3)" in files.read(found.out / "x.ildg").meta["reunitarized"]
    assert on("sample", path, capsys, "--beta", "6").status == 0


@pytest.mark.parametrize("verb", ["convert", "measure", "validate", "sample", "train"])
def test_a_wrong_stated_plaquette_can_be_accepted(verb, case, capsys):
    path = case("wrong_plaquette.lime")
    found = on(verb, path, capsys, *beta(verb))
    assert found.status == 1 and "plaquette" in found.said
    found = on(verb, path, capsys, *beta(verb), "--accept", "plaquette")
    assert found.status == 0 and "accepted (--accept plaquette)" in found.said


@pytest.mark.parametrize("verb", READING)
def test_a_text_of_bridge_is_read(verb, case, capsys):
    path = case("bridge_text.txt")
    found = on(verb, path, capsys, *beta(verb), "--lattice", XYZT)
    assert found.status == 0, found.said


def test_a_text_of_bridge_has_the_links_of_the_ildg_file(case, tmp_path, capsys):
    text = files.read(case("bridge_text.txt"), lattice=(4, 4, 4, 8))
    ildg = files.read(case("payload_only.ildg"), lattice=(4, 4, 4, 8))
    assert (text.links - ildg.links).abs().max() < 1e-12
    again = tmp_path / "again.bridge"
    files.write(again, ildg)
    assert torch.equal(files.read(again, lattice=(4, 4, 4, 8)).links, ildg.links)


@pytest.mark.parametrize("name", ["chroma_meas.xml", "chroma_meas_killed.xml",
                                  "chroma_meas_nested_declaration.xml"])
def test_a_log_of_a_measurement_is_compared(name, case, tmp_path, capsys):
    path, log, out = case("chroma_wilson.lime"), case(name), tmp_path / "v.json"
    assert main(["validate", str(path), "--reference", str(log), "--json", str(out)]) == 0
    content = json.loads(out.read_text())
    names = [check["name"] for check in content["checks"]]
    assert len(names) >= 1 and all(check["passed"] for check in content["checks"])
    assert any("plaquette" in one for one in names)
    if "killed" in name:
        assert any("broke" in note or "break" in note or "cut short" in note
                   for note in content["notes"]), content["notes"]


@pytest.mark.parametrize("name", ["full.csv", "holes.csv"])
def test_tau_int_of_numbered_series(name, case, tmp_path, capsys):
    """AR(1) with tau_int 4.5 exactly, whole and with a quarter of its rows missing."""
    path, out = case(name), tmp_path / "a.json"
    assert main(["analyze", str(path), "--cut", "0", "--json", str(out)]) == 0
    (found,) = json.loads(out.read_text())
    (series,) = found["observables"].values()
    assert abs(series["tau_int"] - 4.5) < 2 * series["tau_int_error"] < 1.6
    numbers = np.loadtxt(path, delimiter=",", skiprows=1)[:, 0]
    assert found["trajectories"] == int(numbers[-1] - numbers[0]) + 1 == 8000
    assert (found["gaps"] is None) == (name == "full.csv")
