"""Which kernel a new stream runs, with which action: what the options and the start say."""

from typing import NamedTuple

import torch

from l2hmc_bridge import models
from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.errors import BundleError
from l2hmc_bridge.gate import expected
from l2hmc_bridge.recorded.specs import (
    BundleSpec,
    HeatBathSpec,
    HmcSpec,
    KernelSpec,
    StreamKernel,
)
from l2hmc_bridge.sampling.integrators import integrator
from l2hmc_bridge.stream.options import UpdateOptions
from l2hmc_bridge.stream.start import Start
from l2hmc_bridge.systems.actions import GaugeAction, gauge_action
from l2hmc_bridge.systems.decision import Decision, decide


class Choice(NamedTuple):
    """The kernel before tuning, what a definition stores of it, and its action."""

    kernel: StreamKernel
    spec: KernelSpec
    action: GaugeAction


def decided(start: Start, options: UpdateOptions) -> Decision:
    """What is sampled: what the files of `start` state, unless options contradict it.

    Raises ActionError.
    """
    return decide(start.stated, options.action, options.beta, options.quenched,
                  "theory" in options.accept)


def choose(
    start: Start, decision: Decision, options: UpdateOptions, device: torch.device
) -> Choice:
    """The kernel that `options` ask for with this action; warnings go into `start`.

    Raises ActionError, ConfigError, BundleError.
    """
    if options.kernel == "hmc":
        action = gauge_action(decision.action or "wilson", decision.beta)
        integrator(options.integrator)  # a name that is none is said here
        spec = HmcSpec(options.integrator, options.step_size, options.steps)
        return Choice(spec.build(action), spec, action)
    if options.kernel == "heatbath":
        action = gauge_action(decision.action or "wilson", decision.beta)
        bath = HeatBathSpec(options.sweeps, options.overrelax)
        return Choice(bath.build(action), bath, action)
    return _trained(start, decision, options, device)


def _trained(
    start: Start, decision: Decision, options: UpdateOptions, device: torch.device
) -> Choice:
    beta = decision.beta
    path = models.located(options.bundle or models.default())
    loaded = bundle.load(path, beta, device)
    action = loaded.kernel.action
    if not isinstance(action, GaugeAction):
        raise BundleError(f"{path}: expected a bundle for su3 links (--bundle), found one for "
                          f"{action.group}: {loaded.meta['action']['name']}")
    _require_gate(loaded, start, options.ungated)
    if decision.action:
        bundle.require_action(loaded, gauge_action(decision.action, beta))
    low, high = loaded.meta["action"]["beta_range"]
    if not low - 1e-9 <= beta <= high + 1e-9:
        start.warnings.append(
            f"beta {beta:g} is outside {low:g} to {high:g}, where the bundle was trained: still "
            "exact, perhaps not efficient"
        )
    if options.bundle is None:
        start.notes.append(f"the bundle {models.DEFAULT} that ships is taken (--bundle names "
                           f"another): {models.reason(models.DEFAULT)}")
    spec = BundleSpec(loaded.path, loaded.hash, architecture.nature(loaded.kernel))
    return Choice(loaded.kernel, spec, action)


def _require_gate(loaded: bundle.Bundle, start: Start, ungated: bool) -> None:
    """Raise BundleError for a bundle without a fitting report, or warn of it if `ungated`."""
    try:
        expected.require(loaded)
    except BundleError as error:
        if not ungated:
            raise
        start.warnings.append(f"{error}: --ungated was given")
