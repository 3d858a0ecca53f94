"""Copies of the neighbours' sites in the blocked layout, and forces where there are none beside."""

import os
import subprocess
import sys

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast import halo
from l2hmc_bridge.fast.cpu import blocks as blocked, library
from l2hmc_bridge.fields.part import Part, holding
from tests.fast.test_every_processor import levels
from tests.support.fields import rough_links
from tests.support.places import ROOT

pytestmark = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
CASES = [  # extents, copies, whether copies have blocks of their own
    ((8, 4, 4, 4), (1, 0, 0, 0), True),
    ((6, 4, 4, 6), (0, 0, 0, 2), True),
    ((4, 4, 6, 4), (1, 0, 1, 0), None),  # on registers of two or four lanes they have
    ((4, 4, 4, 4), (1, 1, 1, 1), False),
    ((3, 5, 3, 5), (2, 0, 0, 0), True),
    # Layers that reach across the middle of a direction whose halves are in different blocks, on
    # registers of two and four lanes.
    ((2, 4, 3, 4), (2, 0, 0, 0), None),
    ((2, 4, 2, 4), (2, 0, 2, 0), None),
    ((4, 4, 4, 4), (3, 0, 0, 3), None),
]


def held(extents, copies):
    """A part whose neighbours are itself, and what it should hold."""
    part = Part(extents, (0, 0, 0, 0), extents, copies)
    return part, part.taken(rough_links(torch.Generator().manual_seed(5), extents, 2))


@pytest.mark.parametrize(("extents", "copies", "own"), CASES)
def test_copies_are_renewed_and_nothing_else(extents, copies, own):
    part, right = held(extents, copies)
    with holding(part):
        lattice = library.lattice_of(right)
        wrong = torch.full_like(right, torch.nan)
        part.kept(wrong).copy_(part.kept(right))
        field = blocked.links_in(lattice, wrong)
        assert blocked.links_out(lattice, field).isnan().any()
        lattice.renew(field)
        assert torch.equal(blocked.links_out(lattice, field), right)
    kinds = {type(one.down) for one in halo.layers(part, lattice.sites)}
    assert own is None or (halo.Places in kinds) != own


@pytest.mark.parametrize(("extents", "copies", "own"), CASES)
def test_a_force_is_computed_where_the_neighbours_are_here(extents, copies, own):
    part, links = held(extents, copies)
    with holding(part):
        found = fast.force(links, 5.7)
    right = part.taken(fast.force(rough_links(torch.Generator().manual_seed(5), extents, 2), 5.7))
    torch.testing.assert_close(part.kept(found), part.kept(right), rtol=0, atol=1e-13)
    if own:  # blocks of copies alone: no force there but where they are two sites deep
        mu = part.cut[0]
        assert not found.narrow(2 + mu, 0, 1).any()
        assert not found.narrow(2 + mu, part.held[mu] - 1, 1).any()


def test_a_part_in_single_precision_is_refused():
    part, links = held((4, 4, 4, 4), (1, 0, 0, 0))
    with holding(part), pytest.raises(LayoutError, match="single precision: expected a whole"):
        fast.plaquettes(links.to(torch.complex64))


@pytest.mark.slow
@pytest.mark.parametrize("level", library.LEVELS["AVX512"])
def test_the_same_on_registers_of_every_length(level):
    """Where the halves of a direction lie side by side in a register depends on its length."""
    if level not in levels() or level == library.required(torch.complex128).level:
        pytest.skip(f"no {level} build beside the one that this process has")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-m",
         "not slow"], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env=os.environ | {"ATEN_CPU_CAPABILITY": level, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout
