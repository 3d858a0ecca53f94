"""Which kernel a new stream runs, with which action: what the options and the start say."""

from pathlib import Path
from typing import NamedTuple

import torch

from l2hmc_bridge import models
from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.errors import ActionError, BundleError
from l2hmc_bridge.sampling.integrators import integrator
from l2hmc_bridge.stream.options import UpdateOptions
from l2hmc_bridge.stream.specs import (
    BundleSpec,
    HeatBathSpec,
    HmcSpec,
    KernelSpec,
    StreamKernel,
)
from l2hmc_bridge.stream.start import Start
from l2hmc_bridge.systems.actions import GaugeAction, gauge_action


class Choice(NamedTuple):
    """The kernel before tuning, what a definition stores of it, and its action."""

    kernel: StreamKernel
    spec: KernelSpec
    action: GaugeAction


def choose(start: Start, options: UpdateOptions, device: torch.device) -> Choice:
    """The kernel that `options` ask for at the coupling of `start`; warnings go into `start`.

    Raises ActionError, ConfigError, BundleError.
    """
    beta = _beta(start, options.beta)
    if options.kernel == "hmc":
        action = gauge_action(options.action or "wilson", beta)
        integrator(options.integrator)  # a name that is none is said here
        spec = HmcSpec(options.integrator, options.step_size, options.steps)
        return Choice(spec.build(action), spec, action)
    if options.kernel == "heatbath":
        action = gauge_action(options.action or "wilson", beta)
        bath = HeatBathSpec(options.sweeps, options.overrelax)
        return Choice(bath.build(action), bath, action)
    return _trained(start, beta, options, device)


def _trained(start: Start, beta: float, options: UpdateOptions, device: torch.device) -> Choice:
    path = Path(options.bundle or models.default())
    loaded = bundle.load(path, beta, device)
    action = loaded.kernel.action
    if not isinstance(action, GaugeAction):
        raise BundleError(f"{path}: expected a bundle for su3 links (--bundle), found one for "
                          f"{action.group}: {loaded.meta['action']['name']}")
    _require_gate(loaded, start, options.ungated)
    if options.action:
        bundle.require_action(loaded, gauge_action(options.action, beta))
    low, high = loaded.meta["action"]["beta_range"]
    if not low - 1e-9 <= beta <= high + 1e-9:
        start.warnings.append(
            f"beta {beta:g} is outside {low:g} to {high:g}, where the bundle was trained: still "
            "exact, perhaps not efficient"
        )
    spec = BundleSpec(loaded.path, loaded.hash, architecture.nature(loaded.kernel))
    return Choice(loaded.kernel, spec, action)


def _require_gate(loaded: bundle.Bundle, start: Start, ungated: bool) -> None:
    """Raise BundleError for a bundle without a fitting report, or warn of it if `ungated`."""
    try:
        bundle.require_gate(loaded)
    except BundleError as error:
        if not ungated:
            raise
        start.warnings.append(f"{error}: --ungated was given")


def _beta(start: Start, asked: float | None) -> float:
    if asked is None:
        asked = start.stated.get(start.name)  # the same in every file
    if asked is None:
        raise ActionError(f"{start.name}: expected beta in the file, found none (--beta states it)")
    for name, stated in start.stated.items():
        if stated is not None and abs(asked - stated) > 1e-9:
            start.warnings.append(f"{name} says beta {stated:g}; --beta {asked:g} is used")
    return float(asked)
