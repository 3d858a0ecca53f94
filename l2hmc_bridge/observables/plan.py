"""What is measured on a batch of configurations, as plain records ready for JSON."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fields import part
from l2hmc_bridge.fields.layout import DIRECTIONS
from l2hmc_bridge.observables import flow, scales, standard as observables

FLOWED = ("plaquette", "energy_density", "topological_charge")
SMEARINGS = {"stout": flow.stout, "ape": flow.ape}


@dataclass(frozen=True)
class Plan:
    """What to measure: the standard set, a flow up to `flow_time`, smearing, Wilson loops.

    traceless=False keeps the trace of the field strength, as GPT and Grid do. `flow_every` is the
    distance of two points of the flow, by default the multiple of flow_step nearest to 0.1;
    `points` names the flow times instead, `any_step` lifts the bound on unstable steps.
    Raises ActionError for what cannot be done.
    """

    flow_time: float = 0.0
    flow_step: float = 0.02
    flow_every: float | None = None
    kernel: str = "wilson"
    tolerance: float | None = None
    traceless: bool = True
    smear: str | None = None
    smear_parameter: float = 0.1
    smear_steps: int = 10
    wilson_loops: int = 0
    points: tuple[float, ...] = ()
    any_step: bool = False

    def __post_init__(self):
        if not 0 <= self.flow_time < math.inf:
            raise ActionError(f"flow time: expected a number >= 0, found {self.flow_time}")
        if self.flow_every is not None and not 0 < self.flow_every < math.inf:
            raise ActionError(f"flow interval: expected a number > 0, found {self.flow_every}")
        flow.check(self.points, self.flow_step, self.kernel, self.tolerance, self.any_step)
        if not math.isfinite(self.smear_parameter):
            raise ActionError(f"smearing: expected a number, found {self.smear_parameter}")
        if self.smear == "ape" and not 0 <= self.smear_parameter <= 1:
            raise ActionError("smearing: expected 0 <= alpha <= 1 of APE, found "
                              f"{self.smear_parameter:g}")
        if self.smear is not None and self.smear not in SMEARINGS:
            raise ActionError(
                f"smearing: expected one of {', '.join(SMEARINGS)}, found {self.smear!r}"
            )

    def times(self) -> list[float]:
        """Flow times at which is measured: 0, every, 2 every, ..., flow_time; [] without flow."""
        if self.points or self.flow_time == 0:
            return list(self.points)
        every = self.flow_every or self.flow_step * max(1, round(0.1 / self.flow_step))
        count = math.floor(self.flow_time / every + 1e-9)
        times = [round(k * every, 12) for k in range(count + 1)]
        return times if self.flow_time - times[-1] < 1e-9 else [*times, self.flow_time]


@torch.no_grad()
def records(links: Tensor, plan: Plan) -> list[dict[str, Any]]:
    """One record per configuration of links [Nb,4,Nt,Nx,Ny,Nz,3,3].

    Keys: plaquette, plaquette_spatial, plaquette_temporal, plaquette_planes, rectangle, link_trace,
    topological_charge, topological_charge_5li, energy_density (clover), energy_density_plaquette,
    polyakov_loop (time direction, [re, im]), polyakov_loops (per direction), unitarity_defect,
    determinant_defect, flow (list of {t, plaquette, energy_density, topological_charge}), t0 and
    w0 if the flow reaches them; smeared and wilson_loops if the plan asks for them;
    convention ("traceless" or "gpt"), and flow_kernel, flow_step and, where it adapts,
    flow_tolerance of a flow.
    """
    with part.exactly(links):
        return _records(links, plan)


def _records(links: Tensor, plan: Plan) -> list[dict[str, Any]]:
    values = observables.measure(links, plan.traceless)
    values["rectangle"] = observables.rectangle(links)
    values.update(observables.defects(links))
    convention = observables.CONVENTIONS[0 if plan.traceless else 1]
    result = [{**_record(values, row), "convention": convention} for row in range(links.shape[0])]
    _add_flow(result, links, plan)
    if plan.smear is not None:
        smeared = SMEARINGS[plan.smear](links, plan.smear_parameter, plan.smear_steps)
        values = observables.measure_flowed(smeared, plan.traceless)
        for row, record in enumerate(result):
            record["smeared"] = {name: float(values[name][row]) for name in FLOWED}
    if plan.wilson_loops:
        _add_wilson_loops(result, links, plan.wilson_loops)
    return result


@torch.no_grad()
def flowed(links: Tensor, flow_time: float, flow_step: float) -> dict[str, list[Any]]:
    """{"t": times, each of FLOWED: [Nb][times]} along the Wilson flow, traceless field strength."""
    times = Plan(flow_time=flow_time, flow_step=flow_step).times()
    found: dict[str, list[Any]] = {"t": times, **{name: [] for name in FLOWED}}
    for _, one in flow.measured(links, times, flow_step):
        values = observables.flowed_values(one)
        for name in FLOWED:
            found[name].append(values[name].tolist())
    return {"t": times, **{name: [list(line) for line in zip(*found[name], strict=True)]
                           for name in FLOWED}}


def _record(values: dict[str, Tensor], row: int) -> dict[str, Any]:
    numbers = {name: float(value[row]) for name, value in values.items()}
    planes = {name.removeprefix("plaquette_"): numbers.pop(name)
              for name in observables.PLANE_NAMES}
    loops = {
        name: [numbers.pop(f"polyakov_loop_{name}_{part}") for part in ("real", "imag")]
        for name in DIRECTIONS
    }
    return {**numbers, "plaquette_planes": planes, "polyakov_loop": loops["t"],
            "polyakov_loops": loops, "flow": []}


def _add_flow(result: list[dict[str, Any]], links: Tensor, plan: Plan) -> None:
    times = plan.times()
    if not times:
        return
    flowed = flow.measured(links, times, plan.flow_step, plan.kernel, plan.tolerance,
                           plan.any_step, plan.traceless)
    for time, one in flowed:
        values = observables.flowed_values(one)
        for row, record in enumerate(result):
            point = {name: float(values[name][row]) for name in FLOWED}
            record["flow"].append({"t": time, **point})
    for record in result:
        record["flow_kernel"], record["flow_step"] = plan.kernel, plan.flow_step
        if plan.tolerance is not None:
            record["flow_tolerance"] = plan.tolerance
        energies = np.array([point["energy_density"] for point in record["flow"]])
        for name, function in (("t0", scales.t0), ("w0", scales.w0)):
            value = float(function(times, energies)) if len(times) > 3 else math.nan
            record[name] = value if math.isfinite(value) else None


def _add_wilson_loops(result: list[dict[str, Any]], links: Tensor, largest: int) -> None:
    """wilson_loops[R-1][T-1] for R, T = 1 ... largest."""
    tables = [
        [observables.wilson_loop(links, r, t) for t in range(1, largest + 1)]
        for r in range(1, largest + 1)
    ]
    for row, record in enumerate(result):
        record["wilson_loops"] = [[float(value[row]) for value in line] for line in tables]
