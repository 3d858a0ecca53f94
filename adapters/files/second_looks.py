"""What is done with a configuration after it was read: drift is mended, guesses are doubted."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from l2hmc_bridge.adapters.format.checks import drift, faults
from l2hmc_bridge.fields.configuration import Configuration

RANDOM = 0.05  # a plaquette below this is that of links in a wrong order
MOST_NAMED = 16  # extents in a warning


def mended(configuration: Configuration) -> Configuration:
    """The configuration, its links projected to SU(3) if drift is their only fault; says so."""
    found = drift(faults(configuration.meta["checks"]))
    if found is None:
        return configuration
    from l2hmc_bridge.adapters.payload.quality import measure
    from l2hmc_bridge.fields import su3

    meta = dict(configuration.meta)
    links = su3.project_group(configuration.links)
    said = f"projected to SU(3), max|UU^+ - 1|, max|det U - 1| was {found:.1e}"
    meta["checks"] = [
        {**item, "status": "warn"} if item["status"] == "fail" else item for item in meta["checks"]
    ]
    meta["warnings"] = [*meta["warnings"], f"drifted links {said}"]
    return Configuration(links, {**meta, **measure(links)._asdict(), "reunitarized": said})


def guessed(meta: dict[str, Any]) -> None:
    """Warn of a plaquette near 0 if the extents are the caller's: others fit the size, too."""
    plaquette = meta.get("plaquette")
    if plaquette is None or not abs(plaquette) < RANDOM:
        return
    others = [",".join(map(str, one)) for one in fitting(meta["lattice"])]
    more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
    meta["warnings"].append(
        f"plaquette {plaquette:.4f}, as of random links: is the lattice "
        f"{','.join(map(str, meta['lattice']))} right? The size also fits "
        f"{'; '.join(others[:MOST_NAMED])}{more}")


def fitting(lattice: Sequence[int]) -> list[tuple[int, ...]]:
    """Other extents X,Y,Z,T of as many sites: cubes in space, then the same in another order."""
    sites = math.prod(lattice)
    cubes = [(side, side, side, sites // side**3)
             for side in range(2, 1 + round(sites ** (1 / 3)))
             if sites % side**3 == 0 and sites // side**3 > 1]
    cubes.sort(key=lambda one: (one[3] < one[0], -one[0]))
    orders = sorted(set(itertools.permutations(lattice)))
    return [fromkey for fromkey in dict.fromkeys([*cubes, *orders]) if fromkey != tuple(lattice)]
