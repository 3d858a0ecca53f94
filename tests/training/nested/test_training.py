"""Training of nested steps on a host that costs nothing: what is learned, kept and refused."""

import json
import math

import pytest
import torch

from l2hmc_bridge.bundle import nested as bundle
from l2hmc_bridge.cli import main
from l2hmc_bridge.errors import BundleError, ConfigError, StreamError
from l2hmc_bridge.sampling.integrators import Schedule, schedule
from l2hmc_bridge.training import levenberg
from l2hmc_bridge.training.nested import checkpoint, config, host, loop, outcome
from l2hmc_bridge.training.nested.sample import Sample, accepted, forces, ratio, softened, worth
from l2hmc_bridge.training.nested.shape import plan_of, values_of

HOSTS = "tests.support.nested_host"
TABLE = {
    "name": "small", "host": "tests.support.nested_host:rectangles", "beta": 2.0,
    "lattice": [2, 2, 4, 2], "chains": 6, "thermalisation": 4, "iterations": 3, "resample": 2,
    "parameters": {"strength": 1.5}, "inner": {"integrator": "omf4"},
    "level": [{"terms": ["quarks"], "integrator": "leapfrog", "steps": 4, "length": 1.0,
               "inside": 0.3}],
}


def settings(**changes):
    return config.parse({**TABLE, **changes})


@pytest.mark.parametrize("name, steps", [("leapfrog", 3), ("omf2", 2), ("omf4", 1),
                                         ("force_gradient", 2)])
def test_a_schedule_is_its_free_numbers(name, steps):
    plan = schedule(name, 0.3, steps)
    again = plan_of(values_of(plan), plan)
    for one, other in zip(again, plan, strict=True):
        assert one == pytest.approx(other, abs=1e-15)
    moved = plan_of(values_of(plan) + 0.01, plan)
    assert sum(moved.kicks) == pytest.approx(sum(plan.kicks))
    assert sum(moved.drifts) == pytest.approx(sum(plan.drifts))
    assert all(part == part[::-1] for part in moved)


def test_ends_leave_the_inside_to_one_factor():
    plan = schedule("leapfrog", 0.2, 9)
    numbers = values_of(plan, 2)
    assert len(numbers) == 4
    for one, other in zip(plan_of(numbers, plan, 2), plan, strict=True):
        assert one == pytest.approx(other, abs=1e-15)
    moved = plan_of(numbers * torch.tensor([0.6, 1.1, 0.7, 1.0], dtype=torch.float64), plan, 2)
    for part, old in zip(moved[:2], plan[:2], strict=True):
        assert part == part[::-1] and sum(part) == pytest.approx(sum(old))
        assert max(part[2:-2]) == pytest.approx(min(part[2:-2]))
    assert moved.kicks[:2] == pytest.approx((0.6 * 0.1, 1.1 * 0.2))
    assert moved.drifts[:2] == pytest.approx((0.7 * 0.2, 0.2))
    assert len(values_of(schedule("leapfrog", 0.2, 4), 9)) == 2 + 1  # more ends than there are


def test_free_numbers_are_half_and_no_more():
    assert len(values_of(schedule("leapfrog", 0.1, 4))) == 2 + 1
    assert len(values_of(schedule("force_gradient", 0.1, 2))) == 2 + 1 + 1
    assert values_of(Schedule((0.5, 0.5), (1.0,), (0.0, 0.0))).numel() == 0


def test_levenberg_finds_a_minimum_with_both_slopes():
    def residuals(x):
        return torch.stack([x[0] - 1, 10 * (x[1] - x[0] ** 2), 0.1 * x[1]])

    for slopes in (levenberg.central, levenberg.ahead):
        x, damping = torch.tensor([-1.0, 0.5], dtype=torch.float64), levenberg.DAMPING
        for _ in range(30):
            fit = levenberg.iterate(residuals, x, damping, slopes)
            x, damping = fit.values, fit.damping
        assert abs(x[0] - 1) < 0.02 and abs(x[1] - x[0] ** 2) < 0.01


def test_acceptance_counts_a_point_by_the_size_of_its_error():
    """<2 / (1 + e^|r|)> = <min(1, e^r)> where <e^r> = 1: Gaussian r of mean -s^2/2 and width s."""
    width = 1.1
    r = width * torch.special.ndtri((torch.arange(200000, dtype=torch.float64) + 0.5) / 200000)
    r = r - width**2 / 2
    expected = math.erfc(width / math.sqrt(8))
    assert float(r.clamp(max=0).exp().mean()) == pytest.approx(expected, abs=1e-4)
    assert float(accepted(r).mean()) == pytest.approx(expected, abs=1e-4)
    assert float(accepted(torch.tensor(1e6))) == 0.0


def test_softened_errors_are_errors_while_small():
    r = torch.tensor([-1e-3, 0.0, 0.5, 200.0, 1e6], dtype=torch.float64)
    soft = softened(r)
    assert soft[0] == pytest.approx(-1e-3, rel=1e-6) and soft[1] == 0
    assert soft.square() == pytest.approx(2 * (1 + r.square()).sqrt() - 2)
    assert loop._acceptance(soft[2:3]) == pytest.approx(float(accepted(r[2:3]).mean()))


@pytest.mark.slow
def test_every_sample_begins_at_the_acceptance_asked_for():
    given = settings(acceptance=0.7, iterations=1)
    run = loop.begin(given, host.find(given))
    loop.iterate(run)
    scaled = host.start(given, host.find(given)).scaled(run.kernel.scale)
    found = float(accepted(run.sample.residuals(scaled)).mean())
    assert found == pytest.approx(0.7, abs=0.03)
    assert run.rows[0].acceptance > found and run.kernel.length == pytest.approx(scaled.length)


@pytest.mark.slow
def test_training_lowers_the_energy_error_and_keeps_the_length():
    run = loop.begin(settings(acceptance=0), host.find(settings()))
    before = run.kernel
    rows = []
    assert loop.train(run, rows.append)
    assert [row.iteration for row in rows] == [0, 1, 2]
    fresh = Sample(run.links, (71, 72, 73, 74))
    losses = [float(fresh.residuals(one).square().mean()) for one in (before, run.kernel)]
    assert losses[1] < 0.5 * losses[0]
    assert run.kernel.length == pytest.approx(before.length)
    assert run.kernel.levels[0].counts == before.levels[0].counts == (1, 1, 1, 1)


@pytest.mark.slow
def test_the_inner_step_is_trained_if_asked_for():
    given = settings(inner={"integrator": "omf2", "train": True}, iterations=1)
    run = loop.begin(given, host.find(given))
    before = run.kernel.inner.steps.kicks.detach().clone()
    loop.iterate(run)
    assert (run.kernel.inner.steps.kicks - before).abs().max() > 1e-4
    frozen = loop.begin(settings(iterations=1), host.find(settings()))
    before = frozen.kernel.inner.steps.kicks.detach().clone()
    loop.iterate(frozen)
    assert torch.equal(frozen.kernel.inner.steps.kicks, before)


@pytest.mark.slow
def test_worth_is_that_of_its_definition():
    """Acceptance is 0.8 at the scale found; cost counts the force of the noise."""
    given = settings()
    kernel = host.start(given, host.find(given))
    links = loop.thermalised(given, kernel)
    found = worth(kernel, [Sample(links, (1, 2, 3))])
    infos = Sample(links, (1, 2, 3)).infos(kernel.scaled(found.scale))
    ratios = torch.cat([info.log_ratio for info in infos])
    assert float(accepted(ratios).mean()) == pytest.approx(0.8, abs=0.03)
    assert found.cost == forces(infos) == 5
    assert found.value == pytest.approx(kernel.scaled(found.scale).length / 5)
    same, error = ratio(found, found)
    assert same == 1.0 and error == 0.0 and found.error > 0


def test_two_levels_start_from_what_their_drifts_need():
    given = settings(parameters={"strength": 1.0, "terms": 2}, level=[
        {"terms": ["heavy"], "integrator": "omf2"},
        {"terms": ["ratio"], "integrator": "omf4", "steps": 1, "length": 1.0, "inside": 0.3}])
    kernel = host.start(given, host.find(given))
    inner, outer = kernel.levels
    assert [level.name for level in kernel.levels] == ["heavy", "ratio"]
    assert outer.counts == (1, 1, 2, 1, 1) and inner.length == pytest.approx(
        max(abs(d) / n for d, n in zip(outer.plan.drifts, outer.counts, strict=True)))
    assert inner.counts == (1, 1) and kernel.length == pytest.approx(1.0)


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    given = settings()
    whole = loop.begin(given, host.find(given))
    loop.train(whole, lambda row: None)
    run = loop.begin(given, host.find(given))
    loop.iterate(run)
    checkpoint.save(run, tmp_path / "c")
    again = checkpoint.load(given, host.find(given), tmp_path / "c")
    assert again.iteration == 1
    loop.train(again, lambda row: None)
    assert torch.equal(loop.values(again.kernel, given), loop.values(whole.kernel, given))
    with pytest.raises(StreamError, match="another seed"):
        checkpoint.load(settings(seed=2), host.find(given), tmp_path / "c")


@pytest.mark.slow
def test_the_start_is_kept_if_nothing_is_gained(tmp_path, monkeypatch):
    given = settings(iterations=1)
    run = loop.begin(given, host.find(given))
    spoiled = loop.values(run.kernel, given) * torch.tensor([1.3, 0.8, 1.2], dtype=torch.float64)
    run.kernel = loop.assembled(run.kernel, given, spoiled)
    found = outcome.finish(run, tmp_path / "b.safetensors", {})
    assert found["kept"] == "start" and found["gain"] < 1
    loaded = bundle.load(tmp_path / "b.safetensors")
    expected = [found["start"]["scale"] * one for one in schedule("leapfrog", 0.25, 4).kicks]
    assert loaded.levels[0].plan.kicks == pytest.approx(expected)


@pytest.mark.parametrize("gain, error, kept", [
    (1.006, 0.056, "start"), (1.2, 0.05, "trained")])
def test_a_gain_within_its_error_is_none(gain, error, kept, tmp_path, monkeypatch):
    given = settings()
    there = host.find(given)
    run = loop.Run(given, there, host.start(given, there).scaled(0.5), torch.empty(0))
    monkeypatch.setattr(outcome, "validate", lambda run: {
        "gain": gain, "gain_error": error, "start": {"scale": 2.0}, "trained": {"scale": 1.0}})
    found = outcome.finish(run, tmp_path / "b.safetensors", {})
    assert found["kept"] == kept
    length = bundle.load(tmp_path / "b.safetensors").kernel.length
    assert length == pytest.approx({"start": 2.0, "trained": 0.5}[kept])


@pytest.mark.parametrize("line", ['kappa = "a"', "kappa = 2", "mass = 1.0"])
def test_a_host_that_fails_is_said_in_one_line(line, tmp_path, capsys):
    path = tmp_path / "nested.toml"
    path.write_text(f'name = "small"\nhost = "{HOSTS}:broken"\nbeta = 2.0\n'
                    'lattice = [2, 2, 4, 2]\n[[level]]\nterms = ["quarks"]\n'
                    f"[parameters]\n{line}\n")
    assert main(["train", str(path), "--out", str(tmp_path / "n.safetensors")]) == 1
    said, = capsys.readouterr().err.strip().splitlines()
    assert f"{HOSTS}:broken" in said


@pytest.mark.slow
def test_command_line(tmp_path, capsys):
    path, out = tmp_path / "nested.toml", tmp_path / "n.safetensors"
    path.write_text('name = "small"\nhost = "tests.support.nested_host:rectangles"\nbeta = 2.0\n'
                    'lattice = [2, 2, 4, 2]\nchains = 4\nthermalisation = 2\niterations = 1\n'
                    '[[level]]\nterms = ["quarks"]\nsteps = 2\n')
    assert main(["train", str(path), "--out", str(out), "--no-gate"]) == 0
    assert "MD time per host force" in capsys.readouterr().out
    loaded = bundle.load(out)
    assert loaded.host == "rectangles" and loaded.parameters["strength"] == 0.8
    assert loaded.meta["provenance"]["config"]["levels"][0]["steps"] == 2
    assert json.dumps(loaded.meta["provenance"]["validation"])
    assert not (tmp_path / "n.safetensors.checkpoint").exists()
    assert main(["train", str(path), "--out", str(out)]) == 1
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize("changes, message", [
    ({"host": "nowhere"}, "package.module:factory"),
    ({"host": "no.such.module:f"}, "no.such.module that imports"),
    ({"host": "tests.support.nested_host:missing"}, "a function missing"),
    ({"host": "tests.support.nested_host:nothing", "parameters": {}}, "return a Host"),
    ({"parameters": {"mass": 1.0}}, "parameters: .*mass"),
    ({"host": f"{HOSTS}:broken", "parameters": {}}, "raises KeyError$"),
    ({"host": f"{HOSTS}:broken", "parameters": {"kappa": "a"}},
     f"host: expected {HOSTS}:broken to make its terms of kappa = 'a'.*raises TypeError: '>' not"),
    ({"host": f"{HOSTS}:broken", "parameters": {"kappa": 2}},
     "of kappa = 2 on .*raises ValueError: kappa 2 is not of this world"),
    ({"host": f"{HOSTS}:named", "parameters": {"kind": "clover"}},
     "host 'clover': parameters: kind: expected a finite number, found 'clover'"),
    ({"host": "tests.support.host_that_fails:f"}, "that imports, found that it raises NameError"),
    ({"level": [{"terms": ["quarks"], "steps": 4, "length": 1.0, "inside": 1e-5}]},
     "at most 10000 steps of the inner level"),
    ({"level": [{"terms": ["light"]}]}, r"\['quarks'\], each in one level, found \['light'\]"),
    ({"level": []}, "at least one"),
    ({"level": [{"terms": ["quarks"], "steps": 0}]}, "steps > 0"),
    ({"level": [{"terms": ["quarks"], "integrator": "euler"}]}, "level.integrator"),
    ({"level": [{"terms": ["quarks", "quarks"]}]}, "each term once"),
    ({"level": [{"terms": ["quarks"], "train": False}]}, "something to train"),
    ({"level": [{"terms": ["quarks"], "ends": -1}]}, "level.ends"),
    ({"chains": 1, "validation_draws": 1}, "validation_draws: expected .* no error, found 1"),
    ({"acceptance": 1.0}, "acceptance: expected 0 <="),
    ({"level": [{"term": ["quarks"]}]}, "level.term: unknown key"),
    ({"level": [{"terms": [1]}]}, "level.terms: expected tuple"),
    ({"lattice": [4, 4, 4]}, "four even extents"),
    ({"lattice": [4, 4, 4, 3]}, "four even extents"),
    ({"beta": -1.0}, "beta: expected > 0"),
    ({"chains": 0}, "chains: expected > 0"),
    ({"action": "staggered"}, "action: expected one of"),
    ({"inner": {"bundle": "none.safetensors"}}, "none.safetensors"),
])
def test_bad_files_are_refused_by_key(changes, message):
    with pytest.raises((ConfigError, BundleError), match=message):
        given = settings(**changes)
        host.start(given, host.find(given))


def test_links_of_another_lattice_are_refused(generator):
    given = settings()
    with pytest.raises(ConfigError, match="lattice: expected links on"):
        loop.begin(given, host.find(given), torch.zeros(1, 4, 2, 2, 2, 2, 3, 3).to(
            torch.complex128))
