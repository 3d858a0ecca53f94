"""Nested bundles: the same step after a reload, around the host they name and no other."""

import json
import math
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from l2hmc_bridge import models
from l2hmc_bridge.bundle import file as plain, nested as bundle, store
from l2hmc_bridge.errors import BundleError, ConfigError
from l2hmc_bridge.sampling.draws import draw_momenta
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import corrected_leapfrog, schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.stand_in import stand_in
from l2hmc_bridge.sampling.terms import Host
from l2hmc_bridge.systems.actions import GaugeAction
from tests.l2hmc.test_kernel import make_kernel
from tests.support.fields import rough_links
from tests.support.nested_host import rectangles

HOST = rectangles((2, 2, 2, 4), 0.8, 2)


def kernel(generator):
    inner = make_kernel("kick", generator, "omf2", "palindrome", 1, 0.1, GaugeAction(2.0))
    return Nested(inner, (Level("heavy", HOST.terms[:1], schedule("omf2", 1.0, 1), (1, 1)),
                          Level("ratio", HOST.terms[1:], schedule("force_gradient", 0.2, 1), 2)))


@pytest.fixture
def saved(tmp_path, generator):
    path = tmp_path / "nested.safetensors"
    step = kernel(generator).scaled(0.7)
    bundle.save(path, step, HOST, {"made": "here"})
    return path, step


def test_the_same_step_after_a_reload(saved, generator):
    path, step = saved
    loaded = bundle.load(path)
    again = loaded.on(HOST)
    assert again.scale == 1.0 and again.length == pytest.approx(step.length)
    links = rough_links(generator, (2, 2, 2, 4), chains=2)
    state, momenta = step.refreshed(step.init(links), generator), draw_momenta(links, generator)
    with torch.no_grad():
        ours, theirs = (one.trajectory(state, momenta, generator) for one in (again, step))
    assert (ours.links - theirs.links).abs().max() < 1e-13
    assert (ours.momenta - theirs.momenta).abs().max() < 1e-12
    assert (ours.log_det - theirs.log_det).abs().max() < 1e-12
    assert ours.level_evaluations == theirs.level_evaluations
    assert loaded.meta["provenance"]["made"] == "here" and loaded.gate is None


def test_the_beta_of_the_inner_step_can_be_another(saved):
    assert bundle.load(saved[0], 2.5).inner.action.beta == 2.5


@pytest.mark.parametrize("host, message", [
    (HOST._replace(name="another"), "expected the host 'rectangles'.*found 'another'"),
    (rectangles((2, 2, 2, 4), 0.9, 2), "with strength = 0.8, found 0.9"),
    (HOST._replace(terms=HOST.terms[:1]), r"expected the terms \['heavy', 'ratio'\]"),
])
def test_another_host_is_refused_by_name(saved, host, message):
    with pytest.raises(BundleError, match=message):
        bundle.load(saved[0]).on(host)


@pytest.mark.parametrize("host", [HOST, rectangles((2, 2, 2, 4), 0.3, 1)])
def test_a_bundle_for_any_host_kicks_with_all_of_its_terms(host, tmp_path, generator):
    path, every = tmp_path / "any.safetensors", stand_in("every term", 0)
    inside = kernel(generator).inner
    step = Nested(inside, (Level("all", (every,), schedule("omf2", 1.0, 1), (1, 1)),))
    bundle.save(path, step, Host(bundle.ANY, {}, (every,)), {})
    found = bundle.load(path).on(host)
    level, = found.levels
    assert level.terms == tuple(host.terms) and level.plan == step.levels[0].plan
    assert found.length == pytest.approx(1.0)


def test_any_host_has_one_level(tmp_path, generator):
    path = tmp_path / "any.safetensors"
    bundle.save(path, kernel(generator), HOST._replace(name=bundle.ANY, parameters={}), {})
    with pytest.raises(BundleError, match="expected one level for any host, found 2"):
        bundle.load(path)


def test_the_bundle_that_ships_is_for_any_host():
    """Its steps are those of `corrected_leapfrog`; its gate report is of the steps it has."""
    found = bundle.load(models.path("quarks"), 6.0)
    level, = found.on(HOST).levels
    plan = corrected_leapfrog(max(level.plan.drifts[4:12]), 16)
    for ours, theirs in zip(level.plan, plan, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    assert found.gate is not None and found.gate["passed"] and found.gate["hash"] == found.hash
    gains = found.meta["provenance"]["md_time_per_host_force"]
    assert set(gains) == {"heavy48", "light48", "heavy88", "light88"}


def test_the_level_that_ships_goes_around_a_step_for_another_gauge_action(generator):
    """As the pages on it say: `load` changes beta alone, the inner step keeps the Wilson action."""
    found = bundle.load(models.path("quarks"), 2.0)
    assert found.inner.action == GaugeAction(2.0)
    improved = GaugeAction(2.0, -0.331)
    step = Nested(HMC(improved, 0.5, 2), found.on(HOST).levels)
    links = rough_links(generator, (2, 2, 2, 4))
    state = step.refreshed(step.init(links), generator)
    parts = improved(links) + sum(term(links) for term in HOST.terms)
    assert float(state.action) == pytest.approx(float(parts))
    _, info = step.moved(state, draw_momenta(links, generator), generator)
    assert float(info.delta_h.abs().max()) < 0.5 and step.length == found.on(HOST).length


def test_other_parameters_if_asked_for(saved):
    other = rectangles((2, 2, 2, 4), 0.9, 2)
    assert bundle.load(saved[0]).on(other, other_parameters=True).levels[0].terms[0] is \
        other.terms[0]


def test_forms_are_not_mixed_up(saved, tmp_path, generator):
    with pytest.raises(BundleError, match="need the terms of a host .*how-to/streams-with-quarks"):
        plain.load(saved[0])
    other = tmp_path / "plain.safetensors"
    plain.save(other, kernel(generator).inner, {}, (2.0, 2.0))
    with pytest.raises(BundleError, match="it has no levels"):
        bundle.load(other)
    assert store.form_of(saved[0]) == store.NESTED and store.form_of(other) == store.FORMAT


def test_an_altered_file_is_refused(saved):
    tensors, meta = store.read_file(saved[0], store.NESTED)
    tensors["levels.1.kicks"][0] += 1e-3
    store.write_file(saved[0], tensors, meta)
    with pytest.raises(BundleError, match="it was altered"):
        bundle.load(saved[0])
    store.write_file(saved[0], tensors, {**meta, "hash": store.digest(tensors, meta)})
    with pytest.raises(BundleError, match="the same backwards"):
        bundle.load(saved[0])
    tensors["levels.1.kicks"][-1] += 1e-3
    store.write_file(saved[0], tensors, {**meta, "hash": store.digest(tensors, meta)})
    with pytest.raises(BundleError, match="computes another step"):
        bundle.load(saved[0])


def test_a_missing_part_is_named(saved):
    tensors, meta = store.read_file(saved[0], store.NESTED)
    del tensors["levels.0.drifts"]
    store.write_file(saved[0], tensors, {**meta, "hash": store.digest(tensors, meta)})
    with pytest.raises(BundleError, match=r"levels\.0\.drifts"):
        bundle.load(saved[0])
    del meta["levels"]
    saved[0].write_bytes(safetensors.torch.save(tensors, meta))
    with pytest.raises(BundleError, match="levels"):
        bundle.load(saved[0])


def test_an_inner_step_without_a_bundle_form(generator, tmp_path):
    step = replace(kernel(generator), inner=HMC(GaugeAction(2.0), 0.5, 2))
    with pytest.raises(ConfigError, match="expected an L2HMC"):
        bundle.save(tmp_path / "x", step, HOST, {})


@pytest.mark.parametrize("value", ["clover", math.nan, math.inf, True, None, [1.0]])
def test_a_host_that_no_file_can_hold_is_not_saved(value, generator, tmp_path):
    host = HOST._replace(parameters={"strength": 0.8, "kind": value})
    with pytest.raises(ConfigError, match="host 'rectangles': parameters: kind: expected a finite"):
        bundle.save(tmp_path / "x", kernel(generator), host, {})
    assert not list(tmp_path.iterdir())


def test_more_steps_than_a_file_may_have_are_not_saved(generator, tmp_path, monkeypatch, saved):
    monkeypatch.setattr(bundle, "MOST_STEPS", 31)  # 2 of the inner step, 2 x 2 of heavy, 4 of ratio
    with pytest.raises(ConfigError, match="at most 31 steps of the inner level.*found 32"):
        bundle.save(tmp_path / "x", kernel(generator), HOST, {})
    with pytest.raises(BundleError, match=r"nested.safetensors: .*at most 31 steps.*found 32"):
        bundle.load(saved[0])


def test_the_file_says_its_levels(saved):
    _, meta = store.read_file(saved[0], store.NESTED)
    assert json.loads(meta["host"]) == {"name": "rectangles",
                                        "parameters": {"strength": 0.8, "terms": 2}}
    assert [one["terms"] for one in json.loads(meta["levels"])] == [["heavy"], ["ratio"]]
