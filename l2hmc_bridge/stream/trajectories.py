"""Trajectories of a stream, one after the other: whose randomness, and what is said of each.

What happens at trajectory n depends on (seed, chain, number of n).
"""

import time
from typing import Any

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.part import largest
from l2hmc_bridge.observables import plan
from l2hmc_bridge.recorded import randomness
from l2hmc_bridge.recorded.chains import ALL, Chains
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.recorded.rows import Row
from l2hmc_bridge.recorded.specs import StreamKernel
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.markov import Info, Proposer, State
from l2hmc_bridge.systems.actions import normalised_change

UNITARITY_KEPT = 1e-13  # beyond this defect a save point projects the links back to SU(3)

class Trajectories:
    """The chains of a stream under way: `state` is that after the trajectories in `rows`.

    chains: those of them whose fields `state` holds.
    """

    def __init__(self, definition: Definition, kernel: StreamKernel, state: State,
                 rows: list[Row], chains: Chains = ALL):
        self.definition, self.kernel, self.state, self.rows = definition, kernel, state, rows
        self.chains = chains

    @property
    def count(self) -> int:
        """Trajectories done."""
        return len(self.rows)

    def trajectory(self) -> Row:
        """One step of all chains, and its row of the log."""
        definition, before = self.definition, self.state
        numbers = [first + self.count + 1 for first in definition.first]
        draws = randomness.recorded(definition.numbers, definition.seed, numbers,
                                    before.links.device, self.chains)
        began = time.perf_counter()
        self.state, info = update(self.kernel, before, draws)
        seconds = (time.perf_counter() - began) / definition.chains
        columns = {
            "delta_h": info.delta_h,
            "log_det": info.log_det,
            "accepted": info.accepted.long(),
            **observed(self.state.links),
            "link_change": normalised_change(before.links, self.state.links),
        }
        return {
            "trajectory": numbers,
            **_levels(info),
            **self._of_every({name: values.tolist() for name, values in columns.items()}),
            "seconds": [seconds] * definition.chains,
            "force_evaluations": info.force_evaluations,
            "reunitarised": 0,
            "reversibility": self.reversibility(),
            "files": None,
        }

    def measured(self) -> dict[str, Any]:
        """What is measured of a configuration that is kept, for its row: the flow, if asked for."""
        time, step = self.definition.flow_time, self.definition.flow_step
        if not time:
            return {}
        flowed = plan.flowed(self.state.links, time, step)
        times = {"t": flowed.pop("t")}
        return {"flow": {**times, **self._of_every(flowed)}}

    def _of_every(self, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Columns of every chain from those of the own ones."""
        whole = self.chains.every(list(zip(*columns.values(), strict=True)))
        return {name: list(column)
                for name, column in zip(columns, zip(*whole, strict=True), strict=True)}

    def reversibility(self) -> float | None:
        """max |U'' - U| after a trajectory forth and back from here, if one is due."""
        every, number = self.definition.check_reversibility, self.count + 1
        if not every or number % every or isinstance(self.kernel, HeatBath):
            return None
        definition = self.definition
        draws = randomness.reserved(definition.numbers, definition.seed, definition.chains,
                                    randomness.REVERSIBILITY, number, self.chains)
        return self.chains.largest(reversibility_defect(self.kernel, self.state, draws))

    def reunitarise(self, row: Row) -> Row:
        """Project the links to SU(3) where their defect exceeds 1e-13, and note it in the row."""
        links = self.state.links
        defect = self.chains.largest(largest(su3.unitarity_defect(links).max(), links))
        if defect <= UNITARITY_KEPT:
            return row
        self.state = self.kernel.init(self.projected())
        return {**row, "reunitarised": 1, "force_evaluations": row["force_evaluations"] + 1}

    def projected(self) -> Tensor:
        """The links, projected to SU(3)."""
        return su3.project_group(self.state.links)


def _levels(info: Info) -> dict[str, Any]:
    """What the levels of a nested step cost, and whom a solver failed; nothing of other steps."""
    if not info.levels:
        return {}
    unsolved = info.unsolved if info.unsolved is not None else torch.zeros_like(info.accepted)
    return {"levels": {use.name: {"forces": use.forces, "solves": use.solves,
                                  "iterations": use.iterations} for use in info.levels},
            "unsolved": unsolved.long().tolist()}


def observed(links: Tensor) -> dict[str, Tensor]:
    """What every row says of the links after its step, each [Nb]."""
    planes, clover = fast.measured(links)
    return {"plaquette": planes.mean(1), "plaquette_spatial": planes[:, 3:].mean(1),
            "plaquette_temporal": planes[:, :3].mean(1),
            "topological_charge": clover[:, 2]}


def update(kernel: StreamKernel, state: State, draws: Generators) -> tuple[State, Info]:
    """A step without the check at the door: what a step made of a field in the group needs none."""
    if isinstance(kernel, HeatBath):
        return kernel.update(state, draws)
    return markov.step(kernel, state, draws)


@torch.no_grad()
def reversibility_defect(kernel: Proposer, state: State, generators: Generators) -> float:
    """max |U'' - U| over a trajectory from `state`, its momenta reversed, and the same again."""
    momenta = markov.draw_momenta(state.links, generators)
    back = kernel.there_and_back(state, momenta, generators)
    return largest((back - state.links).abs().max(), state.links)
