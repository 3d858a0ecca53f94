"""The kernels of the table, each a setting that JSON can hold, and the settings to scan."""

import functools
import itertools
import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from l2hmc_bridge import models
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import MomentumMixing, Steps
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import INTEGRATORS, schedule
from l2hmc_bridge.sampling.markov import Kernel, Proposer
from l2hmc_bridge.sampling.mixture import Mixture
from l2hmc_bridge.systems.actions import GaugeAction

LENGTHS = (1.0, 2.0, 4.0)  # MD time of HMC
TARGETS = (0.85, 0.7)  # acceptances
REPEATS = (1, 2, 3)  # palindromes in a row
TRANSFORMED = ("wilson", "omf4")  # steps of trajectories in V, which cost most: no scan for them
TARGET = 0.75  # acceptance of these, REPEATS the last
LARGE = 12**4  # sites beyond which the last of each of these is all that is scanned
RHOS = (0.06, 0.119, 0.02, 0.04, 0.08, 0.1)
SWEEPS = ((1, 1), (4, 4))  # of the heat bath, and overrelaxed
MIXING = 0.03
SECANTS = 8  # at most, of the search for a scale
NEAR = 0.4  # of log <dH^2>, 0.04 of an acceptance of 0.75
STEEPNESS = 8.0  # of <dH^2> in the steps, to begin with: fourth order
WILSON = "wilson"  # the steps of the bundle that ships
Setting = dict[str, Any]


def kernel_of(setting: Setting, beta: float) -> Kernel:
    """The kernel that a setting describes."""
    action = GaugeAction(beta)
    kind = setting["kind"]
    if kind == "hmc":
        steps = setting["steps"]
        return HMC(action, setting["length"] / steps, steps, setting["integrator"])
    if kind == "heatbath":
        return HeatBath(action, setting["sweeps"], setting["overrelax"])
    if kind == "mixture":
        return Mixture([(kernel_of(one, beta), weight) for one, weight in setting["parts"]])
    return _learned(setting, action)


def _learned(setting: Setting, action: GaugeAction) -> L2HMC:
    if setting["steps"] in INTEGRATORS:
        kernel = L2HMC(action, Steps(schedule(setting["steps"], 0.5, 1)))
    else:
        kernel = bundle.load(models.located(setting["steps"]), action.beta).kernel
    if setting.get("mixing"):
        mixing = MomentumMixing()
        torch.nn.init.constant_(mixing.coefficient, setting["mixing"])
        kernel = replace(kernel, mixing=mixing)
    if setting.get("rho"):
        made = FieldTransformation.constant(setting["rho"], setting.get("rho_sweeps", 1))
        kernel = replace(kernel, transformation=made)
    return replace(kernel, repeats=setting["repeats"]).scaled(setting["scale"])


def family(setting: Setting) -> str:
    """What the best of a scan stands for."""
    kind = setting["kind"]
    if kind == "hmc":
        return f"HMC {setting['integrator']}"
    if kind == "heatbath":
        return f"heat bath {setting['sweeps']} + {setting['overrelax']}"
    if kind == "mixture":
        return " and ".join(family(one) for one, _ in setting["parts"])
    words = f"steps {setting['steps']}"
    words += f", mixing {setting['mixing']:g}" if setting.get("mixing") else ""
    return words + (f", F rho {setting['rho']:g}" if setting.get("rho") else "")


def families(bundles: list[str], large: bool) -> list[str]:
    """Names of everything that can be measured, what decides first; `large`: what is affordable."""
    first = ["HMC omf4", f"steps {WILSON}", "heat bath 1 + 4"]
    if not large:
        first += [f"steps {steps}, F rho {rho:g}" for rho in RHOS[:2] for steps in TRANSFORMED]
    names = [*first, "HMC force_gradient", *(f"steps {name}" for name in bundles)]
    if not large:
        names += [f"steps {WILSON}, mixing {MIXING:g}", "HMC omf2", "HMC leapfrog"]
        names += [f"HMC omf4 of {LENGTHS[-1]:g}"]
    names += [f"steps {WILSON} and heat bath 1 + 4", "HMC omf4 and heat bath 1 + 4"]
    names += [f"heat bath {sweeps} + {more}" for sweeps, more in SWEEPS]
    if not large:
        names += [f"steps {steps}, F rho {rho:g}" for rho in RHOS[2:] for steps in TRANSFORMED]
    return names


def candidates(name: str, beta: float, links: Tensor) -> list[Setting]:
    """The settings to scan for one family, steps chosen for the acceptances TARGETS at `links`."""
    if " and " in name:
        first, second = name.split(" and ")
        return [{"kind": "mixture", "parts": [[one, 1], [other, 1]]}
                for one in candidates(first, beta, links)
                for other in candidates(second, beta, links)]
    if name.startswith("heat bath"):
        sweeps, overrelax = (int(word) for word in name.removeprefix("heat bath").split("+"))
        return [{"kind": "heatbath", "sweeps": sweeps, "overrelax": overrelax}]
    if name.startswith("HMC"):
        integrator, *length = name.removeprefix("HMC ").split(" of ")
        return _of_hmc(integrator, beta, links, tuple(map(float, length)) or LENGTHS)
    words = name.removeprefix("steps ").split(", ")
    given: Setting = {"kind": "steps", "steps": words[0]}
    for word in words[1:]:
        key, value = word.removeprefix("F ").split()
        given[key] = float(value)
    if "rho" in given:
        return [scaled_to({**given, "repeats": REPEATS[-1]}, beta, links, TARGET)]
    return [scaled_to({**given, "repeats": repeats}, beta, links, target)
            for repeats, target in itertools.product(*several(links, REPEATS, TARGETS))]


def _of_hmc(integrator: str, beta: float, links: Tensor, wanted: tuple[float, ...]
            ) -> list[Setting]:
    """Per MD length the steps nearest to each target."""
    found: list[Setting] = []
    lengths, targets = several(links, wanted, TARGETS)
    for length in lengths:

        @functools.cache
        def acceptance(steps: int, length=length) -> float:
            return predicted_acceptance(
                HMC(GaugeAction(beta), length / steps, steps, integrator), links)

        for target in targets:
            high = next(2**k for k in range(9) if k == 8 or acceptance(2**k) >= target)
            low = high // 2 + 1
            while low < high:
                middle = (low + high) // 2
                low, high = (low, middle) if acceptance(middle) >= target else (middle + 1, high)
            setting = {"kind": "hmc", "integrator": integrator, "length": length, "steps": low}
            if setting not in found:
                found.append(setting)
    return found


def several(links: Tensor, *values: tuple) -> list[tuple]:
    """What is scanned of each of `values` on the lattice of `links`."""
    large = links[0, 0, ..., 0, 0].numel() > LARGE
    return [one[-1:] if large else one for one in values]


def scaled_to(setting: Setting, beta: float, links: Tensor, target: float) -> Setting:
    """The setting with its steps scaled to the predicted acceptance `target`.

    log <dH^2> is nearly straight in the log of the steps: secants, until one comes near; else the
    nearest that was tried.
    """
    wanted = math.log(8 * float(torch.special.erfinv(torch.tensor(1 - target))) ** 2)
    tried: list[tuple[float, float]] = []
    scale = 1.0
    for _ in range(SECANTS):
        kernel = _learned({**setting, "scale": scale}, GaugeAction(beta))
        tried.append((math.log(scale), math.log(squared_error(kernel, links))))
        (x, y), slope = tried[-1], STEEPNESS
        if abs(y - wanted) < NEAR:
            break
        if len(tried) > 1 and abs(x - tried[-2][0]) > 0.02:
            slope = min(max((y - tried[-2][1]) / (x - tried[-2][0]), 2.0), 2 * STEEPNESS)
        scale = min(max(math.exp(x + (wanted - y) / slope), 0.5 * scale), 2 * scale)
    found = min(tried, key=lambda one: abs(one[1] - wanted))[0]
    return {**setting, "scale": round(math.exp(found), 4)}


def predicted_acceptance(kernel: Proposer, links: Tensor) -> float:
    """erfc(sqrt(<dH^2> / 8)) from two proposals of each chain."""
    return math.erfc(math.sqrt(squared_error(kernel, links) / 8))


@torch.no_grad()
def squared_error(kernel: Proposer, links: Tensor) -> float:
    """<dH^2> of two proposals of each chain; 1e6 where an energy error is no number."""
    state, squares = markov.state_at(kernel, links), []
    for n in range(2):
        _, info = markov.propose(kernel, state, markov.trajectory_generator(77, n, 0))
        squares.append(info.log_ratio.square())
    return float(torch.cat(squares).mean().nan_to_num(1e6, posinf=1e6).clamp(1e-12, 1e6))
