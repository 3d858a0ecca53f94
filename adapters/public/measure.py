"""`measure`: links, files or ensembles in, named numbers out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge.adapters.files import sources
from l2hmc_bridge.adapters.files.ensemble import Ensemble
from l2hmc_bridge.adapters.files.measure_files import measure_all
from l2hmc_bridge.adapters.files.reading import Reading
from l2hmc_bridge.adapters.records.measured import flatten
from l2hmc_bridge.errors import BridgeError, ConfigError, LayoutError
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.fields.layout import check_links
from l2hmc_bridge.observables.plan import Plan, records

Source = Tensor | Configuration | Ensemble | str | Path | Sequence[str | Path]


def measure(
    source: Source, *, verify: bool = True, format: str | None = None,
    lattice: tuple[int, int, int, int] | None = None, accept: Sequence[str] = (),
    warn: Callable[[str], object] | None = None, device: torch.device | str = "cpu",
    **settings: Any,
) -> dict[str, NDArray[np.float64]]:
    """Observables of every configuration of `source`: {name: [n]}, one number a configuration.

        measure(links)["plaquette"]                                   # [Nb]
        measure("cfg_*.ildg", flow_time=2.0)["topological_charge"]
        measure("stream")["plaquette"]                                # a stream's folder

    source: links [Nb,4,Nt,Nx,Ny,Nz,3,3], a configuration, an ensemble, or files, patterns and
    folders. settings: those of observables.plan.Plan: flow_time, flow_step, flow_every, points,
    kernel and tolerance of the flow, traceless, smear, smear_parameter, smear_steps, wilson_loops.
    Names, normalised to 1 on the unit field where they are loops: plaquette (mean, _spatial,
    _temporal, _tx ...), rectangle, link_trace, polyakov_loop_t_real ..., energy_density,
    topological_charge, topological_charge_5li, unitarity_defect, determinant_defect; flow_T_NAME at
    every flow time T, t0 and w0 (NaN if the flow does not reach them), smeared_NAME,
    wilson_loop_RxT. Of files also chain and trajectory (NaN if unknown).
    verify=False also measures files that fail their own checks, accept=("plaquette", ...) those
    that fail such a one. format and lattice (X, Y, Z, T): what files do not say themselves. warn is
    called with what a reader warns of. Raises BridgeError for a file that
    cannot be read, ActionError and ConfigError for a plan that cannot be.
    """
    plan = _plan(settings)
    how = Reading(format, lattice, tuple(accept), verify)
    if isinstance(source, str | Path):
        return _columns(_of_files([source], plan, how, device, warn))
    if isinstance(source, Configuration):
        return _columns(_of_memory([source], plan, device))
    if isinstance(source, Ensemble):
        return _columns(_of_memory(source, plan, device))
    if isinstance(source, Sequence):
        return _columns(_of_files(_paths(source), plan, how, device, warn))
    check_links(source)
    return _columns(records(source.to(device), plan))


def _plan(settings: Mapping[str, Any]) -> Plan:
    unknown = sorted(set(settings) - set(Plan.__dataclass_fields__))
    if unknown:
        raise ConfigError(f"measure: expected settings of {', '.join(Plan.__dataclass_fields__)}, "
                          f"found {', '.join(unknown)}")
    return Plan(**settings)


def _paths(source: Sequence[object]) -> list[str | Path]:
    """A sequence of files; LayoutError for one of anything else."""
    paths = [one for one in source if isinstance(one, str | Path)]
    if len(paths) != len(source):
        found = next(type(one).__name__ for one in source if not isinstance(one, str | Path))
        raise LayoutError(f"measure: expected links, an ensemble or files, found a sequence with "
                          f"{found} (torch.cat joins links)")
    return paths


def _of_files(
    paths: Sequence[str | Path], plan: Plan, how: Reading, device: torch.device | str,
    warn: Callable[[str], object] | None,
) -> list[dict[str, Any]]:
    """Records in the order of the files, of a stream chain by chain."""
    measured, errors = [], []
    chosen = sources.find(map(Path, paths), how)
    for found, failed, told in measure_all(chosen, plan, 1, how, device):
        if warn is not None:
            for sentence in told:
                warn(sentence)
        measured += found
        errors += failed
        if errors:
            raise BridgeError(errors[0])
    return measured


def _of_memory(
    configurations: Iterable[Configuration], plan: Plan, device: torch.device | str
) -> list[dict[str, Any]]:
    return [{"trajectory": configuration.meta.get("trajectory"), **record}
            for configuration in configurations
            for record in records(configuration.links.to(device), plan)]


def _columns(measured: Sequence[dict[str, Any]]) -> dict[str, NDArray[np.float64]]:
    """Records as columns of numbers, NaN if a record has none; text and lists left out."""
    rows = [flatten(record) for record in measured]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return {
        name: np.array([np.nan if value is None else value for value in column], dtype=np.float64)
        for name, column in columns.items() if not any(isinstance(one, str) for one in column)
    }
