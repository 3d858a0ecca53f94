"""One file that all who share a lattice write: who creates it, who writes what, when it is whole.

    with written(path, force, lattice) as file:
        file.put(0, head)                      # of the first process
        file.pieces(lambda: write(file.descriptor))  # of every process, its own

Of a lattice that nobody shares it is an ordinary file under a temporary name.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from l2hmc_bridge.errors import BridgeError, FormatError
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.part import Extents, Part
from l2hmc_bridge.storage.atomic import temporary_path

Made = TypeVar("Made")


@dataclass(frozen=True)
class SharedFile:
    """An open file of all who share a lattice, or of this process alone."""

    path: Path
    descriptor: int
    part: Part | None

    def put(self, offset: int, data: bytes) -> None:
        """Bytes that the first process writes; the others wait for it."""

        def write() -> None:
            try:
                write_at(self.descriptor, offset, data)
            except OSError as error:
                raise _refusal(self.path, "written", error) from error

        by_first(self.part, write)

    def pieces(self, write: Callable[[], Made]) -> Made:
        """What every process does by itself; an error of one is an error of all."""
        return by_each(self.part, self.path, write, "written")


def by_each(
    part: Part | None, path: Path, make: Callable[[], Made], what: str = "read"
) -> Made:
    """What every process makes by itself of a file; an error of one is raised by all.

    An OSError becomes a BridgeError that names the file.
    """
    if part is None:
        return make()
    made: list[Made] = []
    failed: Exception | None = None
    try:
        made.append(make())
    except BridgeError as error:
        failed = error
    except OSError as error:
        failed = _refusal(path, what, error)
    except MemoryError as error:
        failed = BridgeError(f"{path}: could not be {what}: out of memory: {error}")
    part.network.agreed(failed)
    return made[0]


def _refusal(path: Path, what: str, error: OSError) -> BridgeError:
    return BridgeError(f"{path}: could not be {what}: {error.strerror or error}")


def by_first(part: Part | None, make: Callable[[], Made]) -> Made:
    """What the first process makes, in all."""
    return make() if part is None else part.network.made(make)


@contextmanager
def written(path: Path, force: bool, lattice: Extents) -> Iterator[SharedFile]:
    """A new file of a field on this lattice, that gets its name when all of it is written."""
    part = parts.shared(lattice)
    if part is not None:
        with written_together(path, force, part) as file:
            yield file
    else:
        with temporary_path(path, force) as temporary:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                yield SharedFile(path, descriptor, None)
            finally:
                os.close(descriptor)


@contextmanager
def written_together(path: Path, force: bool, part: Part) -> Iterator[SharedFile]:
    """A new file that the processes of a part's network write, whatever they hold."""
    network = part.network
    with ExitStack() as stack:

        def create() -> Path:
            name = stack.enter_context(temporary_path(path, force))
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            return name

        temporary = network.made(create)
        descriptor = by_each(part, path, lambda: os.open(temporary, os.O_RDWR))
        try:
            yield SharedFile(path, descriptor, part)
            by_each(part, path, lambda: os.fsync(descriptor), "written")
        finally:
            os.close(descriptor)
        network.made(stack.close)


def write_at(descriptor: int, offset: int, data: bytes | memoryview) -> None:
    """Write all of `data` at `offset`."""
    view, done = memoryview(data).cast("B"), 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)


def read_at(descriptor: int, offset: int, buffer: memoryview) -> None:
    """Fill the buffer from `offset`. Raises FormatError if the file ends before."""
    view, done = buffer.cast("B"), 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if count == 0:
            raise FormatError(f"file ended while reading: expected {len(view) - done} more bytes")
        done += count


class Run(NamedTuple):
    """Bytes one after the other: where in a piece they begin, where in a file, and how many."""

    start: int
    offset: int
    size: int


def runs(own: Sequence[int], origin: Sequence[int], whole: Sequence[int], size: int) -> list[Run]:
    """Where an array of these own extents lies in one of `whole`, slowest axis first.

    size: bytes of an element. As few runs as there can be.
    """
    fixed = len(own)
    while fixed and own[fixed - 1] == whole[fixed - 1]:  # axes that are whole lie in one run
        fixed -= 1
        size *= own[fixed]
    if not fixed:
        return [Run(0, 0, size)]
    length = size * own[fixed - 1]
    places = torch.zeros((), dtype=torch.int64)
    for axis in range(fixed - 1):
        places = places[..., None] * whole[axis] + torch.arange(own[axis]) + origin[axis]
    offsets = (places.flatten() * whole[fixed - 1] + origin[fixed - 1]) * size
    return [Run(number * length, offset, length) for number, offset in enumerate(offsets.tolist())]


def write_field(file: SharedFile, offset: int, field: Tensor) -> None:
    """Write a field [Nb,4,Nt,Nx,Ny,Nz,...] of a part into the whole one that begins at `offset`."""
    for piece, places in _pieces(file.part, field):
        data = torch.view_as_real(piece.contiguous().cpu()).numpy().data.cast("B")
        for run in places:
            write_at(file.descriptor, offset + run.offset, data[run.start:run.start + run.size])


def read_field(descriptor: int, offset: int, part: Part, field: Tensor) -> None:
    """Inverse of `write_field`: the own sites of `field` [Nb,4,...] from a file."""
    for piece, places in _pieces(part, field):
        taken = torch.empty(piece.shape, dtype=piece.dtype)
        data = torch.view_as_real(taken).numpy().data.cast("B")
        for run in places:
            read_at(descriptor, offset + run.offset, data[run.start:run.start + run.size])
        piece.copy_(taken)


def _pieces(part: Part | None, field: Tensor) -> Iterator[tuple[Tensor, list[Run]]]:
    """Time slices of each direction of a field's own sites, and their places in the whole one."""
    own = field if part is None else part.kept(field)
    extents = tuple(field.shape[2:6]) if part is None else part.extents
    lattice = extents if part is None else part.lattice
    origin = (0, 0, 0, 0) if part is None else part.origin
    size = own[0, 0, 0, 0, 0, 0].numel() * own.element_size()
    places = runs(extents[1:], origin[1:], lattice[1:], size)
    slice_bytes = size * torch.Size(lattice[1:]).numel()
    for chain in range(len(own)):
        for mu in range(own.shape[1]):
            for t in range(extents[0]):
                number = (chain * own.shape[1] + mu) * lattice[0] + origin[0] + t
                yield own[chain, mu, t], [run._replace(offset=run.offset + number * slice_bytes)
                                          for run in places]
