"""HDF5 files: our own ensembles, PyQUDA's group, lyncs' arrays; known apart by what is inside."""

from pathlib import Path

from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields.configuration import Configuration

from . import arrays, ensemble
from .ensemble_header import is_ours
from .header import is_pyquda
from .safety import opened


def read(
    path: Path,
    verify: bool = True,
    slices: tuple[int, int] | None = None,
    index: int | None = None,
    key: str | None = None,
    layout: str | None = None,
) -> Configuration:
    """Configuration `index` of an ensemble (needed if there are several), or the only one."""
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
    if dialect == "pyquda":
        arrays.write_pyquda(path, configuration, force, precision)
    elif dialect == "l2hmc-bridge":
        with ensemble.create(path, force, precision, compression) as writer:
            writer.append(configuration)
    else:
        raise FormatError(f"dialect: expected l2hmc-bridge or pyquda, found {dialect!r}")
