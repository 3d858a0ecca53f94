"""state.safetensors: all that a stream needs to go on exactly where it was, in one atomic file.

Tensors in float64: links, action and force of every chain (so nothing is computed anew and no bit
can differ; of nested steps those of level 0, a host computes its terms again). Metadata: the
definition of the stream, the counters, and a SHA-256 over everything.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from l2hmc_bridge.bundle.file import digest
from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.storage.atomic import replacing
from l2hmc_bridge.stream import specs
from l2hmc_bridge.stream.specs import KernelSpec

NAME = "state.safetensors"
FORMAT, VERSION = "l2hmc-bridge stream", "1"


@dataclass(frozen=True)
class Definition:
    """What fixes a stream: with it and the first links every later trajectory is determined.

    kernel: before tuning; action: {"name", "beta"}; factor multiplies all steps, for good; first:
    number of the start of each chain; meta: what is carried into each chain's configurations;
    record: what a person wants to know (start, tuning, gate, command, versions), of no effect on
    any trajectory.
    """

    seed: int
    kernel: KernelSpec
    action: dict[str, Any]
    factor: float
    first: list[int]
    save_every: int
    suffix: str
    format: str
    check_reversibility: int = 0
    device: str = "cpu"
    threads: int = 1
    meta: list[dict[str, Any]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def chains(self) -> int:
        """Number of chains."""
        return len(self.first)


@dataclass(frozen=True)
class Checkpoint:
    """A save point: `count` trajectories done of `target`, `log_size` bytes of the log valid."""

    definition: Definition
    state: State
    count: int
    target: int
    log_size: int


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
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "definition": _text(checkpoint.definition),
        **{name: str(getattr(checkpoint, name)) for name in ("count", "target", "log_size")},
    }
    meta["hash"] = digest(tensors, meta)
    with replacing(folder / NAME, force=True) as file:
        file.write(safetensors.torch.save(tensors, meta))


def load(folder: Path, device: torch.device | None = None) -> Checkpoint:
    """The save point of `folder`, verified. Raises StreamError."""
    path = folder / NAME
    if not path.is_file():
        raise StreamError(f"{folder}: expected a stream with a {NAME}, found none")
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            meta = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise StreamError(f"{path}: expected a readable state, found: {error}") from error
    if meta.get("format") != FORMAT or meta.get("version") != VERSION:
        raise StreamError(f"{path}: expected {FORMAT} version {VERSION}, found "
                          f"{meta.get('format')} version {meta.get('version')}")
    found = digest(tensors, meta)
    if found != meta.get("hash"):
        raise StreamError(f"{path}: expected hash {meta.get('hash')}, found {found}: "
                          "it was altered or damaged")
    # Cloned: a tensor inside a file's memory may lie where complex numbers must not.
    tensors = {name: one.clone() for name, one in tensors.items()}
    force, inner = tensors.get("force"), tensors.get("inner_action")
    state = State(
        links=torch.view_as_complex(tensors["links"]).to(device),
        action=tensors["action"].to(device),
        force=None if force is None else torch.view_as_complex(force).to(device),
        level_actions=None if inner is None else inner[:, None].to(device),
    )
    numbers = (int(meta[name]) for name in ("count", "target", "log_size"))
    return Checkpoint(_definition(json.loads(meta["definition"])), state, *numbers)


def exists(folder: Path) -> bool:
    """Whether `folder` holds a stream."""
    return (folder / NAME).is_file()


def as_stored(definition: Definition) -> Definition:
    """The definition as `load` would return it: what JSON makes of it."""
    return _definition(json.loads(_text(definition)))


def _text(definition: Definition) -> str:
    entries = {one.name: getattr(definition, one.name) for one in fields(Definition)}
    entries["kernel"] = definition.kernel.stored()
    return json.dumps(entries, sort_keys=True, allow_nan=False)


def _definition(entries: Mapping[str, Any]) -> Definition:
    known = {one.name: entries[one.name] for one in fields(Definition)}
    return Definition(**{**known, "kernel": specs.restored(known["kernel"])})
