"""Links into the kernels' layout and back, also fields so large that stores pass the caches by."""

import pytest
import torch

from l2hmc_bridge.fast.cpu import blocks, library

pytestmark = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")

STREAMED = 24 << 20  # bytes, of kernels/layout.hpp


@pytest.mark.parametrize("dtype", (torch.complex128, torch.complex64))
@pytest.mark.parametrize("extents", [(4, 2, 6, 2), (16, 16, 16, 12), (17, 15, 13, 16)], ids=str)
def test_every_number_goes_to_its_place_and_back(extents, dtype, generator):
    links = torch.randn((1, 4, *extents, 3, 3), generator=generator, dtype=dtype)
    lattice = library.lattice_of(links)
    found = blocks.links_in(lattice, links)
    if extents[0] > 4 and dtype == torch.complex128:
        assert found.nbytes > STREAMED
    flat = torch.view_as_real(links).reshape(4, -1, library.LINK)
    expected = flat[:, lattice.sites]  # [4, blocks, lanes, 18]
    assert torch.equal(found[0], expected.permute(1, 0, 3, 2))
    assert torch.equal(blocks.links_out(lattice, found), links)
