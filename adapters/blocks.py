"""Moving one time slice between its bytes in a file and its place in the links."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.errors import FormatError

if TYPE_CHECKING:
    from .payload import Payload

# links[:, mu] of the core is direction FILE_ORDER[mu] of the files: (t,x,y,z) out of (x,y,z,t).
FILE_ORDER = (3, 0, 1, 2)


def threads() -> int:
    """How many threads move blocks: the processors this process may use, at most eight."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)


def in_threads(move: Callable[[int], Any], count: int) -> list[Any]:
    """[move(0), move(1), ...] in order, computed by a few threads."""
    workers = min(threads(), count)
    if workers < 2:
        return [move(position) for position in range(count)]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(move, range(count)))


def read_at(descriptor: int, offset: int, size: int) -> NDArray[np.uint8]:
    """Exactly `size` bytes from `offset`; FormatError where the file ends before."""
    buffer = np.empty(size, np.uint8)
    view, done = memoryview(buffer), 0
    while done < size:
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if count == 0:
            raise FormatError(f"file ended while reading: expected {size - done} more bytes")
        done += count
    return buffer


def write_at(descriptor: int, offset: int, raw: NDArray[np.uint8]) -> None:
    """Write all of `raw` at `offset`."""
    view, done = memoryview(raw), 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)


def number_type(payload: "Payload") -> np.dtype:
    """The complex type of the stored numbers, byte order included."""
    return np.dtype(f"{'>' if payload.big else '<'}c{2 * payload.word}")


def decode(raw: NDArray[np.uint8], payload: "Payload", out: NDArray[np.complex128]) -> None:
    """Bytes of one time slice -> out [4,Nx,Ny,Nz,3,3], directions (t,x,y,z).

    A missing third row is conj(row0 x row1).
    """
    nx, ny, nz, _ = payload.lattice
    stored = raw.view(number_type(payload)).reshape(nz, ny, nx, 4, payload.rows, 3)
    stored = stored.transpose(3, 2, 1, 0, 4, 5)
    for mu, direction in enumerate(FILE_ORDER):
        out[mu, ..., : payload.rows, :] = stored[direction]
    if payload.rows == 2:
        out[..., 2, :] = np.cross(out[..., 0, :], out[..., 1, :]).conj()


def encode(links: NDArray[np.complex128], payload: "Payload") -> NDArray[np.uint8]:
    """Inverse of `decode`: [4,Nx,Ny,Nz,3,3] -> the bytes of one time slice."""
    nx, ny, nz, _ = payload.lattice
    stored = np.empty((nz, ny, nx, 4, payload.rows, 3), number_type(payload))
    for mu, direction in enumerate(FILE_ORDER):
        stored[:, :, :, direction] = links[mu, ..., : payload.rows, :].transpose(2, 1, 0, 3, 4)
    return stored.reshape(-1).view(np.uint8)
