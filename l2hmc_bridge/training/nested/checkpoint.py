"""Checkpoints of nested training: one safetensors file that a run goes on from."""

import json
from pathlib import Path

import safetensors
import torch

from l2hmc_bridge.bundle.store import write_file
from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.sampling.terms import Host
from l2hmc_bridge.training.nested.config import NestedConfig
from l2hmc_bridge.training.nested.host import start
from l2hmc_bridge.training.nested.loop import Row, Run, assembled, values
from l2hmc_bridge.training.nested.sample import Sample


def save(run: Run, path: Path) -> None:
    """Everything `load` needs, written whole or not at all."""
    tensors = {"values": values(run.kernel, run.config),
               "links": torch.view_as_real(run.links).contiguous()}
    write_file(path, tensors, {
        "config": _text(run.config), "damping": repr(run.damping),
        "seeds": json.dumps(run.sample.seeds if run.sample else None),
        "rows": json.dumps([vars(row) for row in run.rows])})


def load(config: NestedConfig, host: Host, path: Path) -> Run:
    """The run as it was saved; StreamError unless it belongs to the same configuration."""
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            meta = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except (OSError, safetensors.SafetensorError) as error:
        raise StreamError(f"{path}: expected a training checkpoint, found: {error}") from error
    ours, theirs = json.loads(_text(config)), json.loads(meta.get("config", "{}"))
    apart = sorted(key for key in ours if ours[key] != theirs.get(key))
    if apart:
        raise StreamError(f"{path}: expected a checkpoint of this configuration, found one with "
                          f"another {', '.join(apart)}")
    links = torch.view_as_complex(tensors["links"])
    seeds = json.loads(meta["seeds"])
    return Run(config, host, assembled(start(config, host), config, tensors["values"]), links,
               None if seeds is None else Sample(links, tuple(seeds)), float(meta["damping"]),
               [Row(**row) for row in json.loads(meta["rows"])])


def _text(config: NestedConfig) -> str:
    return json.dumps(config.as_dict(), sort_keys=True)
