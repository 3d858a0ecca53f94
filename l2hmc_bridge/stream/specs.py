"""Which kernel a stream runs: what its definition stores, and how the kernel is built from it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.errors import BundleError, StreamError
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.markov import Proposer
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


KernelSpec = HmcSpec | BundleSpec | HeatBathSpec
StreamKernel = Proposer | HeatBath  # what a stream runs
_SPECS: dict[str, type[HmcSpec] | type[BundleSpec] | type[HeatBathSpec]] = {
    "hmc": HmcSpec, "l2hmc": BundleSpec, "heatbath": HeatBathSpec,
}


def restored(entries: Mapping[str, Any]) -> KernelSpec:
    """The inverse of `stored`. Raises StreamError for a kernel that this version does not know."""
    given = dict(entries)
    kind = given.pop("kind", None)
    if kind not in _SPECS:
        raise StreamError(f"kernel: expected one of {', '.join(_SPECS)}, found {kind!r}")
    try:
        return _SPECS[kind](**given)
    except TypeError as error:
        raise StreamError(f"kernel: expected the entries of {kind}, found "
                          f"{', '.join(given)}") from error
