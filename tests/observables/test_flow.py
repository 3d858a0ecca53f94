"""Gradient flow: numbers of GPT and MILC, free modes, order of the scheme, scales, smearing."""

import json
import math

import numpy as np
import pytest
import torch

from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.observables import flow, scales, standard as obs
from l2hmc_bridge.systems.actions import cold_start
from tests.conftest import reference_file
from tests.support.continuum import plane_wave
from tests.support.fields import gauge_transform, rough_links

GPT_FILES = ["milc_l4x6x8x10_b6.0.ildg", "lat.sample.l4448", "lat.sample.inst", "weak_field.lime",
             "lat.sample.l4444.ildg", "lat.sample.l8888", "glu_lat.400.nersc"]


def manifest() -> dict:
    return json.loads(reference_file("manifest.json").read_text())


def reference_links(name):
    from l2hmc_bridge.adapters.files.table import read

    return read(reference_file(name)).links


@pytest.mark.parametrize("name", GPT_FILES)
def test_numbers_of_gpt(name):
    points = manifest()["observables"][name]["gpt"]["wilson_flow"]
    times = [point["t"] for point in points]
    flowed = flow.integrate(reference_links(name), times, 0.02)
    for point, (time, links) in zip(points, flowed, strict=True):
        ours = obs.measure_flowed(links, traceless=False)
        for key, value in ours.items():
            scale = 1e-16 if "charge" in key else 0  # where Q itself is no more than rounding
            assert float(value) == pytest.approx(point[key], rel=1e-11, abs=scale), (time, key)


# t: Et, Es, Q of MILC (1e11e121) built in double precision, printed with ten digits; the log in the
# manifest is that of a single-precision build.
MILC_DOUBLE = {
    0.0: (1.057865933, 1.030934998, 0.09554287096),
    0.1: (0.7900415838, 0.7650495964, 0.03897718146),
    0.2: (0.5061247136, 0.4813963927, 0.01663731743),
    0.3: (0.3213837926, 0.2941248533, 0.01067514796),
    0.4: (0.2148912637, 0.1868570188, 0.008015497315),
    0.5: (0.1524522308, 0.1256360952, 0.005703910756),
    0.6: (0.1137701594, 0.08908394584, 0.003806848404),
    0.7: (0.08842345243, 0.06606642472, 0.002434193547),
    0.8: (0.07101144505, 0.0508605076, 0.001503372843),
    0.9: (0.05858315057, 0.040403553, 0.0008869187743),
    1.0: (0.04942714075, 0.03296746321, 0.0004799944198),
}


def test_digits_of_milc():
    """Every digit of MILC in double precision, ten of them; its log where single precision has it.

    MILC's double build reunitarises what it reads by Gram-Schmidt on rows 1 and 2.
    """
    links = _gram_schmidt(reference_links("lat.sample.l4448"))
    log = manifest()["milc_wilson_flow_lat.sample.l4448"]
    agreed = 0
    for time, flowed in flow.integrate(links, list(MILC_DOUBLE), 0.1):
        ours = _milc_row(flowed)
        for a, b in zip(ours, MILC_DOUBLE[time], strict=True):
            assert f"{a:.10g}" == f"{b:.10g}" or abs(a - b) < 1.01e-10 * abs(b), (time, a, b)
        for a, b, c in zip(ours, MILC_DOUBLE[time], log.get(str(time), ()), strict=False):
            assert f"{a:.6g}" == f"{b:.6g}"
            agreed += f"{a:.6g}" == f"{c:.6g}"
    assert agreed == 12  # of 15: the last digit of the others is rounding of the single build


# MILC's own log of the Symanzik flow of the same file, a single-precision build, step 0.1.
MILC_SYMANZIK = {
    0.1: (0.702993, 0.679487, 0.0318912),
    0.2: (0.3965, 0.370493, 0.0147839),
    0.3: (0.24165, 0.213598, 0.0106361),
    0.5: (0.117361, 0.0927153, 0.00433563),
    0.8: (0.0581566, 0.040449, 0.000788772),
    1.0: (0.0419343, 0.0274275, 0.000108379),
}


def test_symanzik_flow_of_milc():
    """Every digit of the energies; the charge within single precision (2e-8) and rounding."""
    links = reference_links("lat.sample.l4448")
    flowed = flow.integrate(links, list(MILC_SYMANZIK), 0.1, "symanzik", any_step=True)
    for time, field in flowed:
        ours, theirs = _milc_row(field), MILC_SYMANZIK[time]
        assert [f"{a:.6g}" for a in ours[:2]] == [f"{b:.6g}" for b in theirs[:2]], time
        assert abs(ours[2] - theirs[2]) < 7e-8, time


def _gram_schmidt(links):
    first = torch.nn.functional.normalize(links[..., 0, :], dim=-1)
    second = links[..., 1, :] - (first.conj() * links[..., 1, :]).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second).conj()], -2)


def _milc_row(links) -> list[float]:
    temporal, spatial = obs.energy_density_parts(links)
    return [float(temporal), float(spatial), float(obs.topological_charge(links))]


@pytest.mark.parametrize("kernel", flow.KERNELS)
def test_free_mode_decays_with_its_rate(kernel):
    """A weak transverse wave: rates k^2 (Wilson), k^2 (1 + k^2/12), that times 1 - k_mu^2/12."""
    lattice = (2, 6, 6, 2)
    amplitude = 1e-5
    links = plane_wave(lattice, (0, 1, 1, 0), (0, amplitude, -amplitude, 0))
    one = 2 - 2 * math.cos(2 * math.pi / 6)
    k2 = 2 * one
    rate = {
        "wilson": k2,
        "symanzik": k2 * (1 + k2 / 12),
        "zeuthen": k2 * (1 + k2 / 12) * (1 - one / 12),
    }[kernel]
    (_, flowed), = flow.integrate(links, [0.5], 0.02, kernel)
    before, after = (u[0, 1, ..., 0, 0].imag for u in (links, flowed))
    assert torch.allclose(after, before * math.exp(-0.5 * rate), rtol=0, atol=1e-4 * amplitude)


def test_scheme_is_of_third_order(generator):
    links = rough_links(generator, (2, 4, 2, 4), width=0.3)
    (_, exact), = flow.integrate(links, [0.4], 0.0025)
    errors = []
    for step in (0.04, 0.02):
        (_, flowed), = flow.integrate(links, [0.4], step)
        errors.append(float((flowed - exact).abs().max()))
    assert 6.5 < errors[0] / errors[1] < 9.5


def test_adaptive_steps_reach_their_tolerance(generator):
    links = rough_links(generator, (2, 4, 2, 4), chains=2, width=0.4)
    (_, exact), = flow.integrate(links, [1.0], 0.0025)
    errors = []
    for tolerance in (1e-3, 1e-5):
        (_, flowed), = flow.integrate(links, [1.0], 0.02, tolerance=tolerance)
        errors.append(float((flowed - exact).abs().max()))
    assert errors[0] < 1e-2 and errors[1] < 1e-4 and errors[1] < errors[0] / 5


def test_adaptive_flow_does_not_depend_on_the_batch(generator):
    links = rough_links(generator, (2, 4, 2, 4), chains=2)
    links[1] = rough_links(generator, (2, 4, 2, 4), width=0.1)[0]
    both = list(flow.integrate(links, [0.1, 0.5], 0.02, tolerance=1e-4))
    for chain in (0, 1):
        alone = list(flow.integrate(links[chain : chain + 1], [0.1, 0.5], 0.02, tolerance=1e-4))
        for (_, together), (_, single) in zip(both, alone, strict=True):
            assert torch.allclose(together[chain], single[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("kernel", flow.KERNELS)
def test_flow_is_covariant_stays_in_the_group_and_smooths(generator, kernel):
    links = rough_links(generator, (3, 4, 2, 5))
    turned, gauge = gauge_transform(links, generator)
    plaquettes = [float(obs.plaquette(links))]
    runs = [flow.integrate(u, [0.1, 0.5, 1.0], 0.05, kernel) for u in (links, turned)]
    for (time, flowed), (_, other) in zip(*runs, strict=True):
        assert float(su3.unitarity_defect(flowed)) < 1e-12
        ours, theirs = obs.measure_flowed(flowed), obs.measure_flowed(other)
        for key in ours:
            assert float(ours[key]) == pytest.approx(float(theirs[key]), abs=1e-12), (time, key)
        plaquettes.append(float(ours["plaquette"]))
    assert plaquettes == sorted(plaquettes) and plaquettes[-1] > 0.95


def test_unit_field_does_not_flow():
    cold = cold_start((2, 3, 4, 2))
    for kernel in flow.KERNELS:
        (_, flowed), = flow.integrate(cold, [0.5], 0.05, kernel)
        assert torch.equal(flowed, cold)


def test_times_do_not_change_the_trajectory(generator):
    links = rough_links(generator, (2, 2, 2, 2))
    (_, direct), = flow.integrate(links, [0.4], 0.04)
    *_, (_, stepwise) = flow.integrate(links, [0.0, 0.08, 0.2, 0.4], 0.04)
    assert torch.allclose(direct, stepwise, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "arguments, word",
    [
        (dict(times=[0.1], kernel="heat"), "wilson"),
        (dict(times=[0.2, 0.1]), "increasing"),
        (dict(times=[-0.1]), "increasing"),
        (dict(times=[0.1], step=0.0), "step"),
        (dict(times=[0.1], step=0.2), "0.15"),
        (dict(times=[0.1], step=1.5, any_step=True), "1.0"),
        (dict(times=[0.1], tolerance=0.0), "tolerance"),
    ],
)
def test_bad_arguments_are_refused(arguments, word):
    with pytest.raises(ActionError, match=word):
        list(flow.integrate(cold_start((2, 2, 2, 2)), **arguments))


def test_scales_of_known_curves():
    times = np.linspace(0, 3, 31)
    # t^2 E = a t: t0 = 0.3/a and t d/dt (a t) = a t, so w0^2 = 0.3/a too.
    slope = np.array([0.15, 0.2])[:, None]
    energies = slope * times / np.maximum(times, 1e-9) ** 2
    assert scales.t0(times, energies) == pytest.approx(0.3 / slope[:, 0], rel=1e-10)
    assert scales.w0(times, energies) == pytest.approx(np.sqrt(0.3 / slope[:, 0]), rel=1e-10)
    # t^2 E = b t^2: t0 = sqrt(0.3/b), w0^2 = sqrt(0.15/b).
    assert scales.t0(times, np.full(31, 0.1)) == pytest.approx(math.sqrt(3.0), rel=1e-6)
    assert scales.w0(times, np.full(31, 0.1)) == pytest.approx(1.5**0.25, rel=1e-6)
    assert np.isnan(scales.t0(times, np.full(31, 0.01)))


def test_linear_scales_have_the_scale_as_mean_and_its_error():
    """E_i = E (1 + s_i): t^2 E_i = a t (1 + s_i) has t0 = 0.3/a for the mean, error t0 s."""
    times, spread = np.linspace(0, 3, 31), np.random.default_rng(1).normal(0, 0.05, 400)
    spread -= spread.mean()
    energies = 0.2 * (1 + spread[:, None]) * times / np.maximum(times, 1e-9) ** 2
    for function, exact, power in ((scales.linear_t0, 1.5, 1), (scales.linear_w0, 1.5**0.5, 0.5)):
        values = function(times, energies)
        assert values.mean() == pytest.approx(exact, rel=1e-9)
        assert values.std() == pytest.approx(power * exact * spread.std(), rel=1e-6)
    assert np.isnan(scales.linear_t0(times, 0.1 * energies)).all()


def test_stout_is_an_euler_step_of_the_wilson_flow(generator):
    links = rough_links(generator, (2, 4, 3, 2))
    rho = 1e-4
    (_, flowed), = flow.integrate(links, [rho], rho)
    smeared = flow.stout(links, rho)
    change = float((flowed - links).abs().max())
    assert float((smeared - flowed).abs().max()) < 1e-2 * change


@pytest.mark.parametrize("smear", [flow.stout, flow.ape])
def test_smearing_is_covariant_in_the_group_and_smooths(generator, smear):
    links = rough_links(generator, (3, 4, 2, 4))
    turned, gauge = gauge_transform(links, generator)
    smeared, other = smear(links, steps=3), smear(turned, steps=3)
    assert float(su3.unitarity_defect(smeared)) < 1e-13
    assert float(su3.determinant_defect(smeared)) < 1e-13
    assert float(obs.plaquette(other)) == pytest.approx(float(obs.plaquette(smeared)), abs=1e-12)
    assert float(obs.plaquette(smeared)) > float(obs.plaquette(links)) + 0.1
    cold = cold_start((2, 2, 3, 2))
    assert torch.allclose(smear(cold), cold, atol=1e-15)
