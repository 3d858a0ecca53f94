"""No kernel is handed the address of a field that is smaller than it takes it for."""

import numpy as np
import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast import transformation
from l2hmc_bridge.fast.cpu import blocks, functions as cpu, heatbath, learned, library, smearing
from l2hmc_bridge.fast.cpu.differentiated import CompiledKernels
from l2hmc_bridge.fields import su3
from l2hmc_bridge.networks.transformation import FieldTransformation
from tests.l2hmc.test_kernel import make_kernel

pytestmark = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")

EXTENTS, CHAINS = (4, 2, 4, 2), 3


@pytest.fixture
def links(generator):
    return su3.random_group((CHAINS, 4, *EXTENTS), generator)


@pytest.fixture
def field(generator):
    return su3.random_algebra((CHAINS, 4, *EXTENTS), generator)


def wrong(field):
    """Fields that do not go with links of the shape of `field`, by what is wrong."""
    return {"chains": field[:1], "more chains": torch.cat([field, field]),
            "extents": field[:, :, :2], "directions": field[:, :3],
            "real": field.real, "matrices": field[..., :2], "axes": field[0],
            "precision": field.to(torch.complex64)}


WRONG = tuple(wrong(torch.zeros(CHAINS, 4, *EXTENTS, 3, 3, dtype=torch.complex128)))
STEPS = ([0.1, 0.1], [0.1], [0.0, 0.0])
OF_FIELDS = {
    "momenta": lambda u, p: cpu.trajectory(u, p, 0 * u, 6.0, 0.0, *STEPS),
    "force": lambda u, p: cpu.trajectory(u, 0 * u, p, 6.0, 0.0, *STEPS),
    "laplacian": lambda u, p: cpu.laplacian(u, p),
    "one direction": lambda u, p: cpu.transport_laplacian(u, p[:, 0], 0),
    "features": lambda u, p: cpu.frozen_features(u, p[:, 0], 0),
    "algebra": lambda u, p: blocks.algebra_in(library.lattice(EXTENTS), p, CHAINS),
    "scalars": lambda u, p: blocks.scalars_in(library.lattice(EXTENTS), p[..., 0, 0].real, CHAINS),
    "sites": lambda u, p: blocks.sites_in(library.lattice(EXTENTS), p[:, 0, ..., 0, 0].real,
                                          CHAINS),
    "pullback": lambda u, p: CompiledKernels().expm_multiply_pullback(u, u, p),
    "force in V": lambda u, p: smearing.force(u, FieldTransformation().rules(6.0), lambda _: p),
}
HARMLESS = {*((name, "matrices") for name in ("scalars", "sites")),  # they take one number of each
            *((name, "real") for name in ("scalars", "sites")),
            *((name, "directions") for name in ("one direction", "features", "sites"))}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", OF_FIELDS)
def test_fields_that_do_not_go_with_the_links_are_refused(name, what, links, field):
    if (name, what) in HARMLESS:
        return
    with torch.no_grad(), pytest.raises((LayoutError, IndexError), match="expected|dimension"):
        OF_FIELDS[name](links, wrong(field)[what])
    with torch.no_grad():
        OF_FIELDS[name](links, field)


@pytest.mark.parametrize("backend", fast.CHOICES)
def test_the_table_refuses_them_for_whoever_serves(backend, links, field):
    with fast.using(backend):
        for call in (lambda: fast.trajectory(links, field[:1], field[:1], 6.0, 0.0, *STEPS),
                     lambda: fast.trajectory(links, field, field[:1], 6.0, 0.0, *STEPS),
                     lambda: fast.laplacian(links, field[:, :, :2]),
                     lambda: fast.transport_laplacian(links, field[:1, 0], 0),
                     lambda: fast.frozen_features(links, field, 0)):
            with pytest.raises(LayoutError, match="as links .* need it"):
                call()
        for mu in (-1, 4):
            with pytest.raises(LayoutError, match="a direction from 0 to 3"):
                fast.transport_laplacian(links, field[:, mu % 4], mu)


@pytest.mark.parametrize("kind", ("all", "kick", "drift"))
def test_a_trajectory_takes_nothing_of_other_chains(kind, links, field, generator):
    kernel = make_kernel(kind, generator)
    state = kernel.init(links)
    with torch.no_grad():
        for momenta, force in ((field[:1], state.force), (field, state.force[:1]),
                               (torch.cat([field, field]), state.force)):
            with pytest.raises(LayoutError, match="as links"):
                kernel.trajectory(state._replace(force=force), momenta, generator)


def test_what_a_state_has_seen_of_other_links_is_not_used(links, field, generator):
    kernel = make_kernel("kick", generator)
    with torch.no_grad():
        end = kernel.trajectory(kernel.init(links), field, generator)
        assert end.seen
        for seen in ({name: one[:1] for name, one in end.seen.items()},
                     {name: one.float() for name, one in end.seen.items()},
                     {name: one[..., :1, :].contiguous() for name, one in end.seen.items()}):
            state = kernel.init(end.links)
            found = kernel.trajectory(state._replace(seen=seen), field, generator)
            assert torch.equal(found.links, kernel.trajectory(state, field, generator).links)


def test_matrices_are_complex_and_three_by_three(links):
    for field in (links.real, links[..., :2], links.real.int(), links.numpy()):
        with pytest.raises(LayoutError, match="expected"):
            cpu.expm_multiply(field, links)
        with pytest.raises(LayoutError, match="expected"):
            fast.group_defects(field)
    with pytest.raises(LayoutError, match="complex"):
        cpu.kinetic(links.real)
    with pytest.raises(LayoutError, match="numbers of type"):
        cpu.expm_multiply(links.to(torch.complex64), links)


def test_links_have_extents_and_loops_have_sides(links):
    for call in (lambda: cpu.force(links[:, :, :0], 6.0),
                 lambda: cpu.plaquettes(links[..., :0, :, :]),
                 lambda: cpu.charge_density(links, [(0, 1, 1.0)]),
                 lambda: cpu.charge(links, [(1, -1, 1.0)]), lambda: cpu.charge(links[0], []),
                 lambda: transformation.transform(links[0], FieldTransformation().rules(6.0))):
        with torch.no_grad(), pytest.raises(LayoutError, match="expected"):
            call()


@pytest.mark.parametrize("backend", fast.CHOICES)
def test_a_heat_bath_has_words_of_every_chain(backend, links):
    for words in (torch.zeros(2, 4), torch.zeros(2, 4).long(), torch.zeros(CHAINS, 3).long(),
                  torch.zeros(CHAINS, 4), torch.zeros(5, 4).long(), torch.zeros(12).long()):
        with fast.using(backend), pytest.raises(LayoutError, match=r"words int64 \[3, 4\]"):
            fast.heat_bath(links, 6.0, words, 1, 1)


def test_tables_have_the_shapes_that_are_counted(links, generator):
    for counters, key in ((torch.zeros(4).long(), torch.zeros(2).long()),
                          (torch.zeros(2, 4).long(), torch.zeros(1).long())):
        with pytest.raises(LayoutError, match="expected"):
            heatbath.philox(counters, key)
    first, offset = torch.zeros(5, 2), torch.zeros(5)
    weights, biases = torch.zeros(2, 3, 5), torch.zeros(2, 3)
    learned.networks(first, offset, weights, biases)
    for other in ((first[:, :1], offset, weights, biases), (first[:4], offset, weights, biases),
                  (first, offset[:4], weights, biases), (first, offset, weights, biases[:1])):
        with pytest.raises(LayoutError, match="network"):
            learned.networks(*other)
    rules = FieldTransformation(hidden=4).rules(6.0)
    with torch.no_grad(), pytest.raises(LayoutError, match="hidden units"):
        smearing.transform(links, rules._replace(offsets=rules.offsets[:2]))


@pytest.mark.parametrize("backend", fast.CHOICES)
def test_a_host_gets_links_of_one_chain(backend, links):
    at = fast.places(np.arange(64) * 9, 1)
    fields = [np.zeros(at.size, complex) for _ in range(4)]
    with fast.using(backend):
        fast.store_links(links[:1], fields, at)
        for wrong_links in (links, links[:0], links[:1, :3], links[:1, ..., :2], links[:1].real):
            with pytest.raises(LayoutError, match="links: expected"):
                fast.store_links(wrong_links, fields, at)


@pytest.mark.parametrize("backend", fast.CHOICES)
def test_no_chains_are_no_error(backend, links, field):
    step = torch.full((CHAINS, *[1] * 7), 0.1, dtype=torch.float64)
    with fast.using(backend):
        assert fast.expm_multiply(field[:0], links[:0], step[:0]).shape == links[:0].shape
        assert fast.kinetic(field[:0]).shape == (0,)
    assert fast.group_defects(links[:0]) == (0, 0)


@pytest.mark.parametrize("backend", fast.CHOICES)
def test_a_pending_conjugation_is_carried_out(backend, field):
    with fast.using(backend):
        assert torch.allclose(fast.kinetic(field.conj()), fast.kinetic(field), rtol=1e-14)
