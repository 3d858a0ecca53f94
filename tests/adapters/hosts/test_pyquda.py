"""PyQUDA's live fields and HMC loop, against a stand-in of their layout."""

import importlib.util
import random

import numpy as np
import pytest
import torch

from l2hmc_bridge.adapters.hosts import pyquda as bridge, pyquda_fields
from l2hmc_bridge.analysis.statistics import estimate, exp_minus_dh
from l2hmc_bridge.errors import ActionError, LayoutError, VerificationError
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.host_action import Hosted
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support.fields import rough_links
from tests.support.places import EXAMPLES
from tests.support.standins import pyquda_standin as pyquda

XYZT = (4, 6, 8, 10)
EXAMPLE = EXAMPLES / "pyquda_stream.py"


def links_on(xyzt=XYZT, seed=3, width=0.5):
    generator = torch.Generator().manual_seed(seed)
    return rough_links(generator, (xyzt[3], *xyzt[:3]), width=width)


def field(links, backend="numpy", **info):
    """A LatticeGauge with these links, put there by the stand-in's own index arithmetic."""
    gauge = pyquda.LatticeGauge(pyquda.LatticeInfo([*links.shape[3:6], links.shape[2]], **info))
    pyquda.store(links, gauge)
    if backend == "torch":
        gauge.data = torch.from_numpy(gauge.data)
    if backend == "dlpack":
        gauge.data = Exchanged(torch.from_numpy(gauge.data))
    return gauge


class Exchanged:
    """An array known by DLPack alone, as those of cupy and dpnp."""

    def __init__(self, tensor):
        self.tensor = tensor
        self.__dlpack__ = tensor.__dlpack__

    def __dlpack__(self, **options):
        return self.tensor.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()

    def copy(self):
        return Exchanged(self.tensor.clone())


@pytest.mark.parametrize("backend", ["numpy", "torch", "dlpack"])
def test_conversion_is_bit_exact_both_ways(backend):
    links = links_on()
    gauge = field(links, backend)
    assert torch.equal(bridge.to_links(gauge), links)
    again = field(links_on(seed=4), backend)
    data = again.data
    bridge.from_links(links, again)
    assert again.data is data  # in place
    assert torch.equal(bridge.to_links(again), links)
    if backend == "numpy":
        assert np.array_equal(again.data, gauge.data)


def test_blocks_on_a_device_move_as_places_in_main_memory_do():
    links = links_on()
    data = torch.from_numpy(field(links).data)
    moved, again = torch.empty_like(links), torch.empty_like(data)
    pyquda_fields.move(moved, data, into_links=True)
    pyquda_fields.move(links, again, into_links=False)
    assert torch.equal(moved, links) and torch.equal(again, data)


def test_every_link_lies_at_its_parity():
    links = links_on()
    data = field(links).data
    for mu, ours in enumerate((1, 2, 3, 0)):  # x, y, z, t
        for x, y, z, t in ((0, 0, 0, 0), (1, 0, 0, 0), (3, 1, 5, 7), (2, 5, 2, 9)):
            matrix = data[mu, (x + y + z + t) % 2, t, z, y, x // 2]
            assert np.array_equal(matrix, links[0, ours, t, x, y, z].numpy())


def test_the_fermion_boundary_belongs_to_quda_not_to_the_field():
    links = links_on()
    gauge = field(links, t_boundary=-1)
    assert torch.equal(bridge.to_links(gauge), links)
    gauge.setAntiPeriodicT()
    with pytest.raises(VerificationError, match="anti-periodic.*multiply them out"):
        bridge.to_links(gauge)


def fields_that_are_none():
    links = links_on()
    transposed, single, mirrored, locked, swapped, turned = (field(links) for _ in range(6))
    swapped.data = swapped.data.astype(">c16")
    turned.data = torch.from_numpy(turned.data).conj()
    transposed.data = transposed.data.swapaxes(-1, -2).copy().swapaxes(-1, -2)
    single.data = single.data.astype("<c8")
    mirrored.data = mirrored.data[::-1]
    locked.data.flags.writeable = False
    flat, listed = field(links), field(links)
    flat.data, listed.data = flat.lexico(), flat.data.tolist()
    flat_info, two, part = field(links), field(links), field(links)
    flat_info.latt_info.Nd, two.latt_info.Nc = 3, 2
    part.latt_info.global_size = [8, 6, 8, 10]
    return {
        "expected a LatticeGauge, found ndarray": flat.data,
        "Nd = 4": flat_info,
        "Nc = 2": two,
        "on one rank": part,
        "even-odd": flat,
        "found torch.complex64": single,
        "expected contiguous data": transposed,
        "strides": mirrored,
        "writeable False": locked,
        "native byte order": swapped,
        "to be conjugated": turned,
        "found list": listed,
    }


@pytest.mark.parametrize("words, gauge", fields_that_are_none().items())
def test_fields_that_are_none_of_ours(words, gauge):
    with pytest.raises(LayoutError, match=words):
        bridge.to_links(gauge)


def test_anisotropy_is_refused_and_what_does_not_fit_not_written():
    links = links_on()
    with pytest.raises(ActionError, match="anisotropy 3.5"):
        bridge.to_links(field(links, anisotropy=3.5))
    gauge = field(links)
    with pytest.raises(LayoutError, match="found torch.complex128"):
        bridge.from_links(links_on((4, 4, 4, 4)), gauge)
    with pytest.raises(LayoutError, match="float64"):
        bridge.from_links(links.real, gauge)
    with pytest.raises(LayoutError, match="NaN"):
        bridge.from_links(links * float("nan"), gauge)


def resident(beta, xyzt=(4, 4, 4, 4), monomials=(), width=0.3, **info):
    """(hmc, gauge) of the stand-in, the field resident."""
    gauge = field(links_on(xyzt, width=width), **info)
    hmc = pyquda.HMC(gauge.latt_info, [pyquda.WilsonGauge(beta), *monomials],
                     pyquda.O2Nf1Ng0V(6))
    hmc.initialize(5, gauge)
    return hmc, gauge


def test_a_proposal_comes_with_what_hmc_accept_needs():
    hmc, gauge = resident(5.7)
    kernel, before = HMC(GaugeAction(5.7), 0.1, 3), gauge.data.copy()
    old = hmc.gaugeAction()
    moved, correction = bridge.l2hmc_proposal(kernel, torch.Generator().manual_seed(1))(gauge)
    hmc.loadGauge(moved)
    links, delta, _ = kernel.propose(bridge.to_links(gauge), torch.Generator().manual_seed(1))
    assert hmc.gaugeAction() + correction - old == pytest.approx(float(delta[0]), abs=1e-8)
    assert torch.equal(bridge.to_links(moved), links)
    assert np.array_equal(gauge.data, before)
    one, other = (bridge.l2hmc_proposal(kernel, random.Random(7))(gauge)[1] for _ in range(2))
    assert one == other != correction


def test_a_proposal_that_diverged_is_never_accepted():
    hmc, gauge = resident(5.7)
    moved, correction = bridge.l2hmc_proposal(HMC(GaugeAction(5.7), 1e150, 2), hmc.random)(gauge)
    assert correction == float("inf") and np.array_equal(moved.data, gauge.data)
    assert not hmc.accept(hmc.gaugeAction() + correction)


class Noise:
    """A fermion monomial in name: S = (phi - x)^2 / 2, x = 100 link traces, phi drawn around x."""

    draws, phi = 0, 0.0

    def sample(self, links, chance):
        self.draws += 1
        self.phi = chance.gauss(100 * _trace(links), 1)

    def action(self, links):
        return 0.5 * (self.phi - 100 * _trace(links)) ** 2


def _trace(links):
    return float(links.diagonal(dim1=-2, dim2=-1).real.mean())


def test_the_hosts_whole_action_decides_with_its_noise_drawn_once():
    noise = Noise()
    hmc, gauge = resident(5.7, monomials=[noise], t_boundary=-1)
    host = bridge.host_action(hmc, gauge, beta=5.7)
    kernel = Hosted(HMC(GaugeAction(5.7), 0.1, 2), host)
    state, generator = kernel.init(bridge.to_links(gauge)), torch.Generator().manual_seed(3)
    for number in range(1, 4):
        state, _ = kernel.step(state, generator)
        assert noise.draws == number
    links = state.links
    assert float(host(links)) == pytest.approx(
        float(GaugeAction(5.7)(links)[0]) + noise.action(links), abs=1e-8)
    inner = pyquda.HMC(gauge.latt_info, [], None)
    inner.hmc_inner = hmc
    assert bridge._has_noise(inner)
    assert bridge.host_action(resident(5.7)[0], gauge).refresh(links, generator) is False


def example_module():
    spec = importlib.util.spec_from_file_location("pyquda_stream", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


def test_the_example_overwrites_no_configuration(tmp_path, monkeypatch):
    example, numbers = example_module(), range(5, 101, 5)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cfg_7.npy").touch()  # none of its own
    example.refuse_existing(numbers)
    for name in ("cfg_100.npy", "cfg_15.npy"):
        (tmp_path / name).write_bytes(b"theirs")
    monkeypatch.setattr(example, "library", lambda: None)
    with pytest.raises(FileExistsError, match="^cfg_15.npy: expected none.*and 1 more"):
        example.main()


@pytest.mark.slow
def test_the_stream_of_the_example_is_exact():
    """Plaquette of SU(3) at beta = 1 on 4^4, 0.0601266, with every second trajectory ours."""
    example = example_module()
    hmc, gauge = resident(1.0, width=3.0, t_boundary=-1)
    kernel, saved = HMC(GaugeAction(1.0), 0.5, 3), []
    rows = example.stream(hmc, gauge, kernel, 260, 2, time=0.9, save=lambda n, _: saved.append(n))
    mean = estimate([row.plaquette for row in rows[20:]])
    assert mean.error < 1.5e-3 and abs(mean.value - 0.0601266) < 4 * mean.error
    for name in ("hmc", "l2hmc"):
        mine = [row for row in rows[20:] if row.update == name]
        weight, bad = exp_minus_dh([row.delta_h for row in mine])
        assert len(mine) == 120 and bad == 0 and sum(row.accepted for row in mine) > 60
        assert weight.error < 0.2 and abs(weight.value - 1) < 4 * weight.error
    assert saved == list(range(1, 261))
    pyquda_now = hmc.plaquette()[0]
    hmc.loadGauge(gauge)
    assert hmc.plaquette()[0] == pytest.approx(pyquda_now, abs=1e-14)
