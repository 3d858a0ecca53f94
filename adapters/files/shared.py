"""Files of a lattice that several processes share, in formats that one process alone can move.

Rank 0 reads and writes the whole field then; other formats move each process's own sites.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from l2hmc_bridge.adapters.format.record import Format
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.configuration import Configuration


def read(form: Format, make: Callable[[], Configuration]) -> Configuration:
    """What `make` reads, as this process holds it."""
    part = parts.current()
    if part is None or form.by_parts or not part.cut:
        return make()
    kept: list[Tensor] = []

    def whole() -> Mapping[str, Any]:
        found = make()
        kept.append(found.links)
        return found.meta

    meta = part.network.made(whole)
    return Configuration(part.network.scattered(part, kept[0] if kept else None), meta)


def write(form: Format, configuration: Configuration, give: Callable[[Configuration], None]
          ) -> None:
    """Let `give` write a configuration that this process may hold a part of."""
    part = parts.of(configuration.links)
    if part is None or form.by_parts or not part.cut:
        give(configuration)
        return
    whole = part.network.gathered(part, configuration.links)

    def written() -> None:
        if whole is not None:
            give(configuration._replace(links=whole))

    part.network.made(written)
