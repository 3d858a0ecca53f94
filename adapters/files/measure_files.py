"""Measure many files: in batches of one lattice, in one process or several."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from multiprocessing import get_context
from typing import Any

import torch

from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.observables.plan import Plan, records
from l2hmc_bridge.ranks.crew import Crew

from .ensemble import Source
from .reading import Reading
from .sources import number_of

SITES_PER_BATCH = 1 << 15  # 16^4 goes alone, 8^4 eight at once
BYTES_PER_GROUP = 1 << 26
FURTHEST = 3  # sites that the loops of the five-loop charge reach


def measure_all(
    sources: Sequence[Source], plan: Plan, jobs: int, reading: Reading,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[list[dict[str, Any]], list[str], list[str]]]:
    """(records, error messages, warnings) per group of files, in the order of `sources`.

    A record is measurement.records' with path, chain, trajectory, index, lattice (X,Y,Z,T) and, as
    far as the file states them, action, beta, quarks; accepted: failed checks that were gone over.
    """
    groups = _groups(sources, jobs)
    if jobs == 1 or len(groups) < 2:
        yield from (measure_group(group, plan, reading, device) for group in groups)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        work = [pool.submit(measure_group, group, plan, reading, device) for group in groups]
        for one in work:
            yield one.result()


def measure_shared(
    sources: Sequence[Source], plan: Plan, reading: Reading, crew: Crew
) -> Iterator[tuple[list[dict[str, Any]], list[str], list[str]]]:
    """`measure_all` by the ranks of `crew` together, file after file. Raises ConfigError.

    Every rank has every record, with the numbers of one process on such a device bit for bit.
    """
    for source in sources:
        try:
            with reading.shared(crew, source.path, source.index, FURTHEST):
                found = measure_group([source], plan, reading, crew.device)
        except BridgeError as error:
            found = [], [str(error)], []
        yield found


def _groups(sources: Sequence[Source], jobs: int) -> list[list[Source]]:
    """Runs of at most 16 sources and about BYTES_PER_GROUP: what is in memory at a time."""
    most = min(16, max(1, math.ceil(len(sources) / (4 * jobs)))) if jobs > 1 else 16
    shares = Counter(source.path for source in sources)
    groups: list[list[Source]] = []
    room = 0
    for source in sources:
        held = source.path.stat().st_size // shares[source.path] if source.path.is_file() else 0
        if not groups or len(groups[-1]) == most or held > room:
            groups.append([])
            room = BYTES_PER_GROUP
        groups[-1].append(source)
        room -= held
    return groups


def measure_group(
    group: Sequence[Source], plan: Plan, reading: Reading, device: torch.device | str = "cpu"
) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Read and measure some files; one that cannot be read becomes an error message."""
    loaded, errors, warnings = [], [], []
    for source in group:
        try:
            configuration = reading.read(source.path, source.index)
        except BridgeError as error:
            errors.append(str(error))
            continue
        warnings += [f"{source.path}: {told}" for told in configuration.meta["warnings"]]
        loaded.append((source, configuration))
    result = []
    for shape, alike in groupby(loaded, key=lambda pair: tuple(pair[1].links.shape[2:6])):
        same = list(alike)
        count = max(1, SITES_PER_BATCH // math.prod(shape))
        for n in range(0, len(same), count):
            result.extend(_measure_batch(same[n : n + count], plan, device))
    return result, errors, warnings


def _measure_batch(batch: list[tuple[Source, Any]], plan: Plan, device: torch.device | str
                   ) -> list[dict[str, Any]]:
    fields = [configuration.links for _, configuration in batch]
    links = (fields[0] if len(fields) == 1 else torch.cat(fields)).to(device)
    result = []
    for (source, configuration), record in zip(batch, records(links, plan), strict=True):
        nt, nx, ny, nz = parts.lattice_of(configuration.links)
        about = {
            "path": str(source.path),
            "chain": source.chain,
            "trajectory": number_of(source, configuration.meta),
            "lattice": [nx, ny, nz, nt],
        }
        if source.index is not None:
            about["index"] = source.index
        result.append({**about, **_stated(configuration.meta), **record})
    return result


def _stated(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says of its theory, and what was gone over when it was read."""
    theory = meta["theory"]
    told = {"action": theory.other or theory.action, "beta": meta.get("beta"),
            "quarks": meta.get("quarks"), "accepted": meta.get("accepted")}
    return {name: value for name, value in told.items() if value is not None}
