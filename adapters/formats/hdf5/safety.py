"""HDF5 with care: files from elsewhere may not point out of themselves or claim what they lack,
and a disk that fills up while one is written is an error, not the end of the process."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.storage.atomic import temporary_path

if TYPE_CHECKING:
    import h5py

LARGEST_RATIO = 1100  # more than deflate can compress


class _Output(io.FileIO):
    """A file whose first failure is kept while HDF5 goes on as if all were well.

    The library cannot close a file after a failed write without ending the process.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view) and self.failure is None:
                done += super().write(view[done:])
        except OSError as error:
            self.failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0


@contextmanager
def created(path: Path, force: bool) -> Iterator["h5py.File"]:
    """A new HDF5 file that gets its name when it is whole. Raises BridgeError.

    The file version is one whose own structures carry checksums (HDF5 1.10).
    """
    import h5py

    with temporary_path(path, force) as temporary, _Output(temporary, "x+b") as output:
        try:
            with h5py.File(output, "w", libver=("v110", "v110")) as file:
                yield file
        finally:
            if output.failure is not None:
                raise output.failure
        output.flush()


@contextmanager
def opened(path: Path) -> Iterator["h5py.File"]:
    """The file, read-only; whatever h5py raises on a damaged one comes out as FormatError."""
    import h5py

    with damaged(path), h5py.File(path, "r") as file:
        yield file


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """What h5py raises on a damaged file as FormatError."""
    try:
        yield
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
