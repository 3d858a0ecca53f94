"""Which kernel a stream runs: what its definition stores, and how the kernel is built from it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.bundle.store import digest, json_text
from l2hmc_bridge.errors import BundleError, StreamError
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.recorded.bounds import LONGEST_STEP, MOST_LEVELS, MOST_STEPS, MOST_SWEEPS
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import INTEGRATORS
from l2hmc_bridge.sampling.markov import Proposer
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import Host
from l2hmc_bridge.storage.parsing import Entries
from l2hmc_bridge.systems.actions import GaugeAction


@dataclass(frozen=True)
class HmcSpec:
    """HMC with `steps` steps of `step_size`, before tuning."""

    integrator: str
    step_size: float
    steps: int

    def build(self, action: GaugeAction, device: torch.device | None = None) -> HMC:
        """The kernel; ActionError for an integrator that is none."""
        return HMC(action, self.step_size, self.steps, self.integrator)

    def stored(self) -> dict[str, Any]:
        """The entry `kernel` of a definition."""
        return {"kind": "hmc", "integrator": self.integrator, "step_size": self.step_size,
                "steps": self.steps}

    @classmethod
    def restored(cls, given: Entries) -> "HmcSpec":
        """The inverse of `stored`."""
        return cls(given.text("integrator", tuple(INTEGRATORS)),
                   given.number("step_size", 0, LONGEST_STEP), given.whole("steps", 1, MOST_STEPS))


@dataclass(frozen=True)
class HeatBathSpec:
    """`sweeps` sweeps of the heat bath, then `overrelax` of reflections."""

    sweeps: int
    overrelax: int

    def build(self, action: GaugeAction, device: torch.device | None = None) -> HeatBath:
        """The kernel; ActionError for any action but Wilson's."""
        return HeatBath(action, self.sweeps, self.overrelax)

    def stored(self) -> dict[str, Any]:
        """The entry `kernel` of a definition."""
        return {"kind": "heatbath", "sweeps": self.sweeps, "overrelax": self.overrelax}

    @classmethod
    def restored(cls, given: Entries) -> "HeatBathSpec":
        """The inverse of `stored`."""
        return cls(given.whole("sweeps", 1, MOST_SWEEPS), given.whole("overrelax", 0, MOST_SWEEPS))


@dataclass(frozen=True)
class BundleSpec:
    """The trained update in the file `bundle` with this hash; nature: what it is, in words."""

    bundle: str
    hash: str
    nature: str | None = None  # streams of earlier versions do not say

    def build(self, action: GaugeAction, device: torch.device | None = None) -> L2HMC:
        """The kernel at the action's beta; BundleError for another bundle or action."""
        loaded = bundle.load(Path(self.bundle), action.beta, device)
        if loaded.hash != self.hash:
            raise BundleError(f"{self.bundle}: expected the bundle {self.hash[:12]} that this "
                              f"stream began with, found {loaded.hash[:12]}")
        bundle.require_action(loaded, action)
        return loaded.kernel

    def at(self, path: Path) -> "BundleSpec":
        """The same bundle in another file."""
        return replace(self, bundle=str(path))

    def stored(self) -> dict[str, Any]:
        """The entry `kernel` of a definition."""
        known = {} if self.nature is None else {"nature": self.nature}
        return {"kind": "l2hmc", "bundle": self.bundle, "hash": self.hash, **known}

    @classmethod
    def restored(cls, given: Entries) -> "BundleSpec":
        """The inverse of `stored`."""
        nature = given.text("nature") if "nature" in given.values else None
        return cls(given.text("bundle"), given.text("hash"), nature)


@dataclass(frozen=True)
class NestedSpec:
    """A nested step around the terms of a host, which no file holds: by name, and its steps."""

    host: str
    parameters: dict[str, Any]
    levels: list[dict[str, Any]]  # name, terms, kicks, drifts, displacements, repeats
    inner: str  # SHA-256 of what the innermost step is

    @classmethod
    def of(cls, kernel: Nested, host: Host) -> "NestedSpec":
        """What a stream with this kernel stores, before tuning."""
        levels = [{"name": level.name, "terms": [term.name for term in level.terms],
                   **{name: list(part) for name, part in level.plan._asdict().items()},
                   "repeats": list(level.counts)} for level in kernel.levels]
        inner = kernel.inner
        text = repr(inner)
        if isinstance(inner, L2HMC):
            text = digest(architecture.tensors(inner),
                          {"kernel": json_text(architecture.describe(inner)),
                           "action": repr(inner.action), "scale": repr(inner.scale)})
        return cls(host.name, dict(host.parameters), levels,
                   hashlib.sha256(f"{text} x {kernel.scale!r}".encode()).hexdigest())

    def build(self, action: GaugeAction, device: torch.device | None = None) -> HMC:
        """StreamError: the terms are the host's, `reopen(..., made=around(kernel, host))`."""
        raise StreamError(f"kernel: expected the terms of the host {self.host!r} that this stream "
                          "runs on, found none: reopen it from Python with its kernel and host")

    def require(self, kernel: Nested, host: Host) -> None:
        """Raise StreamError, by name, for another host, other levels or another inner step."""
        given = NestedSpec.of(kernel, host)
        for what, theirs, ours in (("host", self.host, given.host),
                                   ("parameters", self.parameters, given.parameters),
                                   ("levels", self.levels, given.levels),
                                   ("inner step", self.inner[:12], given.inner[:12])):
            if theirs != ours:
                raise StreamError(f"kernel: expected the {what} {theirs} that this stream began "
                                  f"with, found {ours}")

    def stored(self) -> dict[str, Any]:
        """The entry `kernel` of a definition."""
        return {"kind": "nested", "host": self.host, "parameters": self.parameters,
                "levels": self.levels, "inner": self.inner}

    @classmethod
    def restored(cls, given: Entries) -> "NestedSpec":
        """The inverse of `stored`; what it holds is compared with a kernel, never run."""
        levels = given.listed("levels", 1, MOST_LEVELS)
        if not all(isinstance(level, Mapping) for level in levels):
            given.refuse("levels", "a table for each level", levels)
        return cls(given.text("host"), dict(given.table("parameters").values),
                   [dict(level) for level in levels], given.text("inner"))


KernelSpec = HmcSpec | HeatBathSpec | BundleSpec | NestedSpec
StreamKernel = Proposer | HeatBath  # what a stream runs
_SPECS: dict[str, type[HmcSpec] | type[HeatBathSpec] | type[BundleSpec] | type[NestedSpec]] = {
    "hmc": HmcSpec, "heatbath": HeatBathSpec, "l2hmc": BundleSpec, "nested": NestedSpec}


def restored(entries: Mapping[str, Any], where: object = "kernel") -> KernelSpec:
    """The inverse of `stored`. Raises StreamError for a kernel that this version does not know."""
    given = Entries.of(entries, where, StreamError)
    spec = _SPECS[given.text("kind", tuple(_SPECS))].restored(given)
    if set(spec.stored()) != set(entries):
        raise StreamError(f"{where}: expected the entries {', '.join(spec.stored())}, found "
                          f"{', '.join(map(str, entries))[:200]}")
    return spec
