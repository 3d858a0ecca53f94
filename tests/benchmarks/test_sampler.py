"""The table of efficiencies: settings that JSON holds, a run that goes on, a page of every row."""

import json

import pytest
import torch

from benchmarks.sampler import kernels, measure, run, table
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.mixture import Mixture
from tests.support.fields import rough_links

BETA = 5.7


@pytest.fixture
def links(generator):
    return rough_links(generator, (2, 2, 2, 4), 2, 0.3)


@pytest.mark.parametrize("name", kernels.families([], large=False))
def test_every_kernel_can_be_scanned_stored_and_run(name, links, monkeypatch):
    monkeypatch.setattr(kernels, "TARGETS", (0.7,))
    monkeypatch.setattr(kernels, "LENGTHS", (1.0,))
    monkeypatch.setattr(kernels, "REPEATS", (1,))
    settings = kernels.candidates(name, BETA, links)
    assert settings and json.loads(json.dumps(settings)) == settings
    for setting in settings:
        assert name.split(" of ")[0] == kernels.family(setting)
        kernel = kernels.kernel_of(setting, BETA)
        with torch.no_grad():
            state, info = kernel.step(kernel.init(links), torch.Generator().manual_seed(1))
        assert info.force_evaluations > 0 and state.links.isfinite().all()


def test_steps_fit_the_acceptance_that_is_wanted(links):
    setting = {"kind": "steps", "steps": "omf4", "rho": 0.06, "repeats": 1}
    made = kernels.scaled_to(setting, BETA, links, 0.7)
    scales = (made["scale"], 1.5 * made["scale"])
    found = [kernels.predicted_acceptance(kernels.kernel_of({**made, "scale": scale}, BETA), links)
             for scale in scales]
    assert found[0] > 0.68 > found[1]


def test_costs_name_what_a_host_pays_for(links):
    plain = kernels.kernel_of({"kind": "hmc", "integrator": "omf2", "length": 1.0, "steps": 3},
                              BETA)
    found = measure.costs(plain, links, 6.0, 0.1)
    assert found["host_forces"] == found["gauge_forces"] == 6 and found["md_length"] == 1
    moved = kernels.kernel_of({"kind": "steps", "steps": "omf4", "rho": 0.06, "repeats": 1,
                               "scale": 1.0}, BETA)
    found = measure.costs(moved, links, 10.0, 0.1)
    assert found["host_forces"] == 10 and found["gauge_forces"] > 20
    for bath in (HeatBath(plain.action), Mixture([(plain, 1), (HeatBath(plain.action), 1)])):
        assert measure.costs(bath, links, 5.0, 0.1)["host_forces"] is None


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_and_writes_its_page(tmp_path, capsys):
    out = tmp_path / "e.json"
    words = ["--lattice", "4", "--beta", "5.7", "--scan-seconds", "0.1", "--chains", "2", "--out",
             str(out)]
    run.main([*words, "--only", "heat bath 4 + 4", "--only", "HMC omf2", "--seconds", "1"])
    report = json.loads(out.read_text())
    assert {row["family"] for row in report["long"]} == {"HMC omf2", "heat bath 4 + 4"}
    capsys.readouterr()
    run.main([*words, "--only", "heat bath 4", "--only", "heat bath 1 + 1", "--seconds", "0.5"])
    again = json.loads(out.read_text())
    assert again["long"][:len(report["long"])] == report["long"]  # nothing is measured twice
    assert len(again["long"]) == len(report["long"]) + 1
    page = out.with_suffix(".md").read_text()
    for row in again["long"]:
        assert page.count(f"| {table.title(row)} |") >= 2
    assert "## 4^4, beta 5.7" in page and "tau_int x host forces" in page
    assert "heat bath" not in page.split("tau_int x host forces")[1].split("Times less")[0]
    assert page.split(" in ms\n")[1].count("heat bath 4 + 4") == 1  # against HMC omf2
    assert capsys.readouterr().out.count("jump per second") == 1  # one setting needs no scan
    run.main(["--costs", "--out", str(out)])
    costs = {"seconds_per_trajectory", "seconds_per_force", "gauge_forces", "host_forces"}
    for old, new in zip(again["long"], json.loads(out.read_text())["long"], strict=True):
        assert {key for key in old if old[key] != new[key]} <= costs
        assert new["seconds_per_trajectory"] != old["seconds_per_trajectory"]


def test_numbers_are_claimed_only_where_they_are_known():
    assert table.claimed(10.0, 0.7, 2.0) == "**20.0(14)**"
    assert table.claimed(10.0, 0.9, 2.0) == "20.0(18)"
    assert table.claimed(None, None, 2.0) == table.claimed(1.0, float("nan"), 1.0) == "not resolved"
