"""The quarks of the example against a dense matrix of all sites, and the laws they obey."""

import math

import pytest
import torch
from two_flavour import dirac, pion, solver
from two_flavour.dirac import EVEN, ODD, Dirac, Links, Quark
from two_flavour.host import two_flavour
from two_flavour.quarks import Pseudofermions, gaussian

from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.sampling.terms import check_terms
from tests.support import dense_quarks as dense
from tests.support.fields import gauge_transform, rough_links

LATTICES = [(2, 2, 2, 2), (4, 2, 2, 4)]
QUARK, HEAVY = Quark(0.16, 0.177), Quark(0.16, 0.5)


def rows(field):
    """A field [4, 3, V/2, 1] of one parity as rows of the dense matrix."""
    return field[..., 0].permute(2, 0, 1).flatten()


def operator(links, quark):
    """Mhat of the example as a matrix, column by column."""
    there = Dirac(Links(links), quark)
    count = 12 * len(there.links.sites[ODD].own)
    unit = torch.eye(count, dtype=torch.complex128).view(count, -1, 4, 3).permute(2, 3, 1, 0)
    columns = [rows(there.apply(unit[..., n:n + 1].contiguous())) for n in range(count)]
    return torch.stack(columns, 1)


def test_the_gammas_of_the_test_are_gammas():
    every = dense.gammas()
    for i, one in enumerate(every):
        for j, other in enumerate(every):
            expected = 2 * (i == j) * torch.eye(4)
            assert (one @ other + other @ one - expected).abs().max() < 1e-14
    product = every[1] @ every[2] @ every[3] @ every[0]
    assert (product.abs() - every[4].abs()).abs().max() < 1e-14  # up to a sign, as mu's


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_operator_and_determinant(lattice, generator):
    links = rough_links(generator, lattice)
    whole = dense.matrix(links[0], *QUARK)
    schur, ours = dense.preconditioned(whole, lattice), operator(links, QUARK)
    assert (schur - ours).abs().max() < 1e-13
    sites = math.prod(lattice)
    expected = torch.linalg.slogdet(whole).logabsdet
    even = 6 * sites / 2 * math.log(1 + QUARK.twist**2)
    assert abs(torch.linalg.slogdet(ours).logabsdet + even - expected) < 1e-10
    gamma5 = torch.kron(torch.eye(sites), torch.kron(dense.gammas()[4], torch.eye(3)))
    turned = dense.matrix(links[0], QUARK.kappa, -QUARK.twist)
    assert (whole.mH - gamma5 @ turned @ gamma5).abs().max() < 1e-14  # gamma_5 Hermiticity


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
@pytest.mark.parametrize("over", [None, HEAVY], ids=["whole", "ratio"])
def test_action_and_force(lattice, over, generator):
    """S by dense solves, every component of F by automatic differentiation through them."""
    links = rough_links(generator, lattice, chains=2)
    term = Pseudofermions(QUARK, over, tolerance=1e-13)
    term.refresh(links, generator)
    action, force = term(links), su3.to_components(term.force(links))
    for chain in range(2):
        angles = torch.zeros(4, *lattice, 8, dtype=torch.float64, requires_grad=True)
        moved = su3.exp(su3.from_components(angles)) @ links[chain]
        inner = dense.preconditioned(dense.matrix(moved, *QUARK), lattice)
        phi = rows(term.phi[..., chain:chain + 1])
        if over is not None:
            phi = dense.preconditioned(dense.matrix(moved, *over), lattice) @ phi
        expected = torch.linalg.solve(inner, phi).abs().square().sum()
        slope, = torch.autograd.grad(expected, angles)
        assert abs(action[chain] - expected.detach()) < 1e-10 * expected
        assert (force[chain] - slope).abs().max() < 1e-10 * slope.abs().max()


@pytest.mark.parametrize("over", [None, HEAVY], ids=["whole", "ratio"])
def test_noise_makes_the_action_its_own_norm(over, generator):
    """phi = Mhat eta or Mhat_2^-1 Mhat_1 eta: S is |eta|^2, a chi^2 of 12 V numbers / 2."""
    links = rough_links(generator, (2, 2, 2, 4), chains=40)
    term = Pseudofermions(QUARK, over, tolerance=1e-11)
    term.refresh(links, torch.Generator().manual_seed(3))
    eta = gaussian((4, 3, 16), 40, torch.Generator().manual_seed(3))
    expected = eta.abs().square().sum((0, 1, 2))
    assert (term(links) - expected).abs().max() < 1e-8 * expected.max()
    count = 12 * 16
    assert abs(float(expected.mean()) - count) < 4 * math.sqrt(count / 40)


def test_gauge_covariance(generator):
    links = rough_links(generator, (4, 2, 2, 4))
    turned, gauge = gauge_transform(links, generator)
    term = Pseudofermions(QUARK, HEAVY, tolerance=1e-12)
    term.refresh(links, generator)
    before, force = term(links), term.force(links)
    own = Links(links).sites[ODD].own
    local = gauge.reshape(1, -1, 3, 3)[0, own]
    term.phi = torch.einsum("nij,sjnb->sinb", local, term.phi)
    assert abs(term(turned) - before).max() < 1e-9 * before.abs().max()
    expected = gauge[:, None] @ force @ gauge[:, None].mH
    assert (term.force(turned) - expected).abs().max() < 1e-9 * force.abs().max()


def test_no_hopping_no_force(generator):
    links = rough_links(generator, (2, 2, 2, 4), chains=2)
    term = Pseudofermions(Quark(0.0, 0.3))
    term.refresh(links, generator)
    assert (term.force(links) == 0).all()
    assert (term(links) - term(rough_links(generator, (2, 2, 2, 4), chains=2))).abs().max() < 1e-10


def test_the_boundary_in_time_and_no_other(generator):
    """Antiperiodic time: a sign on a time slice of time links is the same as none elsewhere."""
    links = rough_links(generator, (4, 2, 2, 2))
    moved = links.clone()
    moved[:, 0, 1] *= -1
    moved[:, 0, 3] *= -1  # together: a field redefinition of slices 2 and 3
    periodic = links.clone()
    periodic[:, 0, 1] *= -1
    determinants = [torch.linalg.slogdet(operator(one, QUARK)).logabsdet
                    for one in (links, moved, periodic)]
    assert abs(determinants[0] - determinants[1]) < 1e-10
    assert abs(determinants[0] - determinants[2]) > 1e-3


def test_each_chain_is_solved_as_if_alone(generator):
    links = rough_links(generator, (2, 2, 2, 4), chains=3)
    links[1] = rough_links(generator, (2, 2, 2, 4), width=0.05)[0]  # converges at another time
    there = Dirac(Links(links), QUARK)
    source = gaussian((4, 3, 16), 3, generator)
    together = solver.solve(there.normal, source, 1e-9, 500)
    assert len(set(together.iterations.tolist())) > 1 and together.converged.all()
    for chain in range(3):
        alone = Dirac(Links(links[chain:chain + 1]), QUARK)
        found = solver.solve(alone.normal, source[..., chain:chain + 1].contiguous(), 1e-9, 500)
        assert found.iterations[0] == together.iterations[chain]
        assert (found.field[..., 0] - together.field[..., chain]).abs().max() < 1e-12


def test_a_solver_at_its_limit_says_so(generator):
    links = rough_links(generator, (2, 2, 2, 4), chains=2)
    term = Pseudofermions(QUARK, limit=3)
    term.refresh(links, generator)
    term(links)
    report = term.report()
    assert report.solves == 1 and report.iterations == 3 and report.failed.all()
    assert term.report().solves == 0


def test_one_solve_for_action_and_force_of_a_field(generator):
    links = rough_links(generator, (2, 2, 2, 4))
    term = Pseudofermions(QUARK)
    term.refresh(links, generator)
    first = term(links)
    term.force(links)
    assert term.report().solves == 1
    links[0, 1, 0, 0, 0, 0] = rough_links(generator, (2, 2, 2, 4))[0, 0, 0, 0, 0, 0]  # in place
    assert (term(links) - first).abs().max() > 1e-6 and term.report().solves == 1


def test_odd_extents_are_refused():
    with pytest.raises(ValueError, match="even extents"):
        dirac.sites((4, 3, 2, 2))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pion_against_the_whole_propagator(seed, generator):
    """Averaged over many noisy sources, C(t) is sum tr |S(x, t; y, t0)|^2 of the dense inverse."""
    lattice, chains = (4, 2, 2, 2), 400
    links = rough_links(generator, lattice)
    many = links.expand(chains, *links.shape[1:]).contiguous()
    measured = pion.correlator(many, QUARK, torch.Generator().manual_seed(seed), 1e-10)
    start = int(torch.randint(4, (1,), generator=torch.Generator().manual_seed(seed)))
    inverse = torch.linalg.inv(dense.matrix(links[0], *QUARK))
    blocks = inverse.view(4, 96, 4, 96).abs().square().sum((1, 3)) / 8  # [t, t0]
    error = measured.std(0) / math.sqrt(chains)
    for t in range(3):
        expected = (blocks[(start + t) % 4, start] + blocks[(start - t) % 4, start]) / 2
        assert error[t] < 0.03 * expected
        assert abs(measured[:, t].mean() - expected) < 4 * error[t]


def test_the_terms_of_the_host_agree_with_themselves(generator):
    links = rough_links(generator, (4, 2, 2, 2), chains=2)
    host = two_flavour((4, 2, 2, 2), 0.16, 0.177, 0.5, tolerance=1e-11)
    assert [term.name for term in host.terms] == ["heavy", "ratio"]
    check_terms(host.terms, links, generator)
    signed = links.clone()
    signed[:, 0, -1] *= -1
    with pytest.raises(ActionError, match="antiperiodic quark boundaries"):
        check_terms(host.terms, signed, generator)


def test_even_and_odd_sites_alternate():
    even, odd = dirac.sites((2, 4, 2, 6))
    assert len(even.own) == len(odd.own) == 48
    assert EVEN == 0 and even.own[0] == 0
