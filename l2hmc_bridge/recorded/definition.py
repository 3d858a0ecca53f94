"""What fixes a stream: with it and the first links every later trajectory is determined."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from l2hmc_bridge.errors import ActionError, StreamError
from l2hmc_bridge.recorded import specs
from l2hmc_bridge.recorded.bounds import (
    LARGEST_FACTOR,
    LARGEST_SEED,
    LONGEST_FLOW,
    MOST_CHAINS,
    MOST_THREADS,
)
from l2hmc_bridge.recorded.randomness import KINDS, TORCH
from l2hmc_bridge.recorded.specs import KernelSpec
from l2hmc_bridge.storage import parsing
from l2hmc_bridge.storage.parsing import Entries
from l2hmc_bridge.systems.actions import gauge_action

SUFFIX = re.compile(r"[A-Za-z0-9_-]{0,32}")  # of a file: nothing that leads out of the folder
DEVICE = re.compile(r"[a-z]{1,16}(:[0-9]{1,4})?")
NAME = re.compile(r"[^\0]{1,200}")  # of an entry of the record: history.h5 has it as an attribute


@dataclass(frozen=True)
class Definition:
    """kernel: before tuning; action: {"name", "beta"}; factor multiplies all steps, for good.

    first: number of the start of each chain. save_every, keep_every: trajectories between save
    points, and between configurations (the same if None). flow_time: up to which configurations
    are measured along the Wilson flow, in steps of flow_step; 0: not at all. meta: what is carried
    into each chain's configurations. record: what a person wants to know (start, tuning, gate,
    command, versions), of no effect on any trajectory.
    """

    seed: int
    kernel: KernelSpec
    action: dict[str, Any]
    factor: float
    first: list[int]
    save_every: int
    suffix: str
    format: str
    check_reversibility: int = 0
    device: str = "cpu"
    threads: int = 1
    meta: list[dict[str, Any]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    keep_every: int | None = None
    numbers: str = TORCH  # of streams that do not say
    flow_time: float = 0.0
    flow_step: float = 0.02

    @property
    def chains(self) -> int:
        """Number of chains."""
        return len(self.first)

    @property
    def identity(self) -> str:
        """SHA-256 that tells this stream from others: seed, kernel, action, steps and start."""
        known = {"seed": self.seed, "kernel": self.kernel.stored(), "action": self.action,
                 "factor": self.factor, "first": self.first,
                 "start": self.record.get("start_digest")}
        if self.numbers != TORCH:
            known["numbers"] = self.numbers
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def saves(self, count: int) -> bool:
        """Whether a save point is due after `count` trajectories."""
        return count % self.save_every == 0

    def keeps(self, count: int) -> bool:
        """Whether configurations are due after `count` trajectories."""
        return count % (self.keep_every or self.save_every) == 0

    def text(self) -> str:
        """The definition as JSON."""
        entries = {one.name: getattr(self, one.name) for one in fields(self)}
        entries["kernel"] = self.kernel.stored()
        return json.dumps(entries, sort_keys=True, allow_nan=False)


def as_stored(definition: Definition) -> Definition:
    """The definition as it comes back from its text: what JSON makes of it."""
    return restored(definition.text(), "definition")


def restored(text: str, where: Path | str) -> Definition:
    """The inverse of `Definition.text`. Raises StreamError for anything else."""
    given = parsing.json_table(text, where, StreamError)
    known = {one.name for one in fields(Definition)}
    if set(given.values) - known:
        raise StreamError(f"{where}: definition: expected entries of {', '.join(sorted(known))}, "
                          f"found {', '.join(sorted(set(given.values) - known))[:200]}")
    first = _whole_numbers(given, "first")
    keep = given.values.get("keep_every")
    flow = "flow_time" in given.values  # of streams of earlier versions it is not
    return Definition(
        seed=given.whole("seed", 0, LARGEST_SEED),
        kernel=specs.restored(given.table("kernel").values, f"{where}: kernel"),
        action=_action(given.table("action")),
        factor=given.number("factor", 0, LARGEST_FACTOR),
        first=first,
        save_every=given.whole("save_every", 1),
        suffix=_matching(given, "suffix", SUFFIX),
        format=given.text("format"),
        check_reversibility=given.whole("check_reversibility"),
        device=_matching(given, "device", DEVICE),
        threads=given.whole("threads", 1, MOST_THREADS),
        meta=_meta(given, len(first)),
        record=_record(given.table("record")),
        keep_every=None if keep is None else given.whole("keep_every", 1),
        numbers=given.text("numbers", KINDS) if "numbers" in given.values else TORCH,
        flow_time=given.number("flow_time", 0, LONGEST_FLOW) if flow else 0.0,
        flow_step=given.number("flow_step", 1e-9, LONGEST_FLOW) if flow else 0.02,
    )


def _whole_numbers(given: Entries, name: str) -> list[int]:
    """At least one whole number; MOST_CHAINS at most."""
    numbers = given.listed(name, 1, MOST_CHAINS)
    each = Entries({f"{name}[{n}]": one for n, one in enumerate(numbers)}, given.where, given.error)
    return [each.whole(key) for key in each.values]


def _action(given: Entries) -> dict[str, Any]:
    """{"name", "beta"} of an action that there is."""
    try:
        gauge_action(given.text("name"), given.number("beta", 0))
    except ActionError as error:
        raise given.error(f"{given.where}: {str(error)[:200]}") from error
    if set(given.values) != {"name", "beta"}:
        raise given.error(f"{given.where}: expected name and beta, found "
                          f"{', '.join(map(str, given.values))[:200]}")
    return dict(given.values)


def _matching(given: Entries, name: str, pattern: re.Pattern[str]) -> str:
    text = given.text(name)
    if not pattern.fullmatch(text):
        given.refuse(name, f"a text like {pattern.pattern}", text)
    return text


def _record(given: Entries) -> dict[str, Any]:
    """Entries of any kind under names that history.h5 can hold; a lattice of whole numbers."""
    tables = [given, *([given.table("provenance")] if "provenance" in given.values else [])]
    for name in (name for table in tables for name in table.values):
        if not NAME.fullmatch(name):
            raise given.error(f"{given.where}: expected names of 1 to 200 characters, found "
                              f"{parsing.shown(name)}")
    if "lattice" in given.values:
        _whole_numbers(given, "lattice")
    return dict(given.values)


def _meta(given: Entries, chains: int) -> list[dict[str, Any]]:
    """A table for each chain, or none at all."""
    tables = given.listed("meta", 0, MOST_CHAINS)
    if len(tables) not in (0, chains) or not all(isinstance(table, Mapping) for table in tables):
        given.refuse("meta", f"a table for each of {chains} chains", tables)
    return [dict(table) for table in tables]
