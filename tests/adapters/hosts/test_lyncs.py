"""Live arrays of lyncs_io, dask and numpy to and from links."""

import numpy as np
import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.hosts import lyncs
from l2hmc_bridge.adapters.hosts.lyncs import LAYOUTS
from l2hmc_bridge.errors import BridgeError, LayoutError, VerificationError
from l2hmc_bridge.fields.configuration import Configuration
from tests.support import samples

LINKS = samples.random_links()  # four different extents
AT = {"t": 3, "x": 5, "y": 1, "z": 6, "row": 2, "column": 1}


def array_of(name):
    """The array in one of the layouts, element by element from the definition of its axes."""
    axes, directions = LAYOUTS[name]
    sizes = dict(zip(("direction", "t", "x", "y", "z", "row", "column"), LINKS.shape[1:],
                     strict=True))
    out = np.empty([sizes[axis] for axis in axes], complex)
    for mu, direction in enumerate(directions):
        ours = LINKS[0, ("t", "x", "y", "z").index(direction)].numpy()
        names = [axis for axis in axes if axis != "direction"]
        order = [("t", "x", "y", "z", "row", "column").index(axis) for axis in names]
        out[(slice(None),) * axes.index("direction") + (mu,)] = ours.transpose(order)
    return out


@pytest.mark.parametrize("name", LAYOUTS)
def test_there_and_back_bit_for_bit(name):
    array = array_of(name)
    kept = array.copy()
    links = lyncs.to_links(array, axes=name)
    assert torch.equal(links, LINKS) and links.is_contiguous()
    axes, directions = LAYOUTS[name]
    for mu, direction in enumerate(directions):
        site = tuple(mu if axis == "direction" else AT[axis] for axis in axes)
        ours = (0, ("t", "x", "y", "z").index(direction), *AT.values())
        assert array[site] == links[ours]
    back = lyncs.from_links(links, axes=name)
    assert np.array_equal(back, array) and back.flags.c_contiguous
    assert np.array_equal(array, kept)
    explicit = lyncs.to_links(array, axes=axes, directions=directions)
    assert torch.equal(explicit, LINKS)


@pytest.mark.parametrize("axes", [
    ("direction", "t", "row", "column", "z", "y", "x"),  # as vectors over x
    ("row", "column", "z", "direction", "y", "x", "t"),
    ("t", "z", "y", "x", "direction", "column", "row"),
    ("t", "row", "z", "y", "x", "direction", "column"),
])
def test_any_order_of_axes_whether_matrices_follow_a_stride_or_not(axes):
    array = lyncs.from_links(LINKS, axes)
    named = dict(zip(("direction", "t", "x", "y", "z", "row", "column"), range(7), strict=True))
    turned = LINKS[0, [1, 2, 3, 0]].numpy().transpose([named[axis] for axis in axes])
    assert array.flags.c_contiguous and np.array_equal(array, turned)
    assert torch.equal(lyncs.to_links(array, axes), LINKS)


def test_memory_is_shared_where_the_layout_allows_and_nowhere_else():
    for name in LAYOUTS:
        array = array_of(name)
        links = lyncs.to_links(array, axes=name)
        assert np.shares_memory(array, links.numpy()) is (name == "links")
        back = lyncs.from_links(links, axes=name)
        assert np.shares_memory(back, links.numpy()) is (name == "links")
    read_only = array_of("links")
    read_only.flags.writeable = False
    assert not np.shares_memory(read_only, lyncs.to_links(read_only, axes="links").numpy())


@pytest.mark.parametrize("name", LAYOUTS)
def test_links_that_are_views_or_single(name):
    """What torch has only noted is carried out, and arrays are complex128 in any layout."""
    conjugate = lyncs.from_links(LINKS.conj(), name)
    assert np.array_equal(conjugate, array_of(name).conj())
    single = lyncs.from_links(LINKS.to(torch.complex64), name)
    assert single.dtype == np.complex128
    assert np.array_equal(single, array_of(name).astype("c8"))


def test_a_batch_axis_and_another_byte_order():
    axes = ("batch", *LAYOUTS["lime"][0])
    two = np.stack([array_of("lime"), array_of("lime").conj()]).astype(">c16")
    links = lyncs.to_links(two, axes=axes)
    assert links.shape[0] == 2 and torch.equal(links[:1], LINKS)
    assert np.array_equal(lyncs.from_links(links, axes), two)
    with pytest.raises(LayoutError, match="expected one configuration, found 2"):
        lyncs.from_links(links, "links")


@pytest.mark.parametrize("own", [{"axes": "lime"}, {"dims": LAYOUTS["lime"][0]},
                                 {"attrs": {"axes": "t z y x direction row column"}}])
def test_axes_that_the_array_tells(own):
    class Named:
        """As xarray's DataArray.dims, or an array with HDF5's attrs."""

        def __array__(self, dtype=None, copy=None):
            return array_of("lime")

    named = Named()
    vars(named).update(own)
    assert torch.equal(lyncs.to_links(named), LINKS)


def test_from_lyncs_io_and_back_through_it(tmp_path):
    lyncs_io = pytest.importorskip("lyncs_io", reason="the extra lyncs is not installed")
    files.write(tmp_path / "cfg.lime", Configuration(LINKS, {}))
    loaded = lyncs_io.load(str(tmp_path / "cfg.lime"), format="lime")
    links = lyncs.to_links(loaded, axes="lime")
    assert torch.equal(links, LINKS)
    lyncs_io.save(lyncs.from_links(links), str(tmp_path / "out.npy"))
    assert torch.equal(lyncs.to_links(lyncs_io.load(str(tmp_path / "out.npy")), "lime"), LINKS)
    assert torch.equal(files.read(tmp_path / "out.npy", layout="lyncs").links, LINKS)


def test_dask_arrays_keep_their_chunks():
    dask_array = pytest.importorskip("dask.array", reason="dask is not installed")
    chunks = (2, 4, 2, 3, 4, 3, 3)
    array = dask_array.from_array(array_of("lime"), chunks=chunks)
    links = lyncs.to_links(array, axes="lime")
    assert torch.equal(links, LINKS)
    back = lyncs.from_links(links, like=array)
    assert back.chunks == array.chunks and np.array_equal(back.compute(), array_of("lime"))
    with pytest.raises(LayoutError, match="expected the shape of the one to be like"):
        lyncs.from_links(links, axes="links", like=array)


LIME = array_of("lime")
BAD = {
    "single": (LIME.astype("c8"), "lime", "expected complex128, found complex64.*converts"),
    "real": (LIME.real.copy(), "lime", "expected complex128, found float64"),
    "pairs": (LIME.view(float).reshape(*LIME.shape, 2), "lime",
              r"found float64 with \(re, im\) last.*converts"),
    "objects": (LIME.astype(object), "lime", "expected complex128, found object"),
    "not contiguous": (LIME[::2], "lime", "expected a contiguous one.*ascontiguousarray"),
    "Fortran": (np.asfortranarray(LIME), "lime", "expected a contiguous one"),
    "other axes": (LIME, ("t", "direction", "z", "y", "x", "row", "column"),
                   "with 4 directions of 3 x 3 matrices, found shape"),
    "SU(2)": (LIME[..., :2, :2].copy(), "lime", "of 3 x 3 matrices"),
    "no sites": (LIME[:, :, :0].copy(), "lime", "found shape"),
    "few axes": (LIME[0].copy(), "lime", "found shape"),
    "no axes": (LIME, None, "expected axes, by a name.*this ndarray names none"),
    "unknown name": (LIME, "ildg", "axes: expected one of lime, openqcd, pyquda, links.*'ildg'"),
    "axis twice": (LIME, ("t", "z", "y", "x", "x", "row", "column"), "each of batch, direction"),
    "axis missing": (LIME, ("t", "z", "y", "x", "row", "column"), "each of batch, direction"),
}


@pytest.mark.parametrize("case", BAD)
def test_named_errors(case):
    array, axes, told = BAD[case]
    with pytest.raises(LayoutError, match=told) as raised:
        lyncs.to_links(array, axes)
    assert "\n" not in str(raised.value)


def test_conversions_that_the_errors_name_work():
    pairs = LIME.view(float).reshape(*LIME.shape, 2)
    assert np.array_equal(np.ascontiguousarray(pairs).view(complex)[..., 0], LIME)
    single = LIME.astype("c8").astype("complex128")
    assert (lyncs.to_links(single, "lime") - LINKS).abs().max() < 1e-7


@pytest.mark.parametrize("spoil, told", [
    (lambda array: -array, "det U = -1 on 384 of"), (lambda array: 1j * array, "det U - 1"),
    (lambda array: 1.1 * array, "U U"), (lambda array: np.nan * array, "found NaN or infinity"),
])
def test_links_outside_the_group_are_found(spoil, told):
    array = LIME.copy()
    array[0] = spoil(array[0])
    with pytest.raises(VerificationError, match=told):
        lyncs.to_links(array, "lime")
    assert lyncs.to_links(array, "lime", verify=False).shape == LINKS.shape


def test_anti_periodic_time_links_are_named():
    array = LIME.copy()
    array[-1, :, :, :, 3] *= -1
    with pytest.raises(VerificationError, match="anti-periodic fermion boundaries"):
        lyncs.to_links(array, "lime")


def test_directions_in_no_known_order():
    with pytest.raises(BridgeError, match="directions: expected t, x, y, z in any order, found"):
        lyncs.to_links(LIME, "lime", directions=("x", "y", "z", "w"))
