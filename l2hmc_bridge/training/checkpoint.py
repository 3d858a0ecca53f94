"""Checkpoints of a training run: one safetensors file that a run goes on from."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2hmc_bridge.bundle import architecture
from l2hmc_bridge.errors import BridgeError, StreamError
from l2hmc_bridge.storage import atomic, parsing, tensors as safetensors
from l2hmc_bridge.storage.parsing import Entries
from l2hmc_bridge.systems import table as systems
from l2hmc_bridge.training import parallel
from l2hmc_bridge.training.config import Config, Model, Stage
from l2hmc_bridge.training.loop import Progress, Trainer, start

LARGEST_HEAD = 1 << 27  # the history has a row for every iteration


def save(trainer: Trainer, path: Path) -> None:
    """Everything `load` needs, one safetensors file, renamed into place by the first process."""
    tensors = {f"weights.{k}": v for k, v in architecture.tensors(trainer.kernel).items()}
    for index, links in trainer.chains.items():
        tensors[f"chains.{index}"] = systems.stored(parallel.gathered(links))
    if parallel.rank():
        return
    for number, state in trainer.optimiser.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"adam.{number}.{name}"] = value
    meta = {
        "config": json.dumps(trainer.config.as_dict(), sort_keys=True),
        "iteration": str(trainer.iteration),
        "damping": repr(trainer.damping),
        "rejected": str(trainer.rejected),
        "failures": str(trainer.failures),
        "inputs": json.dumps(trainer.inputs),
        "history": json.dumps([vars(row) for row in trainer.history]),
    }
    write(path, tensors, meta)


def write(path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """A checkpoint, whole or not at all."""
    with atomic.replacing(path, force=True) as file:
        file.write(safetensors.save(tensors, texts, LARGEST_HEAD))


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """StreamError for whatever a checkpoint raises that is none."""
    try:
        yield
    except BridgeError:
        raise
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise StreamError(f"{path}: expected a training checkpoint, found: "
                          f"{' '.join(str(error).split())[:200]}") from error


def load(config: Config, path: Path, device: torch.device | str = "cpu") -> Trainer:
    """The trainer as it was saved; StreamError unless it belongs to the same configuration."""
    tensors, meta = safetensors.load(path, StreamError, most=LARGEST_HEAD,
                                     named="training checkpoint")
    said = Entries(meta, path, StreamError)
    written = parsing.json_table(meta.get("config", "{}"), f"{path}: config", StreamError)
    with restoring(path):
        _check_config(config, written.values, path)
        trainer = start(config, device)
        _restore(trainer, tensors, said, device)
    return trainer


def _restore(
    trainer: Trainer, tensors: Mapping[str, Tensor], said: Entries, device: torch.device | str
) -> None:
    """Put everything back that `save` took from a trainer."""
    architecture.load_tensors(trainer.kernel, _part(tensors, "weights."))
    trainer.iteration, trainer.damping = int(said.text("iteration")), float(said.text("damping"))
    inputs = parsing.json_value(said.values.get("inputs", "null"), said.where, StreamError)
    trainer.inputs = None if inputs is None else tuple(map(str, inputs))
    trainer.rejected = int(said.values.get("rejected", "0"))
    trainer.failures = int(said.values.get("failures", "0"))
    rows = json.loads(said.text("history"))  # as long as the run; NaN is a number in it
    trainer.history = [Progress(**row) for row in rows]
    group = trainer.config.group
    trainer.chains = {int(k): systems.restored(v, group)[parallel.part(len(v))].to(device)
                      for k, v in _part(tensors, "chains.").items()}
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "adam.").items():
        number, key = name.split(".")
        state.setdefault(int(number), {})[key] = value
    groups = trainer.optimiser.state_dict()["param_groups"]
    trainer.optimiser.load_state_dict({"state": state, "param_groups": groups})


def _check_config(config: Config, found: Mapping[str, Any], path: Path) -> None:
    """StreamError that names the keys in which the configuration of the checkpoint differs."""
    expected = json.loads(json.dumps(config.as_dict()))
    found = {**_defaults(Config), **found}  # of keys that there were not when it was written
    found["model"] = {**_defaults(Model), **found.get("model", {})}
    found["stages"] = [{**_defaults(Stage), **stage} for stage in found.get("stages", [])]
    keys = [key for key in sorted(expected | found) if expected.get(key) != found.get(key)]
    if keys:
        names = ", ".join("stage" if key == "stages" else key for key in keys)
        raise StreamError(f"{path}: expected a checkpoint of this configuration, found one with "
                          f"another {names}")


def _defaults(kind) -> dict:
    """What the keys of a dataclass are where a configuration does not say, as JSON has it."""
    given = {field.name: field.default for field in dataclasses.fields(kind)
             if field.default is not dataclasses.MISSING}
    return json.loads(json.dumps(given))


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
