"""Networks on a lattice in parts on Triton kernels: the bits of the whole, in their interpreter."""

import pytest

from tests.fast.test_planar_parts import START
from tests.support.interpreter import interpreted, needs_triton

NETWORKS = START + """
from dataclasses import replace
from l2hmc_bridge.fast.gpu.learned import moving
from l2hmc_bridge.l2hmc import planar_trial
from l2hmc_bridge.l2hmc.planar_networks import PlanarNetworkEngine
from l2hmc_bridge.ranks.reach import halo
from tests.support.ranks_worker import learned
planar_trial.agrees = lambda *_: True

def short(*parts, kick=True, integrator="leapfrog", **options):
    made = learned(integrator, WILSON, *parts, **options)
    made = replace(made, steps=Steps(schedule(integrator, 0.3, 1)))
    return made if kick else replace(made, kick_network=None)

def moved(kernel, back):
    def work(part):
        torch.set_grad_enabled(False)
        here, p = part.taken(links), part.taken(momenta)
        at = kernel.enter(here, p, kernel.action.force(here))
        kernel.palindrome(at) if back else kernel.forward(at)
        end = at.leave()
        return [part.kept(end.links), part.kept(end.momenta), part.kept(end.force), end.log_det]
    return work

KERNELS = {
    "square": short(),
    "displaced": short(integrator="force_gradient"),
    "Laplacian": short(("laplacian", "square")),
    "rectangle": short(("rectangle",)),
    "mixing": short(mixing=True),
    "Laplacian and mixing": short(("laplacian",), mixing=True),
    "turn": short(kick=False, subsets="turn", outputs=("q", "t")),
    "kick and turn": short(subsets="turn", integrator="omf2"),
    "all": short(kick=False, subsets="all"),
    "drift network and mixing": short(subsets="turn", mixing=True),
}
"""

PARTS = NETWORKS + """
for grid, lattice, depth, names in GRIDS:
    links = field(lattice)
    momenta = su3.random_algebra((1, 4, *lattice), torch.Generator().manual_seed(2))
    for name in names:
        assert engine_for(KERNELS[name], links) is PlanarNetworkEngine
        # Deeper than it must be: sites that count from an odd one.
        assert halo(KERNELS[name]) == depth - (name == "kick and turn")
        wrong = same(grid, lattice, depth, moved(KERNELS[name], name in ("square", "turn")))
        print(grid, name, wrong)
        if wrong:
            raise SystemExit(f"{grid}, {name}: {wrong} differ")
"""


# A part must not hold as many sites as the lattice: it would need no neighbours.
@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("grids", [
    [("1,1,1,2", (10, 1, 1, 3), 2, ["square", "Laplacian", "mixing"])],
    [("1,1,2,1", (1, 2, 1, 10), 2, ["displaced"]),
     ("1,1,2,1", (1, 1, 2, 14), 3, ["rectangle", "Laplacian and mixing"])],
    [("1,1,1,2", (12, 2, 2, 2), 2, ["turn", "drift network and mixing"])],
    [("1,1,2,1", (2, 2, 2, 12), 2, ["all"])],
    [("1,1,2,1", (2, 2, 2, 16), 3, ["kick and turn"])],
], ids=("t", "z", "drifts", "subsets", "one kernel"))
def test_networks_in_parts_have_the_bits_of_the_whole(grids):
    interpreted(PARTS.replace("GRIDS", repr(grids)))


STALE = NETWORKS + """
lattice, name = (10, 1, 1, 3), "mixing"
links = field(lattice)
momenta = su3.random_algebra((1, 4, *lattice), torch.Generator().manual_seed(2))
expected, renew = alone(lattice, moved(KERNELS[name], False)), moving.renew
if same("1,1,1,2", lattice, 2, moved(KERNELS[name], False), expected):
    raise SystemExit("not the same to begin with")
for numbers in (planar.LINKS, planar.ALGEBRA):  # forgotten
    moving.renew = lambda part, field: (
        None if field.shape[3] == numbers else renew(part, field))
    if not same("1,1,1,2", lattice, 2, moved(KERNELS[name], False), expected):
        raise SystemExit(f"nobody misses the neighbours' fields of {numbers} numbers")
"""


@needs_triton
@pytest.mark.slow
def test_links_and_momenta_that_are_not_renewed_are_found():
    interpreted(STALE)
