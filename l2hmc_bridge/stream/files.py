"""What a stream asks of whoever knows the file formats; the core knows none of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.stream.start import Start


class Output(NamedTuple):
    """Format of a stream's configurations, and the suffix of their files."""

    name: str
    suffix: str


class Files(Protocol):
    """Reading and writing of configurations; a module of functions is one."""

    def read(self, path: Path) -> Configuration:
        """A verified configuration, [1,4,Nt,Nx,Ny,Nz,3,3]. Raises BridgeError.

        meta: "format", "warnings", and what is known of "beta", "trajectory", "plaquette",
        "unitarity" (max|U U^+ - 1|) and "determinant" (max|det U - 1|).
        """

    def count(self, path: Path) -> int:
        """How many configurations a file holds."""

    def carried(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """What of a file's metadata the configurations of its stream keep."""

    def output_format(self, start: Start, asked: str | None) -> Output:
        """What is written: asked for, the input's, or another where that cannot be, with a note.

        Raises FormatError for a format asked for that cannot be written.
        """

    def write(self, path: Path, configuration: Configuration, format: str) -> None:
        """Write a whole file or none, replacing what is there. Raises BridgeError."""
