"""Live arrays of links, as lyncs_io loads them, to and from torch: numpy, dask, or named axes.

    links = to_links(lyncs_io.load("cfg.lime"), axes="lime")
    array = from_links(links, axes="lime")

lyncs_io hands arrays over as they lie in the file and says nothing about their axes: LIME files
have (t,z,y,x,direction,row,column) with directions x,y,z,t and big-endian numbers, openQCD's
(t,x,y,z,direction,row,column) with directions t,x,y,z (lyncs_io 0.2.3 lime.py, openqcd.py).
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.adapters.hosts.refuse import require_periodic_su3
from l2hmc_bridge.adapters.payload.array_layouts import DIRECTION_FIRST
from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fields import layout
from l2hmc_bridge.fields.layout import AXES, DIRECTIONS, FILE_AXES, FILE_DIRECTIONS

# Name: axes, and the order of directions.
LAYOUTS = {
    "lime": (FILE_AXES, FILE_DIRECTIONS),
    "openqcd": (("t", "x", "y", "z", "direction", "row", "column"), DIRECTIONS),
    "pyquda": (DIRECTION_FIRST, FILE_DIRECTIONS),
    "links": (AXES[1:], DIRECTIONS),
}
Axes = str | Sequence[str] | None


def to_links(
    array: Any, axes: Axes = None, directions: Sequence[str] | None = None, verify: bool = True
) -> Tensor:
    """Links [Nb,4,Nt,Nx,Ny,Nz,3,3] of an array; they share its memory if its layout is "links".

    array: numpy, dask (computed here) or anything numpy understands, complex128 and contiguous.
    axes: a name in LAYOUTS, or names of the axes in order ("batch" may be left out); without,
    what the array's own `axes`, `dims` or `attrs["axes"]` say. directions: their order along the
    axis of that name; x,y,z,t unless the layout has its own. Raises LayoutError, and
    what `live.require_periodic_su3` does unless the links are periodic and in SU(3).
    """
    names, order = _named(axes if axes is not None else _told(array), directions)
    numbers = np.asarray(array.compute() if _is_dask(array) else array)
    _check_numbers(numbers)
    _check_shape(numbers.shape, names)
    native = numbers.astype(np.complex128, copy=not numbers.flags.writeable)
    links, places, defects = _shared(native, names, order), _places(names, native.shape), None
    if links is None and places is not None:
        links, defects = fast.fetch_links(_directions(native, names, order), places,
                                          [native.shape[names.index(axis)] for axis in AXES[2:6]])
    elif links is None:
        links = layout.to_links(native, names, order)
        links = links.clone() if np.shares_memory(links.numpy(), native) else links
    if verify:
        for one in links.split(1):
            require_periodic_su3("array", one, defects)
    return links


def from_links(
    links: Tensor, axes: Axes = "lime", directions: Sequence[str] | None = None, like: Any = None
) -> Any:
    """Inverse of `to_links`: a contiguous complex128 array, dask with its chunks if `like` is one.

    Where the layout is "links", it shares the memory of links on the host. Raises LayoutError.
    """
    names, order = _named(axes, directions)
    layout.check_links(links)
    if names in (AXES, AXES[1:]) and order == DIRECTIONS and links.is_contiguous():
        if names != AXES and links.shape[0] != 1:
            raise LayoutError(f"links: expected one configuration, found {links.shape[0]}")
        whole = links.detach().to("cpu", torch.complex128).resolve_conj().resolve_neg().numpy()
        array = whole if names == AXES else whole[0]
    else:
        array = _stored(links, names, order)
    if not _is_dask(like):
        return array
    if like.shape != array.shape:
        raise LayoutError(f"array: expected the shape of the one to be like, {like.shape}, found "
                          f"{array.shape}")
    import dask.array

    return dask.array.from_array(array, chunks=like.chunks)


def _shared(array: NDArray, names: tuple[str, ...], order: tuple[str, ...]) -> Tensor | None:
    """Links in the memory of an array that has their layout, else None."""
    if names not in (AXES, AXES[1:]) or order != DIRECTIONS:
        return None
    return torch.from_numpy(array if names == AXES else array[None])


def _stored(links: Tensor, names: tuple[str, ...], order: tuple[str, ...]) -> NDArray:
    """A new array with these axes, from any device and number type of links."""
    extents = dict(zip(AXES, links.shape, strict=True))
    shape = tuple(extents[name] for name in names)
    places = _places(names, shape)
    if places is None or links.shape[0] != 1:
        return layout.from_links(links, names, order)
    array = np.empty(shape, np.complex128)
    fast.store_links(links, _directions(array, names, order), places)
    return array


@functools.lru_cache(maxsize=4)
def _places(names: tuple[str, ...], shape: tuple[int, ...]) -> fast.Places | None:
    """Where the matrices of a direction are in such an array; None if they follow no stride."""
    step = _steps(names, shape)
    if "batch" in names or 0 in shape or step["row"] != 3 * step["column"]:
        return None
    axes = np.ogrid[tuple(slice(shape[names.index(axis)]) for axis in AXES[2:6])]
    parts = [step[name] * index for name, index in zip(AXES[2:6], axes, strict=True)]
    return fast.places(sum(parts[1:], parts[0]), step["column"])


def _directions(array: NDArray, names: tuple[str, ...], order: tuple[str, ...]) -> list[NDArray]:
    """The numbers of an array from where each direction of links begins."""
    step = _steps(names, array.shape)["direction"]
    return [array.reshape(-1)[order.index(name) * step:] for name in DIRECTIONS]


def _steps(names: tuple[str, ...], shape: tuple[int, ...]) -> dict[str, int]:
    """Numbers from one to the next along each axis of a contiguous array."""
    return {name: math.prod(shape[at + 1:]) for at, name in enumerate(names)}


def _is_dask(array: Any) -> bool:
    return hasattr(array, "dask") and hasattr(array, "compute")


def _told(array: Any) -> Sequence[str]:
    """The axes that an array itself names; LayoutError if it names none."""
    attributes = getattr(array, "attrs", None)
    stated = attributes.get("axes") if isinstance(attributes, Mapping) else None
    for found in (getattr(array, "axes", None), getattr(array, "dims", None), stated):
        if isinstance(found, str):
            return found if found in LAYOUTS else tuple(found.replace(",", " ").split())
        if isinstance(found, Sequence) and all(isinstance(name, str) for name in found):
            return found
    raise LayoutError(f"array: expected axes, by a name ({', '.join(LAYOUTS)}) or as a sequence "
                      f"of {', '.join(AXES)}: this {type(array).__name__} names none")


def _named(axes: Axes, directions: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if isinstance(axes, str):
        if axes not in LAYOUTS:
            raise LayoutError(f"axes: expected one of {', '.join(LAYOUTS)}, or a sequence of "
                              f"{', '.join(AXES)}, found {axes!r}")
        names: tuple[str, ...] = LAYOUTS[axes][0]
        own: Sequence[str] = LAYOUTS[axes][1]
    else:
        names, own = tuple(axes or ()), FILE_DIRECTIONS
    if len(set(names)) != len(names) or set(names) | {"batch"} != set(AXES):
        raise LayoutError(f"axes: expected each of {', '.join(AXES)} once (batch may be left out), "
                          f"found {', '.join(map(str, names)) or 'none'}")
    order = tuple(directions or own)
    if sorted(order) != sorted(DIRECTIONS):
        raise LayoutError(f"directions: expected {', '.join(DIRECTIONS)} in any order, found "
                          f"{', '.join(map(str, order))}")
    return names, order


def _check_numbers(array: NDArray) -> None:
    """LayoutError, with the way to convert, unless the array is contiguous complex128."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f" and array.shape[-1:] == (2,):
        raise LayoutError(f"array: expected complex numbers, found {array.dtype} with (re, im) "
                          "last: numpy.ascontiguousarray(array).view(complex)[..., 0] converts "
                          "float64")
    if kind != "c":
        raise LayoutError(f"array: expected complex128, found {array.dtype}")
    if size != 16:
        raise LayoutError(f"array: expected complex128, found {array.dtype}: "
                          "array.astype('complex128') converts, and links of seven digits are to "
                          "be projected to SU(3) after that")
    if not array.flags.c_contiguous:
        raise LayoutError("array: expected a contiguous one in C order, found strides "
                          f"{array.strides}: numpy.ascontiguousarray(array) converts")


def _check_shape(shape: tuple[int, ...], names: tuple[str, ...]) -> None:
    found = dict(zip(names, shape, strict=False))
    expected = {"direction": 4, "row": 3, "column": 3}
    if len(shape) != len(names) or 0 in shape or any(
            found[name] != size for name, size in expected.items()):
        raise LayoutError(f"array: expected axes ({', '.join(names)}) with 4 directions of 3 x 3 "
                          f"matrices, found shape {shape}")
