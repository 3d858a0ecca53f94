"""Observables: numbers of GPT and MILC, closed forms, symmetries."""

import json
import math

import pytest
import torch

from l2hmc_bridge.fields import loops
from l2hmc_bridge.observables import flow, standard as obs
from l2hmc_bridge.observables.topology import FIVE_LOOPS
from l2hmc_bridge.systems.actions import cold_start
from tests.conftest import reference_file
from tests.support.continuum import constant_flux, instanton, permuted, reflected
from tests.support.fields import gauge_transform, rough_links

GPT_FILES = [
    "milc_l4x6x8x10_b6.0.ildg",
    "lat.sample.l4444.ildg",
    "lat.sample.l4448",
    "lat.sample.inst",
    "lat.sample.l8888",
    "weak_field.lime",
    "glu_lat.400.nersc",
]


def manifest() -> dict:
    return json.loads(reference_file("manifest.json").read_text())


@pytest.mark.parametrize("name", GPT_FILES)
def test_numbers_of_gpt_and_milc(name):
    from l2hmc_bridge.adapters.files.table import read

    links = read(reference_file(name)).links
    expected = manifest()["observables"][name]
    gpt = obs.measure(links, traceless=False)
    ours = {key: float(value) for key, value in gpt.items()}
    ours["topological_charge_5LI"] = ours["topological_charge_5li"]
    ours["rectangle_2x1"] = float(obs.rectangle_gpt(links))
    names = ("plaquette", "rectangle_2x1", "link_trace", "topological_charge",
             "topological_charge_5LI", "energy_density")
    for key in names:
        assert ours[key] == pytest.approx(expected["gpt"][key], rel=1e-11), key
    traceless = obs.measure_flowed(links)
    for key, value in expected["traceless_clover"].items():
        assert float(traceless[key]) == pytest.approx(value, rel=1e-11), key
    planes = manifest()["files"][name]
    for key in ("plaquette_spatial", "plaquette_temporal"):
        assert ours[key] == pytest.approx(planes[key], rel=1e-11), key


def test_measure_agrees_with_the_single_functions(generator):
    links = rough_links(generator, chains=2)
    together = obs.measure(links)
    assert len(together) >= 20
    for name, value in together.items():
        assert value.shape == (2,) and value.dtype == torch.float64
        assert torch.allclose(value, obs.MEASUREMENTS[name](links), rtol=1e-13, atol=1e-13), name


def test_unit_field_is_trivial():
    links = cold_start((4, 2, 6, 3), 2)
    for name, function in obs.MEASUREMENTS.items():
        value = function(links)
        zero = name.endswith(("imag", "defect")) or "charge" in name or "energy" in name
        assert torch.equal(value, torch.full((2,), 0.0 if zero else 1.0).double()), name


def test_gauge_invariance_of_every_observable(generator):
    links = rough_links(generator)
    turned, _ = gauge_transform(links, generator)
    for name, function in obs.MEASUREMENTS.items():
        if "defect" in name or name == "link_trace":
            continue
        assert float((function(turned) - function(links)).abs()) < 1e-12, name
    # The link trace is the one that is not invariant: the transformation did something.
    assert float((obs.MEASUREMENTS["link_trace"](turned) - loops.link_trace(links)).abs()) > 1e-3


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_reflections_flip_the_charge_only(generator, axis):
    links = rough_links(generator)
    mirrored = reflected(links, axis)
    for name in obs.MEASUREMENTS:
        before, after = (float(obs.MEASUREMENTS[name](u)) for u in (links, mirrored))
        sign = -1 if "charge" in name else 1
        if name == f"polyakov_loop_{obs.DIRECTIONS[axis]}_imag":
            sign = -1
        assert after == pytest.approx(sign * before, abs=1e-12), name
    assert abs(float(obs.topological_charge(links))) > 1e-2


@pytest.mark.parametrize("order, sign", [((0, 2, 3, 1), 1), ((0, 2, 1, 3), -1), ((1, 0, 3, 2), 1)])
def test_rotations_permute_planes(generator, order, sign):
    links = rough_links(generator)
    turned = permuted(links, order)
    before, after = obs.measure(links), obs.measure(turned)
    for name in ("plaquette", "link_trace", "energy_density", "energy_density_plaquette"):
        assert float(after[name]) == pytest.approx(float(before[name]), abs=1e-13)
    for name in ("topological_charge", "topological_charge_5li"):
        assert float(after[name]) == pytest.approx(sign * float(before[name]), abs=1e-12)
    for name, (mu, nu) in zip(obs.PLANE_NAMES, loops.PLANES, strict=True):
        plane = tuple(sorted((order[mu], order[nu])))
        old = obs.PLANE_NAMES[loops.PLANES.index(plane)]
        assert float(after[name]) == pytest.approx(float(before[old]), abs=1e-13)
    for mu in range(4):
        moved = obs.polyakov_loop(turned, mu), obs.polyakov_loop(links, order[mu])
        assert torch.allclose(*moved, atol=1e-13)


def test_rotation_by_a_quarter_turn_keeps_everything(generator):
    """x -> y, y -> -x: a transposition and a reflection."""
    links = rough_links(generator)
    turned = reflected(permuted(links, (0, 2, 1, 3)), 1)
    for name in ("plaquette", "topological_charge", "topological_charge_5li", "rectangle",
                 "energy_density", "wilson_loop_2x1", "wilson_loop_3x2"):
        function = obs.MEASUREMENTS[name]
        assert float(function(turned)) == pytest.approx(float(function(links)), abs=1e-12), name


def test_wilson_loops_are_plaquettes_and_rectangles(generator):
    links = rough_links(generator)
    table = loops.rectangles(links)
    assert torch.allclose(obs.wilson_loop(links, 1, 1), obs.plaquette_temporal(links))
    assert torch.allclose(obs.wilson_loop(links, 2, 1), table[:, 1:, 0].mean(1))
    assert torch.allclose(obs.wilson_loop(links, 1, 2), table[:, 0, 1:].mean(1))
    total = 0
    for m in (2, 3, 4):
        loop = loops.path_product(links, (m, m, m, 1, 1, -m, -m, -m, -1, -1))
        total = total + loop.diagonal(dim1=-2, dim2=-1).sum(-1).real.mean() / 9
    assert torch.allclose(obs.wilson_loop(links, 3, 2), total)


def test_charge_density_sums_to_the_charge(generator):
    links = rough_links(generator, chains=2)
    density = obs.charge_density(links)
    assert density.shape == (2, *links.shape[2:6])
    assert torch.allclose(density.sum((1, 2, 3, 4)), obs.topological_charge(links))
    moved = torch.roll(links, (1, 2), (3, 5))
    assert torch.allclose(obs.charge_density(moved), torch.roll(density, (1, 2), (2, 4)))


@pytest.mark.parametrize("first, second", [(1, 1), (2, -1), (-1, -3), (3, 2), (0, 2)])
def test_constant_abelian_flux(first, second):
    """Q = (V / 4 pi^2) 2 sin(2 pi n1 / Lx Ly) sin(2 pi n2 / Lz Lt): sign and value."""
    lattice = (4, 6, 8, 10)
    links = constant_flux(lattice, first, second)
    one, two = 2 * math.pi * first / 48, 2 * math.pi * second / 40
    exact = math.prod(lattice) / (4 * math.pi**2) * 2 * math.sin(one) * math.sin(two)
    assert float(obs.topological_charge(links)) == pytest.approx(exact, abs=1e-12)
    assert float(obs.topological_charge(links, traceless=False)) == pytest.approx(exact, abs=1e-12)
    energy = 2 * (math.sin(one) ** 2 + math.sin(two) ** 2)
    assert float(obs.energy_density(links)) == pytest.approx(energy, abs=1e-12)
    five_loop = sum(
        coefficient / (m * n) ** 2 * math.sin(m * n * one) * math.sin(m * n * two)
        for m, n, coefficient in FIVE_LOOPS
    ) * math.prod(lattice) / (2 * math.pi**2)
    assert float(obs.topological_charge_5li(links)) == pytest.approx(five_loop, abs=1e-12)


def test_abelian_charge_tends_to_an_integer():
    clover, improved = [], []
    for size in (4, 8):
        links = constant_flux((size,) * 4, 1, 1)
        clover.append(abs(float(obs.topological_charge(links)) - 2))
        improved.append(abs(float(obs.topological_charge_5li(links)) - 2))
    # The relative error of the clover is omega^2 / 3, a factor 16 when the length doubles.
    assert clover[1] < clover[0] / 14 and clover[1] < 0.01
    assert improved[1] < clover[1] / 2 and improved[1] < improved[0] / 64


@pytest.mark.slow
def test_instanton_keeps_its_charge_under_flow():
    links = instanton((16, 16, 16, 16), 3.0)
    signs = set()
    for time, flowed in flow.integrate(links, [0.0, 2.0], 0.15):
        clover, improved = obs.topological_charge(flowed), obs.topological_charge_5li(flowed)
        assert abs(abs(float(improved)) - 1) < 0.02, time
        assert abs(abs(float(clover)) - 1) < 0.12, time
        signs |= {math.copysign(1, float(clover)), math.copysign(1, float(improved))}
    assert len(signs) == 1


def test_odd_and_tiny_extents_work(generator):
    for lattice in ((3, 5, 2, 1), (1, 1, 1, 1), (7, 3, 3, 3)):
        links = rough_links(generator, lattice)
        turned, _ = gauge_transform(links, generator)
        for name, value in obs.measure(links).items():
            assert bool(torch.isfinite(value).all())
            if name != "link_trace":
                assert float(obs.MEASUREMENTS[name](turned)) == pytest.approx(
                    float(value), abs=1e-12
                )
