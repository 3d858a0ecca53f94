"""Files of a lattice that several processes share, in formats that one process alone can move.

Rank 0 reads and writes the whole field then; other formats move each process's own sites.
"""

from collections.abc import Callable

from l2hmc_bridge.adapters.format.record import Format
from l2hmc_bridge.adapters.payload.own_sites import given_first, through_first
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.configuration import Configuration


def read(form: Format, make: Callable[[], Configuration]) -> Configuration:
    """What `make` reads, as this process holds it."""
    part = parts.current()
    if part is None or form.by_parts or not part.cut:
        return make()
    return through_first(part, make)


def write(form: Format, configuration: Configuration, give: Callable[[Configuration], None]
          ) -> None:
    """Let `give` write a configuration that this process may hold a part of."""
    part = parts.of(configuration.links)
    if part is None or form.by_parts or not part.cut:
        give(configuration)
    else:
        given_first(part, configuration, give)
