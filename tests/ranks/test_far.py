"""What looks further than the sites beside a part: the numbers of one process, bit for bit."""

import pytest
import torch

from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.part import whole
from l2hmc_bridge.observables import flow, lines, standard
from l2hmc_bridge.observables.plan import Plan, records
from tests.support.threads_as_ranks import on_threads

pytestmark = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
LATTICE, FURTHEST = (8, 2, 2, 6), 3
GRIDS = ("1,1,1,2", "1,1,2,1", "1,1,2,2")
PLANS = {
    "Wilson loops, APE": Plan(wilson_loops=5, smear="ape", smear_parameter=0.5, smear_steps=2),
    "adaptive, stout": Plan(flow_time=0.3, flow_step=0.14, tolerance=1e-3, smear="stout"),
    "adaptive, Zeuthen": Plan(flow_time=0.2, flow_step=0.1, tolerance=1e-4, kernel="zeuthen"),
    "Zeuthen": Plan(flow_time=0.1, flow_step=0.05, kernel="zeuthen"),
}


def links_of(chains=2, lattice=LATTICE):
    generator = torch.Generator().manual_seed(4)
    sizes = torch.tensor([0.3, 0.9])[:chains].view(-1, *[1] * 7)
    return su3.exp(sizes * su3.random_algebra((chains, 4, *lattice), generator))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", PLANS)
def test_records_are_those_of_one_process(name, grid):
    links = links_of()
    found = on_threads(grid, LATTICE, FURTHEST, lambda part: records(part.taken(links),
                                                                     PLANS[name]))
    expected = records(links, PLANS[name])
    assert all(one == expected for one in found)


def test_steps_that_adapt_are_refused_and_grow():
    """With a step too large for the rough chain: the control has something to decide."""
    links, sizes = links_of(), []
    stages = flow._stages

    def noted(links, step, kernel):
        sizes.append(step.tolist())
        return stages(links, step, kernel)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "_stages", noted)
        list(flow.integrate(links, [0.3], 0.14, tolerance=1e-3))
    chains = list(zip(*sizes, strict=True))
    assert any(b < a for a, b in zip(chains[1], chains[1][1:], strict=False))
    assert chains[0] != chains[1]


@pytest.mark.parametrize(("grid", "mu"), [("1,1,1,2", 0), ("1,1,1,4", 0), ("1,1,2,1", 3)])
def test_what_lies_ahead_comes_through_the_processes_between(grid, mu):
    numbers = torch.arange(torch.Size(LATTICE).numel(), dtype=torch.float64).view(1, 1, *LATTICE)
    field = torch.complex(numbers, -numbers)
    for steps in range(LATTICE[mu] + 2):
        moved = field.roll(-steps, 2 + mu)
        found = on_threads(grid, LATTICE, 0, lambda part, steps=steps, moved=moved: torch.equal(
            lines.ahead(part, field_of(part, field)[:, 0], mu, steps),
            field_of(part, moved)[:, 0]))
        assert all(found)


def field_of(part, field):
    """The own sites of a part of a field."""
    return field[(slice(None), slice(None), *(slice(o, o + n) for o, n in zip(
        part.origin, part.extents, strict=True)))]


def test_links_that_cannot_be_projected_are_an_error_of_all():
    links = links_of(1)
    links[0, 0, 7] = float("nan")  # on the sites of the last of two
    with pytest.raises(LayoutError, match="singular|finite"):
        on_threads("1,1,1,2", LATTICE, 1, lambda part: flow.ape(part.taken(links), 0.5))


def test_wilson_loops_are_those_of_whole_lines():
    links = links_of()
    part = whole(LATTICE)
    for r, t in ((1, 1), (2, 3), (1, 8)):
        torch.testing.assert_close(lines.wilson_loop(part, links, r, t),
                                   standard.wilson_loop(links, r, t), rtol=0, atol=1e-13)
