"""Reading a start: verified configurations, projected once if need be, or a cold or hot field.

The core knows no file format: `Files` is what a stream asks of whoever does.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from l2hmc_bridge.errors import FormatError, LayoutError
from l2hmc_bridge.fields import part, su3
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.recorded import randomness, state as checkpoint
from l2hmc_bridge.recorded.belonging import group_defect
from l2hmc_bridge.recorded.chains import ALL, Chains
from l2hmc_bridge.sampling.numbered import numbered
from l2hmc_bridge.stream.start import Start
from l2hmc_bridge.systems.actions import cold_start
from l2hmc_bridge.systems.theory import Theory

DEFECT_KEPT = 1e-12  # a start further from SU(3) than this is projected once


class Output(NamedTuple):
    """Format of a stream's configurations, and the suffix of their files."""

    name: str
    suffix: str


class Files(Protocol):
    """Reading and writing of configurations; a module of functions is one."""

    def read(self, path: Path) -> Configuration:
        """A verified configuration, [1,4,Nt,Nx,Ny,Nz,3,3]. Raises BridgeError.

        meta: "format", "warnings", those of them that are "recorded", and what is known of
        "trajectory", "plaquette", "unitarity" (max|U U^+ - 1|) and "determinant" (max|det U - 1|).
        """

    def header(self, path: Path) -> Mapping[str, Any]:
        """The metadata alone, the extents X, Y, Z, T under "lattice". Raises FormatError."""

    def count(self, path: Path) -> int:
        """How many configurations a file holds."""

    def theory(self, path: Path, meta: Mapping[str, Any]) -> Theory:
        """What the file, read as `meta`, and what lies beside it state. Raises FormatError."""

    def carried(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """What of a file's metadata the configurations of its stream keep."""

    def output_format(self, start: Start, asked: str | None) -> Output:
        """What is written: asked for, the input's, or another if that cannot be, with a note.

        Raises FormatError for a format asked for that cannot be written.
        """

    def write(self, path: Path, configuration: Configuration, format: str) -> None:
        """Write a whole file or none, replacing what is there. Raises BridgeError."""


class _Source(NamedTuple):
    """One file: what it says, and the defect that its links had."""

    path: Path
    meta: Mapping[str, Any]
    defect: float


def from_files(
    files: Files, paths: Sequence[Path], chains: int | None, held: Chains = ALL
) -> Start:
    """Read and verify; one file serves all chains, several files are one chain each.

    held: the chains whose links are kept; all files are read and verified by everybody.

    Raises FormatError, VerificationError, LayoutError.
    """
    notes: list[str] = []
    order = [chain % len(paths) for chain in range(chains or len(paths))]
    sources: list[_Source] = []
    links: Tensor | None = None
    for number, path in enumerate(paths):
        source, one = _read(files, path, notes)
        sources.append(source)
        links = _placed(paths, number, one, links, held.own(order))
    if links is None:
        raise FormatError("start: expected a configuration file, found none")
    numbers = [max(0, source.meta.get("trajectory") or 0) for source in sources]
    return Start(
        links=links,
        first=[numbers[index] for index in order],
        meta=[_carried(files, sources[index]) for index in order],
        name=str(paths[0]),
        format=sources[0].meta["format"],
        stated={str(source.path): files.theory(source.path, source.meta) for source in sources},
        plaquette=sources[0].meta.get("plaquette"),
        read=sources[0].meta,
        record={
            "start": [str(path) for path in paths],
            "start_trajectory": numbers,
            "start_unitarity_defect": [source.defect for source in sources],
            "start_projected": any(source.defect > DEFECT_KEPT for source in sources),
        },
        notes=notes,
        warnings=[f"{source.path}: {told}" for source in sources
                  for told in source.meta.get("recorded", [])],
    )


def outline(files: Files, paths: Sequence[Path], chains: int | None) -> Start:
    """What the heads of files tell of a start; its links have a shape and no numbers.

    Raises FormatError, LayoutError.
    """
    metas = []
    for path in paths:
        _require_one(files, path)
        metas.append(files.header(path))
        expected, found = (_shown(meta["lattice"]) for meta in (metas[0], metas[-1]))
        if found != expected:
            raise LayoutError(f"{path}: expected the lattice of {paths[0]}, {expected}, found "
                              f"{found}")
    stated = {str(path): files.theory(path, meta) for path, meta in zip(paths, metas, strict=True)}
    count = chains or len(paths)
    return Start(_shape(metas[0]["lattice"], count), [0] * count, [{}] * count, str(paths[0]),
                 format=metas[0]["format"], stated=stated)


def outline_of_nothing(kind: str, lattice: Sequence[int], chains: int) -> Start:
    """The same of `from_nothing`."""
    return Start(_shape(lattice, chains), [0] * chains, [{}] * chains, kind)


def _shape(lattice: Sequence[int], chains: int) -> Tensor:
    x, y, z, t = lattice
    return torch.empty(chains, 4, t, x, y, z, 3, 3, dtype=torch.complex128, device="meta")


def _placed(
    paths: Sequence[Path], number: int, one: Tensor, links: Tensor | None, order: Sequence[int]
) -> Tensor:
    """The links of all chains once those of file `number` are there; the first makes room for all.
    """
    if links is None:
        if list(order) == [number]:
            return one
        links = one.new_empty(len(order), *one.shape[1:])
    if one.shape[1:] != links.shape[1:]:
        raise LayoutError(f"{paths[number]}: expected the lattice of {paths[0]}, "
                          f"{_extents(links)}, found {_extents(one)}")
    links[torch.tensor(order) == number] = one
    return links


def from_nothing(
    kind: str, lattice: tuple[int, int, int, int], chains: int, seed: int, own: Chains = ALL
) -> Start:
    """Cold (unit) or hot (Haar-random) links on X,Y,Z,T, of the own chains."""
    x, y, z, t = lattice
    rows = own.own(range(chains))
    held = part.shared((t, x, y, z)) or part.whole((t, x, y, z))
    if kind == "cold":
        links = cold_start(held.held, len(rows))
    else:
        drawn = numbered(seed, [0] * chains, randomness.PHASES[randomness.START])
        links = drawn.of(rows).links(held)
    record = {"start": kind, "start_trajectory": 0, "start_projected": False}
    return Start(links, [0] * chains, [{"date": "not recorded"}] * chains, kind, record=record)


def _require_one(files: Files, path: Path) -> None:
    """Raise FormatError unless there is a file of one configuration."""
    if path.is_dir():
        hint = " (--resume goes on with a stream)" if checkpoint.exists(path) else ""
        raise FormatError(f"{path}: expected a configuration file, found a folder{hint}")
    if path.is_file() and files.count(path) != 1:
        raise FormatError(f"{path}: expected one configuration, found {files.count(path)} "
                          "(`l2hmc-bridge convert --index` takes one out)")


def _read(files: Files, path: Path, notes: list[str]) -> tuple[_Source, Tensor]:
    """A file, and its links, projected to SU(3) if need be."""
    _require_one(files, path)
    configuration = files.read(path)
    meta = configuration.meta
    notes += [f"{path}: {sentence}" for sentence in meta.get("warnings", [])
              if sentence not in meta.get("recorded", [])]
    defect = _defect(configuration)
    if defect <= DEFECT_KEPT:
        return _Source(path, meta, defect), configuration.links
    notes.append(f"{path}: max|U U^+ - 1|, max|det U - 1| = {defect:.1e} exceeds {DEFECT_KEPT:g}: "
                 "the links are projected to SU(3) once, before tuning")
    return _Source(path, meta, defect), su3.project_group(configuration.links)


def _defect(read: Configuration) -> float:
    """The larger of max|U U^+ - 1| and max|det U - 1|, as the reader found them if it looked."""
    unitarity, determinant = (read.meta.get(name) for name in ("unitarity", "determinant"))
    if unitarity is None or determinant is None:
        return group_defect(read.links)
    return max(float(unitarity), float(determinant))


def _carried(files: Files, source: _Source) -> dict[str, Any]:
    """What is kept of a file's metadata, as JSON returns it; no date, so that bits repeat."""
    kept = files.carried(source.meta)
    if source.defect > DEFECT_KEPT and "reunitarized" not in kept:
        kept["reunitarized"] = f"start projected to SU(3), its defect was {source.defect:.1e}"
    return {**json.loads(json.dumps(kept, default=str)), "date": "not recorded"}


def _extents(links: Tensor) -> str:
    nt, nx, ny, nz = part.lattice_of(links)
    return _shown((nx, ny, nz, nt))


def _shown(lattice: Sequence[int]) -> str:
    return ",".join(map(str, lattice))
