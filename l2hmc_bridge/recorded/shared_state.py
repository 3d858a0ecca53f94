"""The save point of lattices that several processes share: each reads and writes its own sites.

`chains` are those whose fields it holds; `part` names who makes the file together, all chains'.

The file is that of one process (state.py); its digest runs over all bytes in their order, which the
first process reads once they are on the disk.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from l2hmc_bridge.bundle.store import Content, digest_of_contents
from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.fields import part as parts, slabs
from l2hmc_bridge.fields.part import Extents, Part
from l2hmc_bridge.recorded import definition as definitions, state as whole
from l2hmc_bridge.recorded.chains import ALL, Chains
from l2hmc_bridge.recorded.state import NAME, Checkpoint
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.storage import tensors as safetensors
from l2hmc_bridge.storage.tensors import Head

PIECE = 1 << 22
HASH = "0" * 64  # until the digest is known


def save(folder: Path, checkpoint: Checkpoint, part: Part, chains: Chains = ALL) -> None:
    """Replace the save point of `folder` by this one, at once. Raises BridgeError."""
    state, path = checkpoint.state, folder / NAME
    fields = {"links": state.links} | ({} if state.force is None else {"force": state.force})
    action = torch.tensor(chains.every(state.action.tolist()), dtype=torch.float64)
    shapes = {name: (len(action), 4, *part.lattice, 3, 3, 2) for name in fields}
    head, known = safetensors.head_of({**shapes, "action": tuple(action.shape)},
                                      {**whole.told(checkpoint), "hash": HASH})
    with slabs.written_together(path, True, part) as file:

        def own() -> None:
            for name, field in fields.items():
                slabs.write_field(file, _begin(known, name, chains), field)
            os.fsync(file.descriptor)

        file.pieces(own)
        file.put(known.size + known.shapes["action"].begin, action.numpy().tobytes())
        found = part.network.made(lambda: _digest(file.descriptor, known))
        file.put(0, head.replace(f'"hash":"{HASH}"'.encode(), f'"hash":"{found}"'.encode()))


def load(folder: Path, part: Part, chains: Chains = ALL, device: torch.device | None = None
         ) -> Checkpoint:
    """The save point of `folder`, verified, with the state of this part on a device, main memory by
    default. Raises StreamError.
    """
    path = folder / NAME
    known = slabs.by_each(part, path, lambda: _head(folder))
    found = part.network.made(lambda: _digest_of(path, known))
    if found != known.meta.get("hash"):
        raise StreamError(f"{path}: expected hash {known.meta.get('hash', '')[:64]}, found "
                          f"{found}: it was altered or damaged")
    definition = definitions.restored(known.meta.get("definition", ""), path)
    whole.check_shapes(path, known.shapes, definition)
    rows = chains.own(range(definition.chains))
    fields = {name: torch.empty(len(rows), 4, *part.held, 3, 3, dtype=torch.complex128)
              for name in ("links", "force") if name in known.shapes}
    action = torch.empty(definition.chains, dtype=torch.float64)

    def own() -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            for name, field in fields.items():
                slabs.read_field(descriptor, _begin(known, name, chains), part, field)
            slabs.read_at(descriptor, known.size + known.shapes["action"].begin,
                          action.numpy().data)
        finally:
            os.close(descriptor)

    slabs.by_each(part, path, own)
    for field in fields.values():
        parts.renew(part, field)
    place = device or torch.device("cpu")
    moved = {name: field.to(place) for name, field in fields.items()}
    state = State(moved["links"], action[list(rows)].to(place), moved.get("force"))
    return whole.restored(path, known.meta, definition, state)


def lattice_of(folder: Path) -> Extents:
    """(Nt, Nx, Ny, Nz) of a stream's fields. Raises StreamError."""
    known = whole.head_of(folder)
    whole.check_shapes(folder / NAME, known.shapes, whole.definition_of(folder))
    t, x, y, z = known.shapes["links"].extents[2:6]
    return t, x, y, z


def _begin(known: Head, name: str, chains: Chains) -> int:
    """Where the first of the own chains begins in the file."""
    shape = known.shapes[name]
    count = shape.extents[0]
    return known.size + shape.begin + chains.own(range(count))[0] * (shape.size // count)


def _head(folder: Path) -> Head:
    known = whole.head_of(folder)
    known.require_whole(folder / NAME, StreamError)
    return known


def _digest_of(path: Path, known: Head) -> str:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return _digest(descriptor, known)
    finally:
        os.close(descriptor)


def _digest(descriptor: int, known: Head) -> str:
    """What `bundle.store.digest` finds of the tensors, read piece by piece."""
    return digest_of_contents(
        (Content(name, "<f8", shape.extents,
                 _bytes(descriptor, known.size + shape.begin, shape.size))
         for name, shape in sorted(known.shapes.items())), known.meta)


def _bytes(descriptor: int, offset: int, size: int) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(min(size, PIECE)))
    for at in range(0, size, PIECE):
        piece = buffer[:min(PIECE, size - at)]
        slabs.read_at(descriptor, offset + at, piece)
        yield piece
