"""GPT's fields and updates: against a stand-in of their layout, and GPT itself if it imports."""

import importlib.util
import sys
import types

import numpy as np
import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.adapters.hosts import gpt as bridge, gpt_fields
from l2hmc_bridge.adapters.hosts.refuse import require_periodic_su3
from l2hmc_bridge.analysis.statistics import estimate, exp_minus_dh
from l2hmc_bridge.errors import ActionError, BridgeError, LayoutError, VerificationError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.observables.topology import topological_charge, topological_charge_5li
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems.actions import GaugeAction, cold_start
from tests.support.fields import rough_links
from tests.support.places import ROOT
from tests.support.standins import gpt_standin

# GPT's own use of numpy, in its matrix exponential.
pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning:gpt")
XYZT = (4, 6, 8, 10)


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def real():
    """Grid's GPT, or None."""
    try:
        return bridge.library()
    except BridgeError:
        return None


@pytest.fixture(params=["stand-in", "GPT"])
def g(request):
    if request.param == "stand-in":
        return gpt_standin
    return real() or pytest.skip("needs GPT: github.com/lehner/gpt built on Grid")


def links_on(xyzt=XYZT, seed=3, width=0.5):
    lattice = (xyzt[3], *xyzt[:3])
    return rough_links(torch.Generator().manual_seed(seed), lattice, width=width)


def field(g, links, precision="double"):
    U = g.qcd.gauge.unit(g.grid([*links.shape[3:6], links.shape[2]], getattr(g, precision)))
    bridge.from_links(links, U)
    return U


@pytest.mark.parametrize("precision", ["double", "single"])
def test_conversion_is_bit_exact_both_ways(g, precision):
    links = links_on()
    if precision == "single":
        links = links.to(torch.complex64).to(torch.complex128)
    U = field(g, links, precision)
    again = bridge.to_links(U)
    assert torch.equal(again, links) and again.dtype == torch.complex128
    V = [one.new() for one in U]
    bridge.from_links(again, V)
    assert all(np.array_equal(one[:], other[:]) for one, other in zip(U, V, strict=True))


@pytest.mark.parametrize("precision", ["double", "single"])
def test_memory_and_gpts_copying_say_the_same(g, precision):
    links = links_on()
    U, V = field(g, links, precision), field(g, links_on(seed=4), precision)
    copied = [gpt_standin.WithoutMemory(one) for one in V]
    bridge.from_links(links, copied)
    assert all(np.array_equal(one[:], other[:]) for one, other in zip(U, V, strict=True))
    assert torch.equal(bridge.to_links(copied), bridge.to_links(U))
    for one in (U, copied):  # a conjugation that torch has only noted
        bridge.from_links(links.mH, one)
    assert all(np.array_equal(one[:], other[:]) for one, other in zip(U, V, strict=True))
    assert (bridge.to_links(U) - links.mH).abs().max() < 1e-7
    bridge.from_links(links, U)
    bridge.from_links(links, copied)
    with fast.using("torch"):
        assert torch.equal(bridge.to_links(U), bridge.to_links(copied))


@pytest.mark.parametrize("memory", [
    lambda one: [one, one], lambda one: [np.pad(one, (0, 16))], lambda one: [one[:-2]],
    lambda one: [np.roll(one.reshape(-1, 9), 1, 1).reshape(-1)[::-1].copy()],
])
def test_memory_that_follows_no_stride_is_left_to_gpt(monkeypatch, memory):
    links = links_on()
    U = field(gpt_standin, links)
    monkeypatch.setattr(gpt_fields, "_PLACES", {})
    monkeypatch.setattr(gpt_standin.lattice, "mview", lambda one: [
        memoryview(part).cast("B") for part in memory(one.memory.reshape(-1))])
    V = [one.new() for one in U]
    bridge.from_links(bridge.to_links(U), V)
    assert set(gpt_fields._PLACES.values()) == {None}
    assert all(np.array_equal(one[:], other[:]) for one, other in zip(U, V, strict=True))


def test_every_link_lies_where_gpt_says(g):
    """U_mu at coordinates (x,y,z,t), element by element, through GPT's own indexing."""
    links = links_on()
    _require_in_place(field(g, links), links)


def _require_in_place(U, links):
    for mu, ours in enumerate((1, 2, 3, 0)):  # x, y, z, t
        for x, y, z, t in ((0, 0, 0, 0), (3, 1, 5, 7), (1, 5, 2, 9)):
            site = U[mu][x:x + 1, y:y + 1, z:z + 1, t:t + 1]
            matrix = np.asarray(getattr(site, "array", site)).reshape(3, 3)
            assert np.array_equal(matrix, links[0, ours, t, x, y, z].numpy())


@pytest.mark.parametrize("precision", ["double", "single"])
def test_grids_of_one_name_may_vectorise_other_directions(g, precision):
    """GPT's description of a grid does not tell: each has its own places."""
    links = links_on((4, 8, 8, 16)).to(torch.complex64).to(torch.complex128)
    for direction in (0, 1, 2, 3):
        mask = [int(direction == one) for one in range(4)]
        full = types.SimpleNamespace(n=1, cb_mask=[0] * 4, simd_mask=mask, __name__="full")
        U = g.qcd.gauge.unit(g.grid([4, 8, 8, 16], getattr(g, precision), full))
        bridge.from_links(links, U)
        _require_in_place(U, links)
        assert torch.equal(bridge.to_links(U), links)


def test_plaquette_charge_action_and_gradient_are_gpts(g):
    links, beta = links_on(width=0.3), 6.0
    U = field(g, links)
    volume, ours = int(np.prod(XYZT)), GaugeAction(beta)
    action = g.qcd.gauge.action.wilson(beta)
    assert g.qcd.gauge.plaquette(U) == pytest.approx(float(fast.plaquettes(links).mean()),
                                                     rel=1e-12)
    assert g.qcd.gauge.topological_charge(U) == pytest.approx(
        float(topological_charge(links, traceless=False)), rel=1e-12, abs=1e-12)
    assert action(U) == pytest.approx(float(ours(links)) + 6 * beta * volume, rel=1e-12)
    host = bridge.host_action(action, U)
    assert float(host(links)) == action(U) and host.beta == beta
    assert (host.force(links) - ours.force(links)).abs().max() < 1e-12


def test_other_conventions_of_the_charge_are_gpts_too():
    """Traceless, from GPT's own field strength, and the five-loop improved charge."""
    g = real() or pytest.skip("needs GPT: github.com/lehner/gpt built on Grid")
    links = links_on(width=0.3)
    U = field(g, links)
    unit = g.identity(U[0])

    def strength(mu, nu):
        plain = g.qcd.gauge.field_strength(U, mu, nu)
        return g.eval(plain - unit * (g.trace(plain) / 3.0))

    charge = -sum(
        sign * g.sum(g.trace(strength(*one) * strength(*two))).real
        for one, two, sign in (((0, 1), (2, 3), 1), ((0, 2), (1, 3), -1), ((0, 3), (1, 2), 1))
    ) / (4 * np.pi**2)
    assert charge == pytest.approx(float(topological_charge(links)), rel=1e-12)
    assert abs(charge - g.qcd.gauge.topological_charge(U)) > 1e-6
    assert g.qcd.gauge.topological_charge_5LI(U) == pytest.approx(
        float(topological_charge_5li(links, traceless=False)), rel=1e-12)


def test_momenta_and_their_energy_are_gpts(g):
    U = field(g, links_on())
    pi, rng = g.group.cartesian(U), g.random("momenta")
    rng.normal_element(pi)
    momenta = bridge.to_momenta(pi)
    kinetic = float(su3.kinetic(momenta)[0])
    assert g.qcd.scalar.action.mass_term()(pi) == pytest.approx(kinetic, rel=1e-12)
    components = 32 * int(np.prod(XYZT))
    assert abs(2 * kinetic / components - 1) < 5 * (2 / components) ** 0.5
    back = g.group.cartesian(U)
    bridge.from_momenta(momenta, back)
    assert torch.equal(bridge.to_momenta(back), momenta)


def test_one_unit_of_gpts_md_time_is_one_of_ours(g):
    """GPT's leapfrog from (U, pi) ends where ours does from (U, i pi)."""
    links = links_on((4, 4, 4, 6))
    U = field(g, links)
    pi, symplectic = g.group.cartesian(U), g.algorithms.integrator.symplectic
    g.random("trajectory").normal_element(pi)
    action, kinetic = g.qcd.gauge.action.wilson(5.7), g.qcd.scalar.action.mass_term()
    kernel = HMC(GaugeAction(5.7), 0.1, 3, "leapfrog")
    end = kernel.trajectory(kernel.init(links), bridge.to_momenta(pi), None)
    symplectic.leap_frog(3, symplectic.update_p(pi, lambda: action.gradient(U, U)),
                         symplectic.update_q(U, lambda: kinetic.gradient(pi, pi)))(0.3)
    assert (bridge.to_links(U) - end.links).abs().max() < 1e-11
    assert (bridge.to_momenta(pi) - end.momenta).abs().max() < 1e-11


def test_an_update_in_place_repeats_with_its_seed(g):
    links, kernel = links_on((4, 4, 4, 4)), HMC(GaugeAction(5.7), 0.1, 4)
    results = []
    for _ in range(2):
        U = field(g, links)
        update = bridge.l2hmc_update(kernel, g.random("one"))
        results.append(([update(U) for _ in range(3)], bridge.to_links(U)))
    assert results[0][0] == results[1][0] and torch.equal(results[0][1], results[1][1])
    assert any(accepted for accepted, _ in results[0][0])
    assert not torch.equal(results[0][1], links)


def test_every_trajectory_has_momenta_of_its_own(g):
    """The seeds drawn from GPT's generator differ: so do the proposals from one field."""
    U = field(g, links_on((4, 4, 4, 4)))
    propose = bridge.l2hmc_proposal(HMC(GaugeAction(5.7), 0.1, 1), g.random("seeds"))
    corrections = []
    for _ in range(4):
        bridge.from_links(links_on((4, 4, 4, 4)), U)
        corrections.append(propose(U))
    assert len(set(corrections)) == 4


def test_a_rejected_update_leaves_the_field_alone(g):
    links = links_on((4, 4, 4, 4))
    U, rough = field(g, links), HMC(GaugeAction(5.7), 2.0, 3, "leapfrog")
    accepted, delta_h = bridge.l2hmc_update(rough, g.random("two"))(U)
    assert not accepted and delta_h > 50 and torch.equal(bridge.to_links(U), links)


def test_metropolis_of_gpt_takes_our_correction(g):
    """h1 - h0 is our dK + dS - log|J|; GPT restores the field it rejects."""
    links, rng = links_on((4, 4, 4, 4)), g.random("three")
    action, U = g.qcd.gauge.action.wilson(5.7), field(g, links)
    for step, taken in ((0.05, True), (2.0, False)):
        kernel = HMC(GaugeAction(5.7), step, 2, "leapfrog")
        before = bridge.to_links(U)
        accrej = g.algorithms.markov.metropolis(rng)(U)
        propose = bridge.l2hmc_proposal(kernel, torch.Generator().manual_seed(5))
        h0 = action(U)
        h1 = propose(U) + action(U)
        _, expected, _ = kernel.propose(before, torch.Generator().manual_seed(5))
        assert h1 - h0 == pytest.approx(float(expected[0]), abs=1e-7)
        assert accrej(h1, h0) == taken
        assert torch.equal(bridge.to_links(U), before) != taken


def test_a_gpt_action_decides(g):
    """update(U, action): proposals of our beta, accepted by GPT's."""
    links = links_on((4, 4, 4, 4))
    kernel, other = HMC(GaugeAction(5.7), 0.1, 2), g.qcd.gauge.action.wilson(5.8)
    U = field(g, links)
    _, delta = bridge.l2hmc_update(kernel, torch.Generator().manual_seed(6))(U, other)
    _, own, info = kernel.propose(links, torch.Generator().manual_seed(6))
    expected = float(own[0]) + 0.1 / 5.7 * float(info.delta_action[0])
    assert delta == pytest.approx(expected, abs=1e-7)


def test_pseudofermions_are_drawn_from_gpts_own_noise():
    class Fermions:
        draws = []

        def __call__(self, fields):
            return float(len(fields))

        def draw(self, fields, rng):
            self.draws.append((gpt_standin.plaquette(fields[:4]), fields[4], rng))

    links, U = links_on((2, 2, 2, 4)), None
    U = field(gpt_standin, links)
    host = bridge.host_action(Fermions(), U, fields=["phi"], rng="rng")
    assert host.refresh(links, None) is True and float(host(links)) == 5.0
    assert Fermions.draws == [(gpt_standin.plaquette(U), "phi", "rng")]
    with pytest.raises(ActionError, match="expected a force"):
        host.force(links)
    with pytest.raises(ActionError, match="expected rng"):
        bridge.host_action(Fermions(), U, fields=["phi"])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["update", "proposal"])
def test_the_stream_of_the_example_is_exact(g, mode, tmp_path):
    """Plaquette of SU(3) at beta = 1, 0.0601266, with every second trajectory ours."""
    kernel = HMC(GaugeAction(1.0), 0.5, 3)
    rows = example("gpt_stream").stream(g, (4, 4, 4, 4), 1.0, 200, 2, kernel, mode=mode, steps=5,
                                        thermalise=10, folder=tmp_path / "new", write=50)
    mean = estimate([row.plaquette for row in rows])
    assert mean.error < 1.5e-3 and abs(mean.value - 0.0601266) < 4 * mean.error
    for name in ("hmc", "l2hmc"):
        deltas = [row.delta_h for row in rows if row.update == name]
        weight, bad = exp_minus_dh(deltas)
        assert len(deltas) == 100 and bad == 0
        assert weight.error < 0.2 and abs(weight.value - 1) < 4 * weight.error
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        f"ckpoint_lat.{n}" for n in (100, 150, 200, 50)]
    charge = estimate([row.charge for row in rows])
    assert abs(charge.value) < 4 * charge.error


def test_the_example_knows_two_modes():
    with pytest.raises(ValueError, match="expected update or proposal, found propose"):
        example("gpt_stream").stream(gpt_standin, (4, 4, 4, 4), 1.0, 1, 2, mode="propose")


def test_the_example_does_not_write_over_a_stream(tmp_path):
    (tmp_path / "ckpoint_lat.120").write_bytes(b"theirs")
    with pytest.raises(FileExistsError, match="expected no ckpoint_lat"):
        example("gpt_stream").stream(gpt_standin, (4, 4, 4, 4), 1.0, 1, 2, folder=tmp_path)


@pytest.mark.parametrize("mpi", [[1, 1, 1, 2], [2, 1, 2, 1]])
def test_ranks_that_gather_hold_the_whole_field_and_agree(mpi):
    links, kernel = links_on((4, 4, 4, 4)), HMC(GaugeAction(5.7), 0.1, 2)
    shared, said = field(gpt_standin, links), []
    ranks = []
    for processor in range(int(np.prod(mpi))):
        on = gpt_standin.grid((4, 4, 4, 4), gpt_standin.double, mpi=mpi, processor=processor,
                              said=said)
        ranks.append([gpt_standin.lattice(on, one.otype, one.data) for one in shared])
    assert all(torch.equal(bridge.to_links(U), links) for U in ranks)
    for one in shared:
        one.data[...] = 0
    for U in ranks:
        bridge.from_links(links, U)  # each its own part
    assert torch.equal(bridge.to_links(shared), links)
    alone = gpt_standin.copy(shared)
    answer = bridge.l2hmc_update(kernel, gpt_standin.random("rank 0"))(alone)
    assert answer[0]
    for processor, U in enumerate(map(gpt_standin.copy, ranks)):
        update = bridge.l2hmc_update(kernel, gpt_standin.random(f"rank {processor}"), gather=True)
        assert update(U) == answer
        for mine, whole, old in zip(U, alone, shared, strict=True):
            on = mine.grid
            own = tuple(slice(at * n, (at + 1) * n) for at, n in
                        zip(on.processor_coor, on.ldimensions, strict=True))
            assert np.array_equal(mine[:], whole[own]) and not np.array_equal(mine[:], old[own])


def test_a_field_too_large_for_every_rank_is_refused(monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: 1000)
    on = gpt_standin.grid((4, 4, 4, 4), gpt_standin.double, mpi=[1, 1, 1, 2])
    with pytest.raises(LayoutError, match="2 ranks"):
        bridge.to_links([gpt_standin.lattice(on, gpt_standin.unit(on)[0].otype)] * 4)


def fields_that_are_none():
    g = gpt_standin
    on, group = g.grid(XYZT, g.double), g.ot_matrix_su_n_fundamental_group
    good = field(g, links_on())
    other = g.lattice(g.grid((4, 4, 4, 4), g.double), group(3))
    flat = g.grid((4, 4, 4), g.double)
    split = g.grid(XYZT, g.double, parent=on)
    return {
        "a list of four lattices": "U",
        "four directions": good[:3],
        "3 dimensions": [g.lattice(flat, group(3))] * 4,
        r"found ot_matrix_su_n_fundamental_group\(2\)": [g.lattice(on, group(2))] * 4,
        "adjoint": [g.lattice(on, g.ot_matrix_su_n_adjoint_group(3))] * 4,
        "one grid": [*good[:3], other],
        "checkerboard redblack": [g.lattice(g.grid(XYZT, g.double, g.redblack), group(3))] * 4,
        "split grid": [g.lattice(split, group(3))] * 4,
        "found half": [g.lattice(g.grid(XYZT, g.half), group(3))] * 4,
    }


@pytest.mark.parametrize("words, U", fields_that_are_none().items())
def test_fields_that_are_none_of_ours(words, U):
    with pytest.raises(LayoutError, match=words):
        bridge.to_links(U)


def test_links_that_do_not_fit_are_not_written():
    U = field(gpt_standin, links_on())
    with pytest.raises(LayoutError, match=r"\[10, 4, 6, 8\], found 1 on \[4, 4, 4, 4\]"):
        bridge.from_links(links_on((4, 4, 4, 4)), U)
    with pytest.raises(LayoutError, match="NaN"):
        bridge.from_links(links_on() * float("nan"), U)
    with pytest.raises(LayoutError, match="one of them twice"):
        bridge.from_links(links_on(), [*U[:3], U[0]])
    single = field(gpt_standin, links_on(), "single")
    with pytest.raises(LayoutError, match="double"):
        bridge.host_action(gpt_standin.wilson(6.0), single)


def test_phases_and_boundaries_in_the_links_are_named():
    links = links_on((4, 4, 4, 6))
    baked = links.clone()
    baked[:, 0, -1] *= -1
    with pytest.raises(VerificationError, match="anti-periodic.*multiply them out"):
        bridge.to_links([*_raw(baked)])
    staggered = links.clone()
    staggered[:, 2, :, 1::2] *= -1
    with pytest.raises(VerificationError, match="staggered"):
        require_periodic_su3("field", staggered)
    opened = links.clone()
    opened[:, 0, -1] = 0
    with pytest.raises(ActionError, match="open boundaries"):
        require_periodic_su3("field", opened)
    fixed = links.clone()
    fixed[:, 1:, 0] = torch.diag(torch.exp(1j * torch.tensor([0.1, 0.2, -0.3]).double()))
    with pytest.raises(ActionError, match="Schroedinger"):
        require_periodic_su3("field", fixed)
    for other in (1.01 * links, torch.zeros_like(links)):  # zeros: memory never written
        with pytest.raises(VerificationError, match="at most 2e-05"):
            require_periodic_su3("field", other)
    with pytest.raises(VerificationError, match="NaN"):
        require_periodic_su3("field", float("nan") * links)
    require_periodic_su3("field", cold_start((4, 4, 4, 4)))
    require_periodic_su3("field", links.to(torch.complex64).to(torch.complex128))


def _raw(links):
    """A stand-in field with any matrices."""
    U = gpt_standin.unit(gpt_standin.grid([*links.shape[3:6], links.shape[2]],
                                          gpt_standin.double))
    gpt_standin.store(links, U)
    return U


def test_actions_of_gpt_by_name():
    improved = types.SimpleNamespace(__name__="improved_with_rectangle(2.6,-0.331)", beta=2.6,
                                     c1=-0.331, c0=1 + 8 * 0.331)
    assert bridge.gauge_action(improved) == GaugeAction(2.6, -0.331)
    assert bridge.gauge_action(gpt_standin.wilson(6.0)) == GaugeAction(6.0)
    improved.c0 = 1.0
    odd = types.SimpleNamespace(__name__="schroedinger_functional(6.0)", beta=6.0)
    for action in (improved, odd):
        with pytest.raises(ActionError, match="isotropic and periodic"):
            bridge.gauge_action(action)


def test_the_other_gpt_of_pypi_is_told_apart(monkeypatch):
    monkeypatch.setitem(sys.modules, "gpt", types.ModuleType("gpt"))
    with pytest.raises(BridgeError, match="unrelated package gpt"):
        bridge.library()
    monkeypatch.setitem(sys.modules, "gpt", None)
    with pytest.raises(BridgeError, match="github.com/lehner/gpt"):
        bridge.library()
    monkeypatch.setitem(sys.modules, "gpt", gpt_standin)
    assert bridge.library() is gpt_standin
