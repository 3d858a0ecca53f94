"""HDF5 files: our own ensembles, PyQUDA's group, lyncs' arrays; known apart by what is inside."""

from pathlib import Path

from l2hmc_bridge.adapters.payload.own_sites import given_first, through_first
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.fields.slabs import by_each

from . import arrays, ensemble
from .ensemble_header import is_ours
from .header import is_pyquda
from .safety import dataset, opened


def read(
    path: Path,
    verify: bool = True,
    slices: tuple[int, int] | None = None,
    index: int | None = None,
    key: str | None = None,
    layout: str | None = None,
) -> Configuration:
    """Configuration `index` of an ensemble (needed if there are several), or the only one.

    Of a lattice that several processes share each reads its own sites of our ensembles if they are
    not compressed; all else goes through the first.
    """
    part = parts.current()
    if part is not None and part.cut and not by_each(part, path, lambda: _lies_open(path)):
        return through_first(part, lambda: _read(path, verify, slices, index, key, layout))
    return _read(path, verify, slices, index, key, layout)


def _lies_open(path: Path) -> bool:
    """Whether each site can be read by itself."""
    with opened(path) as file:
        return is_ours(file) and dataset(path, file, "links").compression is None


def _read(
    path: Path, verify: bool, slices: tuple[int, int] | None, index: int | None, key: str | None,
    layout: str | None,
) -> Configuration:
    with opened(path) as file:
        if is_ours(file):
            return ensemble.read(path, file, verify, slices, index)
        if is_pyquda(file):
            return arrays.read_pyquda(path, file, verify, slices)
        return arrays.read_lyncs(path, file, verify, slices, key, layout)


def write(
    path: Path,
    configuration: Configuration,
    force: bool = False,
    precision: int = 64,
    compression: str | None = None,
    dialect: str = "l2hmc-bridge",
) -> None:
    """An ensemble of one configuration, or PyQUDA's group (dialect "pyquda")."""
    part = parts.of(configuration.links)
    if part is not None and part.cut:
        given_first(part, configuration,
                    lambda one: write(path, one, force, precision, compression, dialect))
        return
    if dialect == "pyquda":
        arrays.write_pyquda(path, configuration, force, precision)
    elif dialect == "l2hmc-bridge":
        with ensemble.create(path, force, precision, compression) as writer:
            writer.append(configuration)
    else:
        raise FormatError(f"dialect: expected l2hmc-bridge or pyquda, found {dialect!r}")
