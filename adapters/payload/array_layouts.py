"""The axes that arrays of links have in the files of PyQUDA and lyncs, known by their shape."""

from collections.abc import Sequence

from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields.axes import FILE_AXES

# PyQUDA's npy and HDF5 files: direction slowest. lyncs_io loads ILDG payloads in FILE_AXES.
DIRECTION_FIRST = ("direction", "t", "z", "y", "x", "row", "column")
LAYOUTS = {"pyquda": DIRECTION_FIRST, "lyncs": FILE_AXES}


def layouts_of(shape: Sequence[int], layout: str | None) -> list[str]:
    """The layouts that an array of this shape can have, or `layout`; FormatError where none fits.

    Both fit if the array has 4 at the place of either's direction axis.
    """
    if layout is not None and layout not in LAYOUTS:
        raise FormatError(f"layout: expected one of {', '.join(LAYOUTS)}, found {layout!r}")
    found = [
        name for name, axes in LAYOUTS.items()
        if layout in (None, name) and len(shape) == 7 and tuple(shape[-2:]) == (3, 3)
        and shape[axes.index("direction")] == 4
    ]
    if not found:
        square = len(shape) == 7 and shape[-1] == shape[-2] != 3
        told = f" (holds SU({shape[-1]}))" if square else ""
        raise FormatError(f"array: expected shape (4,T,Z,Y,X,3,3) or (T,Z,Y,X,4,3,3), found "
                          f"{tuple(shape)}{told}")
    return found


def lattice_of(shape: Sequence[int], layout: str) -> tuple[int, int, int, int]:
    """(X,Y,Z,T) of an array in this layout."""
    x, y, z, t = (int(shape[LAYOUTS[layout].index(axis)]) for axis in "xyzt")
    return x, y, z, t
