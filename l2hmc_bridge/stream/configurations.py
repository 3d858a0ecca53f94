"""The configurations of a stream, by the formats of whoever knows files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.stream.reading import Files


class Store(Protocol):
    """How the configurations of one stream are written, and looked at again."""

    def write(self, path: Path, configuration: Configuration) -> None:
        """Replace what is there, whole or not at all. Raises BridgeError."""

    def intact(self, path: Path) -> bool:
        """Whether a configuration can be read and passes its own checks."""


@dataclass(frozen=True)
class Configurations:
    """The configurations of a stream, in its format."""

    files: Files
    definition: Definition

    def write(self, path: Path, configuration: Configuration) -> None:
        """Replace what is there, whole or not at all. Raises BridgeError."""
        one = self.definition.chains == 1
        meta = renamed(configuration.meta, path.name if one else f"{path.parent.name}/{path.name}")
        self.files.write(path, configuration._replace(meta=meta), self.definition.format)

    def intact(self, path: Path) -> bool:
        """Whether a configuration can be read and passes its own checks."""
        try:
            self.files.read(path)
        except BridgeError:
            return False
        return True


def renamed(meta: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The metadata with its logical file name, if any, that of `place` in the same collection."""
    if not meta.get("lfn"):
        return dict(meta)
    return {**meta, "lfn": f"{meta['lfn'].rpartition('/')[0]}/{place}"}
