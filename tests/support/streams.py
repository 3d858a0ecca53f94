"""Small streams the tests share: definitions, a plain writer, and what a folder holds."""

import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import torch

from l2hmc_bridge.recorded import specs, state as checkpoint
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.storage import lock
from l2hmc_bridge.storage.atomic import replacing
from l2hmc_bridge.stream import run as stream, summary
from tests.support.fields import rough_links

LATTICE = (4, 2, 2, 4)
HMC_KERNEL = {"kind": "hmc", "integrator": "omf2", "step_size": 0.15, "steps": 3}
DEFINITION = Definition(
    seed=7, kernel=specs.restored(HMC_KERNEL), action={"name": "wilson", "beta": 5.7},
    factor=0.9, first=[40], save_every=2, suffix="bin", format="none", meta=[{"beta": 5.7}],
    record={"md_length": 0.4}, numbers="philox",
)


def define(**changes) -> Definition:
    """DEFINITION with changes; meta fits the number of chains."""
    made = dataclasses.replace(DEFINITION, **changes)
    return dataclasses.replace(made, meta=[{"beta": 5.7}] * made.chains)


def start_links(chains=1) -> torch.Tensor:
    return rough_links(torch.Generator().manual_seed(3), LATTICE, chains, width=0.4)


class Raw:
    """Writes the raw bytes of links and the trajectory."""

    def __init__(self, _definition=None):
        pass

    def write(self, path, configuration):
        with replacing(path, force=True) as file:
            file.write(f"{configuration.meta['trajectory']}\n".encode())
            file.write(configuration.links.numpy().tobytes())

    def intact(self, path):
        return path.stat().st_size > start_links(1).numel() * 16


def begin(folder: Path, definition: Definition, target: int, links=None) -> stream.Stream:
    folder.mkdir(exist_ok=True)
    links = start_links(definition.chains) if links is None else links
    kernel = stream.kernel_of(definition, folder)
    return stream.create(folder, definition, kernel, kernel.init(links), target, Raw())


def complete(made: stream.Stream, stop=lambda: None):
    """Advance, write history and summary; returns why it stopped."""
    with made:
        why = made.advance(stop, lambda row: None)
        made.save_history()
        result = summary.summarise(made.definition, made.rows, made.target)
        summary.write(made.folder, result)
    return why


def resume(folder: Path, more=None, stop=lambda: None):
    with lock.locked(folder):
        return complete(stream.reopen(folder, Raw, more=more), stop)


def contents(folder: Path) -> dict:
    """Everything a stream holds, wall-clock seconds left out: equal for equal streams."""
    found = {str(path.relative_to(folder)): path.read_bytes()
             for path in sorted(folder.rglob("cfg_*"))}
    state = checkpoint.load(folder)
    for name in ("links", "action", "force"):
        values = getattr(state.state, name)  # the heat bath keeps no force
        found[f"state/{name}"] = None if values is None else values.numpy().tobytes()
    found["count"] = state.count
    with h5py.File(folder / "history.h5") as file:
        for name in file:
            if name != "seconds" and isinstance(file[name], h5py.Dataset):
                found[f"history/{name}"] = np.asarray(file[name]).tobytes()
    text = json.loads((folder / "summary.json").read_text())
    text.pop("seconds_per_trajectory")
    found["summary"] = json.dumps(text, sort_keys=True)
    return found


def differences(one: dict, other: dict) -> list[str]:
    """Names of what is not the same in both."""
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
