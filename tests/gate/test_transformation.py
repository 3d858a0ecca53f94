"""Rows of the gate for the field transformation: right ones pass, each defect fails its own row."""

from dataclasses import replace

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.errors import BundleError, ConfigError
from l2hmc_bridge.fast.smearing import Rules
from l2hmc_bridge.fields import su3
from l2hmc_bridge.gate import expected, laws, rows as gate, transformation
from l2hmc_bridge.l2hmc.transformed import TransformedAction
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.systems.actions import gauge_action
from tests.l2hmc.test_kernel import make_kernel
from tests.support import gates
from tests.support.fields import rough_links
from tests.support.transformations import random_transformation

LATTICE = (2, 2, 2, 4)
SHORT = tuple(name.removeprefix("transformation: ") for name in transformation.NAMES)
INVERSE, CHANGE, TRAINED, RANDOM, GAUGE, TRANSLATED, FORCE = SHORT


def kernel_for(hidden=3, sweeps=1):
    generator = torch.Generator().manual_seed(3)
    kernel = make_kernel("steps", None, "omf2", step=0.15, action=gauge_action("wilson", 2.0))
    return replace(kernel, transformation=random_transformation(generator, hidden, sweeps))


def failed(kernel, serving="auto"):
    generator = torch.Generator().manual_seed(4)
    links = rough_links(generator, LATTICE, 1, 0.4)
    with fast.using(serving):
        checks = transformation.rows(kernel, links, generator)
    return {one.name.removeprefix("transformation: ") for one in checks if not one.passed}


@pytest.mark.slow
@pytest.mark.parametrize("hidden, sweeps", [(0, 1), (3, 2)])
def test_right_transformations_pass(hidden, sweeps):
    assert failed(kernel_for(hidden, sweeps)) == set()


@pytest.mark.slow
def test_a_whole_gate_passes_with_the_rows_that_a_report_must_have():
    kernel = kernel_for()
    checks = gate.run(kernel, LATTICE, trajectories=150)
    assert not [one for one in checks if not one.passed]
    gates.require_rows(checks, kernel, LATTICE)
    names = [one.name for one in checks]
    assert all(name in names for name in transformation.NAMES)
    if fast.compiled(rough_links(torch.Generator(), (2, 2, 2, 2))):
        assert any(name.startswith("engine, as trained: compiled") for name in names)


def test_without_one_there_are_no_rows(generator):
    assert transformation.rows(make_kernel("steps"), rough_links(generator), generator) == []


class OneStep(FieldTransformation):
    """Planted: the inverse of first order, F with -rho."""

    def inverse(self, links, beta):
        with torch.no_grad():
            self.bias.neg_(), self.weight.neg_()
            found, _ = self(links, beta)
            self.bias.neg_(), self.weight.neg_()
        return found, self(found, beta)[1]


class Sign(FieldTransformation):
    """Planted: the inverse states its own log|J|, not that of F."""

    def inverse(self, links, beta):
        found, change = super().inverse(links, beta)
        return found, -change


class Seven(FieldTransformation):
    """Planted: seven eighths of log|J|, the same both ways."""

    def forward(self, links, beta):
        moved, change = super().forward(links, beta)
        return moved, 0.875 * change

    def inverse(self, links, beta):
        found, change = super().inverse(links, beta)
        return found, 0.875 * change


class Turned(FieldTransformation):
    """Planted: a turn by a fixed matrix, which no gauge transformation respects."""

    def turn(self, sign):
        first = torch.zeros(8, dtype=torch.float64)
        first[3] = sign * 0.01
        return su3.exp(su3.from_components(first))

    def forward(self, links, beta):
        moved, change = super().forward(links, beta)
        return self.turn(1) @ moved, change

    def inverse(self, links, beta):
        return super().inverse(self.turn(-1) @ links, beta)


@pytest.mark.slow
@pytest.mark.parametrize("wrong, rows", [
    (OneStep, {INVERSE, CHANGE}), (Sign, {CHANGE}), (Seven, {TRAINED, RANDOM, FORCE}),
    (Turned, {GAUGE, FORCE}),
])
def test_planted_transformations_fail_their_rows(wrong, rows, monkeypatch):
    kernel = kernel_for()
    made = wrong(1, 3)
    made.load_state_dict(kernel.transformation.state_dict())
    monkeypatch.setattr(architecture, "FieldTransformation", wrong)  # of random networks, too
    assert failed(replace(kernel, transformation=made)) == rows


def test_a_rho_that_knows_its_place_fails_the_translation(generator, monkeypatch):
    honest = Rules.rho

    def placed(self, sweep, staples):
        place = torch.arange(staples.shape[4], dtype=torch.float64)
        return honest(self, sweep, staples) * (1 + 0.1 * torch.cos(place))

    monkeypatch.setattr(Rules, "rho", placed)
    phi, links = transformation.map_of(kernel_for()), rough_links(generator, LATTICE)
    with fast.using("torch"):
        defect = laws.translation_defect(phi, links, torch.zeros_like(links), 3, 2)
        right = laws.translation_defect(phi, links, torch.zeros_like(links), 2, 2)
    bound = transformation.NAMES[f"transformation: {TRANSLATED}"]
    assert right < bound < 1e-4 < defect


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["log|J| left out", "of S at V"])
def test_another_force_fails_its_row(wrong, monkeypatch):
    def force(self, links):
        if wrong == "of S at V":
            return self.inner.force(links)
        zero = FieldTransformation.constant(0.0)
        return self.transformation.force(links, self.beta, self.inner.force) - 0.5 * (
            self.transformation.force(links, self.beta, torch.zeros_like)
            - zero.force(links, self.beta, torch.zeros_like))

    monkeypatch.setattr(TransformedAction, "force", force)
    assert failed(kernel_for()) == {FORCE}


def test_a_bundle_holds_it_and_its_report_must_have_the_rows(tmp_path, generator):
    path, kernel = tmp_path / "b.safetensors", kernel_for(3, 2)
    bundle.save(path, kernel, {}, (1.9, 2.1))
    loaded = bundle.load(path)
    made = loaded.kernel.transformation
    assert made.description() == kernel.transformation.description()
    links = rough_links(generator, LATTICE)
    with torch.no_grad():
        one, other = (k.within().action(links) for k in (kernel, loaded.kernel))
    assert torch.equal(one, other)
    assert architecture.nature(loaded.kernel) == "trained steps, field transformation"
    gates.write(path)
    expected.require(bundle.load(path))
    report = gates.passing(path)
    report["checks"] = [row for row in report["checks"] if not row["name"].endswith("relative")]
    bundle.write_gate(path, report)
    with pytest.raises(BundleError, match="checks: expected a list of"):
        expected.require(bundle.load(path))


@pytest.mark.parametrize("change, found", [
    ({"sweeps": 0}, "transformation: sweeps: expected a number of sweeps from 1 to 64, found 0"),
    ({"hidden": -1}, "hidden: expected a number of units"), ({"bound": 0.2}, "0 < bound < 0.125"),
    ({"bound": float("nan")}, "bound: expected a finite number"),
    ({"rho": 0.1}, "transformation.rho: unknown key"), ({"activation": 1}, "expected a name"),
])
def test_descriptions_are_checked_by_name(change, found):
    kernel = kernel_for()
    description = architecture.describe(kernel)
    description["transformation"].update(change)
    with pytest.raises(ConfigError, match=found.replace("(", ".")):
        architecture.build(description, kernel.action)


def test_descriptions_of_kernels_without_one_stay_what_they_were():
    assert "transformation" not in architecture.describe(make_kernel("all"))
