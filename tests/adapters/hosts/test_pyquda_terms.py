"""Nested steps out of PyQUDA's monomials: packed momenta, S, F and noise, the step in place."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from two_flavour.dirac import Quark
from two_flavour.quarks import Pseudofermions

from l2hmc_bridge.adapters.hosts import pyquda, pyquda_terms as bridge
from l2hmc_bridge.errors import ActionError, SolverError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.gate import nested as gate
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import check_terms
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support.fields import rough_links
from tests.support.standins import pyquda_standin as q

LATTICE = (4, 2, 2, 4)  # t, x, y, z


class Quarks:
    """A fermion monomial: the quarks of the example; QUDA's interface of sample, action, force.

    Like QUDA it goes on with what it has where its solver ends at the limit.
    """

    def __init__(self, limit=1000):
        self.own = Pseudofermions(Quark(0.14, 0.1), tolerance=1e-10, limit=limit)
        self.invert_param = SimpleNamespace(iter=0, maxiter=limit)

    def sample(self, links, chance):
        self.own.refresh(links, torch.Generator().manual_seed(chance.getrandbits(31)))

    def action(self, links):
        return self._solved(float(self.own(links)))

    def force(self, links):
        return self._solved(self.own.force(links))

    def _solved(self, value):
        report = self.own.report()
        self.invert_param.iter = (self.invert_param.maxiter if report.failed.any()
                                  else int(report.iterations))
        return value


@pytest.fixture
def host(generator):
    info = q.LatticeInfo([*LATTICE[1:], LATTICE[0]], t_boundary=-1)
    gauge = q.LatticeGauge(info)
    q.store(rough_links(generator, LATTICE), gauge)
    hmc = q.HMC(info, [Quarks()], None)
    hmc.initialize(3, gauge)
    return hmc, gauge, bridge.host_term("quarks", hmc, gauge, q.LatticeMom(info))


def test_packed_momenta_are_matrices(generator):
    info = q.LatticeInfo([2, 6, 8, 4])
    mom = q.LatticeMom(info)
    momenta = su3.random_algebra((1, 4, 4, 2, 6, 8), generator)
    hmc = q.HMC(info, [], None)
    hmc._momenta = momenta
    hmc.saveMom(mom)
    assert (bridge.to_momenta(mom) - momenta).abs().max() < 1e-15
    hmc.loadMom(mom)
    assert (hmc._momenta - momenta).abs().max() < 1e-15


def test_a_term_is_its_monomials(host, generator):
    hmc, gauge, term = host
    links = pyquda.to_links(gauge)
    check_terms((term,), links, generator)
    monomial = hmc.fermion_monomials[0]
    assert float(term(links)) == pytest.approx(monomial.action(links), rel=1e-12)
    assert (term.force(links) - monomial.force(links)).abs().max() < 1e-12
    assert term.report().solves == 2 and term.noisy


def test_a_wrong_unit_of_time_would_be_found(host, generator, monkeypatch):
    hmc, gauge, term = host
    kick = hmc.updateMom
    monkeypatch.setattr(hmc, "updateMom", lambda dt: kick(2**0.5 * dt))
    with pytest.raises(ActionError, match="dS/dt = <P, F>"):
        check_terms((term,), pyquda.to_links(gauge), generator)


@pytest.mark.slow
def test_a_nested_step_in_place(host, generator):
    hmc, gauge, term = host
    kernel = Nested(HMC(GaugeAction(5.7), 0.5, 2), (Level("quarks", (term,),
                                                          schedule("omf2", 0.2, 2)),))
    failed = [one for one in gate.on_host(kernel, pyquda.to_links(gauge), generator)
              if not one.passed]
    assert failed == []
    term.report()
    update, before = bridge.nested_update(kernel, hmc.random), gauge.data.copy()
    outcomes = [update(gauge) for _ in range(3)]
    assert any(accepted for accepted, _ in outcomes) and not np.array_equal(gauge.data, before)
    assert all(abs(delta) < 3 for _, delta in outcomes)
    assert update.usage()["quarks"]["forces"] == pytest.approx(5)
    assert update.usage()["quarks"]["solves"] == pytest.approx(7)


def test_a_solver_at_its_limit_is_a_reject(generator):
    info = q.LatticeInfo([*LATTICE[1:], LATTICE[0]], t_boundary=-1)
    gauge = q.LatticeGauge(info)
    q.store(rough_links(generator, LATTICE), gauge)
    hmc = q.HMC(info, [Quarks(limit=3)], None)
    hmc.initialize(3, gauge)
    term = bridge.host_term("quarks", hmc, gauge, q.LatticeMom(info))
    links = pyquda.to_links(gauge)
    with pytest.raises(SolverError, match="'quarks'.*gives up"):
        check_terms((term,), links, generator)
    kernel = Nested(HMC(GaugeAction(5.7), 0.5, 2), (Level("quarks", (term,),
                                                          schedule("omf2", 0.2, 1)),))
    before = gauge.data.copy()
    update = bridge.nested_update(kernel, hmc.random)
    assert [update(gauge) for _ in range(2)] == [(False, float("inf"))] * 2
    assert update.unsolved == 2 and np.array_equal(gauge.data, before)


def test_an_hmc_inside_is_not_a_term(host):
    hmc, gauge, _ = host
    hmc.hmc_inner = q.HMC(hmc.latt_info, [Quarks()], None)
    with pytest.raises(ActionError, match="without hmc_inner"):
        bridge.host_term("quarks", hmc, gauge, q.LatticeMom(hmc.latt_info))


def test_gauge_monomials_are_not_a_term(generator):
    info = q.LatticeInfo([2, 2, 2, 4])
    with pytest.raises(ActionError, match="1 of the gauge field and 0 of fermions"):
        bridge.host_term("x", q.HMC(info, [q.WilsonGauge(5.7)], None), q.LatticeGauge(info), None)
