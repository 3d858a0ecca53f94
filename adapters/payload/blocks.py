"""Moving blocks of a file: some z-planes of one time slice, between bytes and links.

Blocks are small enough to stay in a processor's cache, and a few threads each hold one buffer.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import dispatch
from .layout import Block, Payload

# links[:, mu] of the core is direction FILE_ORDER[mu] of the files: (t,x,y,z) out of (x,y,z,t).
FILE_ORDER = (3, 0, 1, 2)
BLOCK_BYTES = 1 << 20


def blocks_of(payload: Payload, first: int, last: int) -> list[Block]:
    """The blocks of time slices first..last-1, in the order of the file."""
    nx, ny, nz, _ = payload.lattice
    planes = max(1, min(nz, BLOCK_BYTES // (nx * ny * payload.site_bytes)))
    return [
        Block(t - first, t, z, min(planes, nz - z))
        for t in range(first, last)
        for z in range(0, nz, planes)
    ]


def in_threads(
    move: Callable[[Any, NDArray[np.uint8]], Any], items: list[Any], buffer_bytes: int = 0
) -> list[Any]:
    """[move(item, buffer), ...] in order, by a few threads, each with a buffer of its own."""
    workers = min(dispatch.threads(), len(items))
    local = threading.local()

    def one(item: Any) -> Any:
        buffer = getattr(local, "buffer", None)
        if buffer is None:
            buffer = local.buffer = np.empty(buffer_bytes, np.uint8)
        return move(item, buffer)

    if workers < 2:
        return [one(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, items))


@contextmanager
def flushing(descriptor: int, size: int) -> Iterator[None]:
    """While the body writes a large file, another thread hands it on to the disk.

    The last sync then finds little to do. What goes wrong there is raised here: it would not be
    told a second time.
    """
    if size < dispatch.COMPILED_FROM:
        yield
        return
    done = threading.Event()
    failures: list[OSError] = []

    def flush() -> None:
        while not done.wait(0.02) and not failures:
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                failures.append(error)

    helper = threading.Thread(target=flush)
    helper.start()
    try:
        yield
    finally:
        done.set()
        helper.join()
    if failures:
        raise failures[0]


def number_type(payload: Payload) -> np.dtype:
    """The complex type of the stored numbers, byte order included."""
    return np.dtype(f"{'>' if payload.big else '<'}c{2 * payload.word}")


def decode(
    raw: NDArray[np.uint8], payload: Payload, block: Block, out: NDArray[np.complex128]
) -> None:
    """Bytes of a block -> its place in out [4,Nt,Nx,Ny,Nz,3,3], directions (t,x,y,z).

    A missing third row is conj(row0 x row1). The bytes may be overwritten.
    """
    kernels = dispatch.kernels(payload.size)
    if kernels is not None:
        function = kernels.decode64 if payload.word == 8 else kernels.decode32
        function(
            raw.view(f"u{payload.word}"), out.reshape(-1).view(np.float64), out.shape[1:5],
            block.position, block.z, block.planes, payload.rows, payload.big, kernels.ORDER,
        )
        return
    nx, ny = out.shape[2:4]
    stored = raw.view(number_type(payload)).reshape(block.planes, ny, nx, 4, payload.rows, 3)
    stored = stored.transpose(3, 2, 1, 0, 4, 5)
    part = out[:, block.position, :, :, block.z : block.z + block.planes]
    with np.errstate(all="ignore"):  # a damaged file may hold any numbers; the checks find them
        for mu, direction in enumerate(FILE_ORDER):
            part[mu, ..., : payload.rows, :] = stored[direction]
        if payload.rows == 2:
            part[..., 2, :] = np.cross(part[..., 0, :], part[..., 1, :]).conj()


def encode(
    links: NDArray[np.complex128], payload: Payload, block: Block, raw: NDArray[np.uint8]
) -> None:
    """Inverse of `decode`: links [4,Nt,Nx,Ny,Nz,3,3] -> the bytes of a block, into `raw`."""
    kernels = dispatch.kernels(payload.size)
    if kernels is not None:
        function = kernels.encode64 if payload.word == 8 else kernels.encode32
        function(
            links.reshape(-1).view(np.float64), raw.view(f"u{payload.word}"), links.shape[1:5],
            block.position, block.z, block.planes, payload.rows, payload.big, kernels.ORDER,
        )
        return
    nx, ny = links.shape[2:4]
    stored = raw.view(number_type(payload)).reshape(block.planes, ny, nx, 4, payload.rows, 3)
    part = links[:, block.position, :, :, block.z : block.z + block.planes]
    for mu, direction in enumerate(FILE_ORDER):
        stored[:, :, :, direction] = part[mu, ..., : payload.rows, :].transpose(2, 1, 0, 3, 4)
