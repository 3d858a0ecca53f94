"""Checkpoints of nested training: one safetensors file that a run goes on from."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.sampling.terms import Host
from l2hmc_bridge.storage import parsing, tensors as safetensors
from l2hmc_bridge.training.checkpoint import LARGEST_HEAD, restoring, write
from l2hmc_bridge.training.nested.config import NestedConfig
from l2hmc_bridge.training.nested.host import start
from l2hmc_bridge.training.nested.loop import Row, Run, assembled, values
from l2hmc_bridge.training.nested.sample import Sample


def save(run: Run, path: Path) -> None:
    """Everything `load` needs, written whole or not at all."""
    tensors = {"values": values(run.kernel, run.config),
               "links": torch.view_as_real(run.links).contiguous()}
    texts = {"config": _text(run.config), "damping": repr(run.damping),
             "scale": repr(run.kernel.scale),
             "seeds": json.dumps(run.sample.seeds if run.sample else None),
             "rows": json.dumps([vars(row) for row in run.rows])}
    write(path, tensors, texts)


def load(config: NestedConfig, host: Host, path: Path) -> Run:
    """The run as it was saved; StreamError unless it belongs to the same configuration."""
    tensors, meta = safetensors.load(path, StreamError, most=LARGEST_HEAD)
    with restoring(path):
        return _restored(config, host, path, tensors, meta)


def _restored(
    config: NestedConfig, host: Host, path: Path, tensors: Mapping[str, Tensor],
    meta: Mapping[str, str],
) -> Run:
    ours = json.loads(_text(config))
    theirs = parsing.json_table(meta.get("config", "{}"), f"{path}: config", StreamError).values
    apart = sorted(key for key in ours if ours[key] != theirs.get(key))
    if apart:
        raise StreamError(f"{path}: expected a checkpoint of this configuration, found one with "
                          f"another {', '.join(apart)}")
    links = torch.view_as_complex(tensors["links"].clone())
    seeds = parsing.json_value(meta["seeds"], f"{path}: seeds", StreamError)
    kernel = replace(start(config, host), scale=float(meta["scale"]))
    return Run(config, host, assembled(kernel, config, tensors["values"].clone()), links,
               None if seeds is None else Sample(links, tuple(seeds)), float(meta["damping"]),
               [Row(**row) for row in json.loads(meta["rows"])])


def _text(config: NestedConfig) -> str:
    return json.dumps(config.as_dict(), sort_keys=True)
