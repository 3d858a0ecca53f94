"""Axis and direction orders of arrays: every element where its name says, in one pass or none."""

import itertools

import numpy as np
import pytest
import torch

from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fields.layout import (
    AXES,
    DIRECTIONS,
    FILE_AXES,
    FILE_DIRECTIONS,
    from_links,
    to_links,
)
from tests.support.fields import rough_links

ORDERS = [
    (FILE_AXES, FILE_DIRECTIONS),
    (("direction", "t", "z", "y", "x", "row", "column"), FILE_DIRECTIONS),
    (("x", "y", "z", "t", "direction", "row", "column"), ("x", "y", "z", "t")),
    (("row", "column", "direction", "t", "x", "y", "z"), ("t", "z", "y", "x")),
    (("direction", "t", "x", "y", "z", "column", "row"), DIRECTIONS),
    (("t", "x", "y", "z", "batch", "row", "column", "direction"), DIRECTIONS),
    (AXES, FILE_DIRECTIONS),
]


def by_hand(links, axes, directions):
    """The array by a loop over directions and a transposition of numbers."""
    array = links.numpy()
    array = np.stack([array[:, DIRECTIONS.index(name)] for name in directions], 1)
    return np.moveaxis(array, [AXES.index(name) for name in axes if name in AXES],
                       range(len(axes))) if "batch" in axes else np.moveaxis(
        array[0], [AXES.index(name) - 1 for name in axes], range(len(axes)))


@pytest.mark.parametrize("axes, directions", ORDERS)
def test_every_order_both_ways(axes, directions, generator):
    links = rough_links(generator)
    array = from_links(links, axes, directions)
    assert np.array_equal(array, by_hand(links, axes, directions)) and array.flags.c_contiguous
    assert torch.equal(to_links(array, axes, directions), links)


@pytest.mark.parametrize("change", [
    lambda a: a.astype(">c16"),
    lambda a: np.asfortranarray(a),
    lambda a: np.repeat(a, 2, axis=0)[::2],
    lambda a: a[::-1][::-1],
    lambda a: np.pad(a, [(0, 0)] * 6 + [(0, 1)])[..., :3],
])
def test_arrays_of_any_memory(change, generator):
    links = rough_links(generator)
    array = change(from_links(links, FILE_AXES, FILE_DIRECTIONS))
    assert torch.equal(to_links(array, FILE_AXES, FILE_DIRECTIONS), links)


def test_single_precision_is_widened(generator):
    links = rough_links(generator).to(torch.complex64)
    array = from_links(links, FILE_AXES, FILE_DIRECTIONS)
    assert array.dtype == np.complex64
    wide = to_links(array, FILE_AXES, FILE_DIRECTIONS)
    assert wide.dtype == torch.complex128 and torch.equal(wide, links.to(torch.complex128))


def test_the_order_of_links_is_shared_and_every_other_is_new(generator):
    links = rough_links(generator)
    array = from_links(links, AXES[1:], DIRECTIONS)
    assert array.ctypes.data == links.data_ptr()
    assert to_links(array, AXES[1:], DIRECTIONS).data_ptr() == links.data_ptr()
    other = from_links(links, FILE_AXES, FILE_DIRECTIONS)
    assert not np.shares_memory(other, links.numpy())
    assert to_links(other, FILE_AXES, FILE_DIRECTIONS).data_ptr() != other.ctypes.data


def test_names_that_do_not_fit(generator):
    links = rough_links(generator, chains=2)
    with pytest.raises(LayoutError, match="one configuration, found 2"):
        from_links(links, AXES[1:], DIRECTIONS)
    for axes in (AXES[2:], (*AXES[:-1], "row")):
        with pytest.raises(LayoutError, match="axes"):
            to_links(links.numpy(), axes, DIRECTIONS)
    for directions in itertools.islice(itertools.product("xyzt", repeat=4), 3):
        with pytest.raises(LayoutError, match="directions"):
            from_links(links, AXES, directions)
