"""What an HDF5 file from elsewhere must not do: point out of itself, or claim what it lacks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from l2hmc_bridge.errors import FormatError

if TYPE_CHECKING:
    import h5py

LARGEST_RATIO = 1100  # more than deflate can compress


@contextmanager
def opened(path: Path) -> Iterator["h5py.File"]:
    """The file, read-only; whatever h5py raises on a damaged one comes out as FormatError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, IndexError, OverflowError,
            MemoryError, AttributeError, SystemError) as error:
        told = " ".join(str(error).split())[:200]
        raise FormatError(f"{path}: expected a whole HDF5 file: {told}") from error


def dataset(path: Path, group: "h5py.Group", name: str) -> "h5py.Dataset":
    """A dataset stored in this very file; FormatError for links to others and for absent ones."""
    import h5py

    link = group.get(name, getlink=True)
    found = group[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset):
        raise FormatError(f"{path}: expected a dataset {name!r} in the file itself, found none")
    if found.is_virtual or found.external:
        raise FormatError(f"{path}: {name}: expected data in the file itself, found data elsewhere")
    return found


def check_expansion(path: Path, data: "h5py.Dataset", size: int) -> None:
    """FormatError where `size` bytes cannot come out of what the file holds."""
    held = data.id.get_storage_size()
    if size > held * (LARGEST_RATIO if data.compression else 1):
        raise FormatError(f"{path}: {data.name}: expected {size} bytes, found {held} stored")
