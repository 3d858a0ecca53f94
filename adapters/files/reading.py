"""How configurations are to be read, as one value: what a verb's options and its workers share."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2hmc_bridge.fields.configuration import Configuration

from . import table as files

if TYPE_CHECKING:
    from l2hmc_bridge.ranks.crew import Crew


@dataclass(frozen=True)
class Reading:
    """format: its name, None by the bytes. lattice: X,Y,Z,T if the file does not state it.

    accept: failed checks that are gone over ("checksum", "plaquette", "link_trace"). verify: make
    checks at all. mend: project links whose only fault is drift.
    """

    format: str | None = None
    lattice: tuple[int, ...] | None = None
    accept: tuple[str, ...] = ()
    verify: bool = True
    mend: bool = False

    def read(self, path: Path, index: int | None = None) -> Configuration:
        """One configuration, verified as asked. Raises BridgeError."""
        return files.read(path, self.format, self.verify, self.accept, self.mend,
                          **self._options(index))

    def inspect(self, path: Path, index: int | None = None) -> Configuration:
        """One configuration, with its checks as they are. Raises FormatError."""
        return files.inspect(path, self.format, self.verify, **self._options(index))

    def header(self, path: Path, index: int | None = None) -> dict[str, Any]:
        """The metadata of one configuration. Raises FormatError."""
        return files.header(path, self.format, **self._options(index))

    def shared(
        self, crew: "Crew", path: Path, index: int | None = None, reach: int = 1
    ) -> AbstractContextManager[None]:
        """Under it a file is read by the ranks of `crew` together. Raises BridgeError."""
        return crew.sharing(lambda: self.header(path, index)["lattice"], reach)

    def chains(self, path: Path) -> list[int]:
        """The chain of each configuration in a file. Raises FormatError."""
        return files.chains(path, self.format)

    def count(self, path: Path) -> int:
        """How many configurations a file holds. Raises FormatError."""
        return len(self.chains(path))

    def _options(self, index: int | None) -> dict[str, Any]:
        return {"lattice": self.lattice, "index": index}


MENDING = Reading(mend=True)
