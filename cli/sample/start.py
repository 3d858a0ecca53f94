"""Where a stream begins: verified inputs or a cold or hot field, the kernel, the output format."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from l2hmc_bridge import models
from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.format.metadata import CARRIED
from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.errors import ActionError, BundleError, FormatError, LayoutError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import integrator
from l2hmc_bridge.sampling.markov import Kernel
from l2hmc_bridge.stream import run as stream
from l2hmc_bridge.systems.actions import GaugeAction, cold_start, gauge_action, hot_start

DEFECT_KEPT = 1e-12  # a start further from unitary than this is projected once
FALLBACK = "ildg"  # the format written where the input's cannot be
EVERY_SITES = 12**4  # up to here every configuration is kept by default, beyond it every tenth


@dataclass
class Start:
    """The first fields of all chains, and what is known about them."""

    links: Tensor  # [chains,4,Nt,Nx,Ny,Nz,3,3]
    first: list[int]  # their trajectory numbers
    meta: list[dict[str, Any]]  # carried into each chain's configurations
    name: str  # of the first file, or of the kind of start
    format: str | None = None
    stated: dict[str, float | None] = field(default_factory=dict)  # beta in each file
    plaquette: float | None = None  # of the first chain, as the reader measured it
    read: Mapping[str, Any] = field(default_factory=dict)  # metadata of the first file
    record: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # to be said when nothing was refused


def from_files(paths: Sequence[Path], chains: int | None, beta: float | None = None) -> Start:
    """Read and verify; one file serves all chains, several files are one chain each.

    `beta` decides where files state different ones.
    """
    if chains is not None and len(paths) not in (1, chains):
        raise click.UsageError(f"--chains {chains}: expected one --in or {chains}, found "
                               f"{len(paths)}")
    notes: list[str] = []
    read = [_read(path, notes) for path in paths]
    first = read[0]
    for path, one in zip(paths, read, strict=True):
        if one.links.shape != first.links.shape:
            raise LayoutError(f"{path}: expected the lattice of {paths[0]}, "
                              f"{_extents(first.links)}, found {_extents(one.links)}")
        if beta is None and one.meta.get("beta") != first.meta.get("beta"):
            raise ActionError(f"{path}: expected beta {first.meta.get('beta')} as {paths[0]}, "
                              f"found {one.meta.get('beta')} (--beta decides)")
    projected = [_project(path, one.links, notes) for path, one in zip(paths, read, strict=True)]
    count = chains or len(paths)
    order = [chain % len(paths) for chain in range(count)]
    return Start(
        links=torch.cat([projected[index][0] for index in order]),
        first=[max(0, read[index].meta.get("trajectory") or 0) for index in order],
        meta=[_carried(read[index].meta, projected[index][1]) for index in order],
        name=str(paths[0]),
        format=first.meta["format"],
        stated={str(path): one.meta.get("beta") for path, one in zip(paths, read, strict=True)},
        plaquette=first.meta.get("plaquette"),
        read=first.meta,
        record={
            "start": [str(path) for path in paths],
            "start_trajectory": [max(0, one.meta.get("trajectory") or 0) for one in read],
            "start_unitarity_defect": [defect for _, defect in projected],
            "start_projected": any(defect > DEFECT_KEPT for _, defect in projected),
        },
        notes=notes,
    )


def from_nothing(
    kind: str, lattice: tuple[int, int, int, int], chains: int, seed: int
) -> Start:
    """Cold (unit) or hot (Haar-random) links on X,Y,Z,T."""
    x, y, z, t = lattice
    if kind == "cold":
        links = cold_start((t, x, y, z), chains)
    else:
        generators = stream.reserved(seed, chains, stream.START)
        links = torch.cat([hot_start((t, x, y, z), one) for one in generators])
    record = {"start": kind, "start_trajectory": 0, "start_projected": False}
    return Start(links, [0] * chains, [{"date": "not recorded"}] * chains, kind, record=record)


def kernel_for(
    start: Start, kind: str, options: dict[str, Any]
) -> tuple[Kernel, dict[str, Any], GaugeAction]:
    """The kernel before tuning, its entry in the definition, and its action.

    options: bundle, action, beta, integrator, step_size, steps, ungated, device.
    """
    beta = _beta(start, options["beta"])
    if kind == "hmc":
        action = gauge_action(options["action"] or "wilson", beta)
        integrator(options["integrator"])  # a name that is none is said here
        about = {"kind": kind, **{name: options[name]
                                  for name in ("integrator", "step_size", "steps")}}
        kernel = HMC(action, about["step_size"], about["steps"], about["integrator"])
        return kernel, about, action
    loaded = _bundle(options["bundle"] or models.default(), beta, options, start)
    kernel = loaded.kernel
    if options["action"]:
        bundle.require_action(loaded, gauge_action(options["action"], beta))
    low, high = loaded.meta["action"]["beta_range"]
    if not low - 1e-9 <= beta <= high + 1e-9:
        start.record.setdefault("warnings", []).append(
            f"beta {beta:g} is outside {low:g} to {high:g}, where the bundle was trained: still "
            "exact, perhaps not efficient"
        )
    about = {"kind": kind, "bundle": loaded.path, "hash": loaded.hash,
             "nature": architecture.nature(kernel)}
    return kernel, about, kernel.action


def check_fits(start: Start, kernel: Kernel) -> None:
    """Raise LayoutError, naming the start, where the kernel cannot run on its lattice."""
    try:
        kernel.init(start.links[:1])
    except LayoutError as error:
        raise LayoutError(f"{start.name}: {error}") from error


def output_format(start: Start, asked: str | None) -> tuple[str, str]:
    """(name, suffix) of what is written: asked for, the input's, or ILDG where neither can be."""
    if asked is not None:
        if not _writable(files.by_name(asked)):
            names = ", ".join(name for name, form in files.FORMATS.items() if _writable(form))
            raise FormatError(f"--format: expected one of {names}, found {asked}, which no "
                              "configuration can be written in here")
        form = files.by_name(asked)
    else:
        form = files.FORMATS.get(start.format or FALLBACK)
    if form is None or not _writable(form):
        start.notes.append(f"{start.name}: format {start.format} is not written here: {FALLBACK} "
                           "is (--format)")
        form = files.by_name(FALLBACK)
    return form.name, form.suffixes[0]


def _writable(form: files.Format) -> bool:
    return form.write is not None and bool(form.suffixes)


def writer(definition: stream.Definition) -> stream.Writer:
    """What writes the configurations of a stream in its format."""

    def write(path: Path, configuration: Any) -> None:
        place = path.name if definition.chains == 1 else f"{path.parent.name}/{path.name}"
        meta = renamed(configuration.meta, place)
        files.write(path, configuration._replace(meta=meta), format=definition.format, force=True)

    return write


def renamed(meta: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The metadata with its logical file name, if any, that of `place` in the same collection."""
    if not meta.get("lfn"):
        return dict(meta)
    return {**meta, "lfn": f"{meta['lfn'].rpartition('/')[0]}/{place}"}


def save_every(start: Start) -> int:
    """The default of --save-every for this lattice."""
    return 1 if start.links[0, 0, ..., 0, 0].numel() <= EVERY_SITES else 10


def _read(path: Path, notes: list[str]) -> Any:
    if path.is_dir():
        hint = " (--resume goes on with a stream)" if stream.checkpoint.exists(path) else ""
        raise FormatError(f"{path}: expected a configuration file, found a folder{hint}")
    if path.is_file() and files.count(path) != 1:
        raise FormatError(f"{path}: expected one configuration, found {files.count(path)} "
                          "(`l2hmc-bridge convert --index` takes one out)")
    configuration = files.read(path)
    notes += [f"{path}: {sentence}" for sentence in configuration.meta.get("warnings", [])]
    return configuration


def _project(path: Path, links: Tensor, notes: list[str]) -> tuple[Tensor, float]:
    """The links, projected to SU(3) if need be, and the defect that they had."""
    defect = max(float(measure(links).max())
                 for measure in (su3.unitarity_defect, su3.determinant_defect))
    if defect <= DEFECT_KEPT:
        return links, defect
    notes.append(f"{path}: max|U U^+ - 1|, max|det U - 1| = {defect:.1e} exceeds {DEFECT_KEPT:g}: "
                 "the links are projected to SU(3) once, before tuning")
    return su3.project_group(links), defect


def _carried(meta: Any, defect: float) -> dict[str, Any]:
    """What is kept of a file's metadata, as JSON returns it; no date, so that bits repeat."""
    kept = {key: meta[key] for key in (*CARRIED, "info") if meta.get(key) is not None}
    if defect > DEFECT_KEPT:
        kept["reunitarized"] = f"start projected to SU(3), its defect was {defect:.1e}"
    return {**json.loads(json.dumps(kept, default=str)), "date": "not recorded"}


def _beta(start: Start, asked: float | None) -> float:
    if asked is None:
        asked = start.stated.get(start.name)  # the same in every file
    if asked is None:
        raise ActionError(f"{start.name}: expected beta in the file, found none (--beta states it)")
    for name, stated in start.stated.items():
        if stated is not None and abs(asked - stated) > 1e-9:
            sentence = f"{name} says beta {stated:g}; --beta {asked:g} is used"
            start.record.setdefault("warnings", []).append(sentence)
    return float(asked)


def _bundle(path: Any, beta: float, options: dict[str, Any], start: Start) -> bundle.Bundle:
    loaded = bundle.load(Path(path), beta, options["device"])
    group = loaded.kernel.action.group
    if group != "su3":
        raise BundleError(f"{path}: expected a bundle for su3 links (--bundle), found one for "
                          f"{group}: {loaded.meta['action']['name']}")
    try:
        bundle.require_gate(loaded)
    except BundleError as error:
        if not options["ungated"]:
            raise
        start.record.setdefault("warnings", []).append(f"{error}: --ungated was given")
    return loaded


def _extents(links: Tensor) -> str:
    nt, nx, ny, nz = links.shape[2:6]
    return f"{nx},{ny},{nz},{nt}"

