"""What a stream starts from: the first fields, and what is known about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fields import layout, part
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.markov import Kernel, State
from l2hmc_bridge.systems.actions import GaugeAction
from l2hmc_bridge.systems.decision import Decision
from l2hmc_bridge.systems.theory import Theory

OF_NO_THEORY = ("trajectory", "reunitarized", "accepted", "date")  # metadata
EVERY_SITES = 12**4  # up to here every configuration is kept by default, beyond it every tenth


@dataclass(frozen=True)
class Start:
    """The first fields of all chains, and what is known about them.

    The lists `notes` and `warnings` grow until the stream is defined: notes are said once nothing
    was refused, warnings are recorded as well.
    """

    links: Tensor  # [chains,4,Nt,Nx,Ny,Nz,3,3]
    first: list[int]  # their trajectory numbers
    meta: list[dict[str, Any]]  # carried into each chain's configurations
    name: str  # of the first file, or of the kind of start
    format: str | None = None  # of the first file
    stated: Mapping[str, Theory] = field(default_factory=dict)  # in each file
    plaquette: float | None = None  # of the first chain, as the reader measured it
    read: Mapping[str, Any] = field(default_factory=dict)  # metadata of the first file
    record: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def extents(self) -> part.Extents:
        """(Nt, Nx, Ny, Nz)."""
        return part.lattice_of(self.links)

    @property
    def lattice(self) -> list[int]:
        """Extents X, Y, Z, T."""
        nt, nx, ny, nz = self.extents
        return [nx, ny, nz, nt]

    def on(self, device: torch.device) -> "Start":
        """The same with its links on `device`."""
        return replace(self, links=self.links.to(device))

    def recording(self, record: Mapping[str, Any]) -> "Start":
        """The same with more in its record."""
        return replace(self, record={**self.record, **record})

    def under(self, decision: Decision) -> "Start":
        """The same once it is decided what is sampled: said, recorded, warned of.

        Metadata that speak of another theory do not come along.
        """
        meta = self.meta
        if decision.foreign:
            meta = [{key: one[key] for key in OF_NO_THEORY if key in one} for one in meta]
        return replace(self, meta=meta, record={**self.record, **decision.record},
                       notes=[*decision.said, *self.notes],
                       warnings=[*self.warnings, *decision.warnings])


@torch.no_grad()
def first_state(start: Start, kernel: Kernel) -> State:
    """Action and force of the start, computed once for everything that begins there.

    Raises LayoutError, naming the start, where the kernel cannot run on its lattice.
    """
    try:
        kernel.check(start.links)
    except LayoutError as error:
        raise LayoutError(f"{start.name}: {error}") from error
    return markov.state_at(kernel, start.links)


def sampled(meta: Mapping[str, Any], action: GaugeAction) -> dict[str, Any]:
    """Metadata of a configuration that is drawn from this action alone."""
    return {**meta, "beta": action.beta, "gauge_action": action.name, "quarks": "none"}


def save_every(start: Start) -> int:
    """Trajectories between save points on this lattice, if nobody says."""
    return 1 if layout.volume(start.links) <= EVERY_SITES else 10
