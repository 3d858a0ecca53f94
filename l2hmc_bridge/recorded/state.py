"""state.safetensors: all that a stream needs to go on exactly where it was, in one atomic file.

Tensors in float64: links, action and force of every chain (so nothing is computed anew and no bit
can differ). Metadata: the definition of the stream, the counters, the SHA-256 of its log up to
here, and one over everything. Version 1 had no digest of the log; it is read, and the next save
point writes version 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from l2hmc_bridge.bundle.file import digest
from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.recorded import definition as definitions
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.storage import regular, tensors as safetensors
from l2hmc_bridge.storage.atomic import replacing
from l2hmc_bridge.storage.parsing import LARGEST
from l2hmc_bridge.storage.tensors import Head, Shape

NAME = "state.safetensors"
FORMAT, VERSION, KNOWN = "l2hmc-bridge stream", "2", ("1", "2")


@dataclass(frozen=True)
class Checkpoint:
    """A save point: `count` trajectories done of `target`, `log_size` bytes of the log valid.

    log_digest: SHA-256 of these bytes; None in version 1.
    """

    definition: Definition
    state: State
    count: int
    target: int
    log_size: int
    log_digest: str | None = None


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the save point of `folder` by this one, at once. Raises BridgeError."""
    state = checkpoint.state
    tensors = {
        "links": torch.view_as_real(state.links.cpu()).contiguous(),
        "action": state.action.cpu().contiguous(),
    }
    if state.force is not None:
        tensors["force"] = torch.view_as_real(state.force.cpu()).contiguous()
    if state.level_actions is not None:  # of level 0; noise and what hangs on it is drawn anew
        tensors["inner_action"] = state.level_actions[:, 0].cpu().contiguous()
    meta = told(checkpoint)
    meta["hash"] = digest(tensors, meta)
    with replacing(folder / NAME, force=True) as file:
        file.write(safetensors.save(tensors, meta))


def load(folder: Path, device: torch.device | None = None) -> Checkpoint:
    """The save point of `folder`, verified. Raises StreamError."""
    path = folder / NAME
    known = head_of(folder)
    tensors, meta = safetensors.load(path, StreamError, links=False)
    found = digest(tensors, meta)
    if found != meta.get("hash"):
        raise StreamError(f"{path}: expected hash {meta.get('hash', '')[:64]}, found {found}: "
                          "it was altered or damaged")
    definition = definitions.restored(meta.get("definition", ""), path)
    check_shapes(path, known.shapes, definition)
    # Cloned: a tensor inside a file's memory may lie where complex numbers must not.
    force = _complex(tensors["force"], device) if "force" in tensors else None
    inner = tensors["inner_action"].clone().to(device) if "inner_action" in tensors else None
    state = State(_complex(tensors["links"], device), tensors["action"].clone().to(device), force,
                  level_actions=None if inner is None else inner[:, None])
    return restored(path, meta, definition, state)


def told(checkpoint: Checkpoint) -> dict[str, str]:
    """The texts of a save point without their hash."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "definition": checkpoint.definition.text(),
        "log_digest": checkpoint.log_digest or "",
        **{name: str(getattr(checkpoint, name)) for name in ("count", "target", "log_size")},
    }


def restored(path: Path, meta: Mapping[str, str], definition: Definition, state: State
             ) -> Checkpoint:
    """The inverse of `told`, around a state. Raises StreamError."""
    count, target, size = (_counter(path, meta, name) for name in ("count", "target", "log_size"))
    return Checkpoint(definition, state, count, target, size, meta.get("log_digest") or None)


def definition_of(folder: Path) -> Definition:
    """The definition alone, from the head of the file; whether the rest is whole, `load` says.

    Raises StreamError.
    """
    return definitions.restored(head_of(folder).meta.get("definition", ""), folder / NAME)


def exists(folder: Path) -> bool:
    """Whether `folder` holds a stream."""
    return regular.kind(folder / NAME) == "a file"


def head_of(folder: Path) -> Head:
    """What the save point says before its numbers. Raises StreamError."""
    path = folder / NAME
    if regular.kind(path) is None:
        raise StreamError(f"{folder}: expected a stream with a {NAME}, found none")
    head = safetensors.head(path, StreamError, links=False)
    if head.meta.get("format") != FORMAT or head.meta.get("version") not in KNOWN:
        raise StreamError(f"{path}: expected {FORMAT} version {' or '.join(KNOWN)}, found "
                          f"{head.meta.get('format', '')[:40]} version "
                          f"{head.meta.get('version', '')[:40]}")
    return head


def check_shapes(path: Path, shapes: dict[str, Shape], definition: Definition) -> None:
    """StreamError unless these are the tensors of as many chains as the definition has."""
    names = {"links", "action"} | ({"force", "inner_action"} & set(shapes))
    if set(shapes) != names or any(shape.dtype != "F64" for shape in shapes.values()):
        raise StreamError(f"{path}: expected links, action and force in double precision, found "
                          f"{', '.join(shapes)[:200]}")
    chains, links = definition.chains, shapes["links"].extents
    lattice = definition.record.get("lattice")
    x, y, z, t = lattice if isinstance(lattice, list) and len(lattice) == 4 else (0, 0, 0, 0)
    extents = (t, x, y, z) if t else links[2:6]
    expected = (chains, 4, *extents, 3, 3, 2)
    force = shapes["force"].extents if "force" in shapes else links
    if not (links == force == expected and len(links) == 9 and min(links) > 0
            and all(one.extents == (chains,) for name, one in shapes.items()
                    if name in ("action", "inner_action"))):
        raise StreamError(f"{path}: expected links {list(expected)} and an action [{chains}], "
                          f"found {', '.join(f'{n} {list(s.extents)}' for n, s in shapes.items())}")


def _complex(numbers: Tensor, device: torch.device | None) -> Tensor:
    return torch.view_as_complex(numbers.clone()).to(device)


def _counter(path: Path, meta: Mapping[str, str], name: str) -> int:
    text = meta.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST):
        raise StreamError(f"{path}: {name}: expected a whole number, found {text[:40]!r}")
    return int(text)
