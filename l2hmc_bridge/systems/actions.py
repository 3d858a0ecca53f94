"""Actions: S(links) -> [Nb] and their force, d/de S(exp(e X) U) = <X, F>."""

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fields import layout, part, su3, u1
from l2hmc_bridge.systems.coefficients import coefficient, name_of, real


class Action(Protocol):
    """What a kernel needs of an action."""

    @property
    def group(self) -> str:
        """Name in systems.groups.GROUPS."""

    @property
    def beta(self) -> float:
        """The coupling that networks see; 0 for an action that has none."""

    def __call__(self, links: Tensor, /) -> Tensor:
        """S of each configuration, real [Nb]."""

    def force(self, links: Tensor, /) -> Tensor:
        """F with d/de S(exp(e X) U) = <X, F>, like links, in the algebra."""

    def refresh(self, links: Tensor, generator: Any, /) -> bool:
        """Redraw noise of the action's own (pseudofermions) given the links.

        Called once at the start of every trajectory. True: every S and F known before is void. An
        action whose S asks for that noise says so by an attribute `noisy`.
        """

    def at(self, beta: float) -> "Action":
        """The same action at another coupling; ActionError if it is known at one alone."""


def noisy(action: Action) -> bool:
    """Whether S and F of an action are unknown until `refresh` has drawn noise; not if it is mute.
    """
    return bool(getattr(action, "noisy", False))


class Noiseless:
    """An action without noise of its own: nothing is redrawn."""

    def refresh(self, links: Tensor, generator: Any) -> bool:
        return False


@dataclass(frozen=True)
class GaugeAction(Noiseless):
    """S = -(beta/3) sum_x [c0 sum_{mu<nu} Re tr P_mu_nu + c1 sum_{mu != nu} Re tr R_mu_nu].

    c0 = 1 - 8 c1, no constant (GPT's action is S + 6 beta V (c0 + 2 c1)).
    Raises ActionError for a beta that is not a finite number >= 0 and a c1 that is no finite one,
    LayoutError for links that are none.
    """

    beta: float
    c1: float = 0.0
    group: str = "su3"

    def __post_init__(self):
        object.__setattr__(self, "beta", _coupling(self.beta))
        if not math.isfinite(real(self.c1)):
            raise ActionError(f"c1: expected a finite number, found {self.c1!r}")

    def __call__(self, links: Tensor) -> Tensor:
        """S of each configuration, float64 [Nb]."""
        layout.check_links(links)
        return fast.action(links, self.beta, self.c1)

    def force(self, links: Tensor) -> Tensor:
        """F_mu = (beta/6) TA(U_mu [c0 A_mu + c1 A^rect_mu]), like links."""
        layout.check_links(links)
        return fast.force(links, self.beta, self.c1)

    def at(self, beta: float) -> "GaugeAction":
        """The same action at another coupling."""
        return replace(self, beta=float(_coupling(beta)))

    @property
    def name(self) -> str:
        """Name in RECTANGLE_COEFFICIENTS, or "c1=NUMBER"."""
        return name_of(self.c1)


@dataclass(frozen=True)
class U1Action(Noiseless):
    """S = -beta sum_P cos x_P of angles [Nb, 2, Nt, Nx], two dimensions (see u1.py); no constant.

    Raises ActionError for a beta that is not a finite number >= 0.
    """

    beta: float
    group: str = "u1"

    def __post_init__(self):
        object.__setattr__(self, "beta", _coupling(self.beta))

    def __call__(self, angles: Tensor) -> Tensor:
        """S of each configuration, float64 [Nb]; LayoutError for another shape."""
        u1.check_angles(angles)
        return -self.beta * torch.cos(u1.plaquette_angles(angles)).sum((1, 2))

    def force(self, angles: Tensor) -> Tensor:
        """dS/dx_mu = beta sum_P sin x_P dx_P/dx_mu, like angles."""
        return self.beta * u1.curl(torch.sin(u1.plaquette_angles(angles)))

    def at(self, beta: float) -> "U1Action":
        """The same action at another coupling."""
        return replace(self, beta=float(_coupling(beta)))


def gauge_action(name: str, beta: float) -> GaugeAction:
    """The action called "wilson", "symanzik", "iwasaki", "dbw2" or "c1=NUMBER"; ActionError else.
    """
    return GaugeAction(float(_coupling(beta)), coefficient(name))


def cold_start(lattice: tuple[int, int, int, int], chains: int = 1) -> Tensor:
    """Unit links on (Nt, Nx, Ny, Nz), [chains,4,Nt,Nx,Ny,Nz,3,3]."""
    shape = (chains, 4, *lattice)
    return torch.eye(3, dtype=torch.complex128).expand(*shape, 3, 3).clone()


def hot_start(
    lattice: tuple[int, int, int, int], generator: torch.Generator, chains: int = 1
) -> Tensor:
    """Haar-random links on (Nt, Nx, Ny, Nz), [chains,4,Nt,Nx,Ny,Nz,3,3]."""
    return su3.random_group((chains, 4, *lattice), generator)


def normalised_change(before: Tensor, after: Tensor) -> Tensor:
    """Mean squared link change (1/4V) sum |U' - U|^2 (Frobenius), [Nb]."""
    if part.of(before) is not None:  # a sum that no cut changes
        return fast.kinetic(after - before) / (4 * layout.volume(before))
    difference = torch.view_as_real(after - before).square().flatten(1).sum(1)
    return difference / (4 * layout.volume(before))


def _coupling(beta: Any) -> Any:
    """A beta as it is, if formulas take it so, else as a float; ActionError for what is none."""
    if not 0 <= real(beta) < math.inf:
        raise ActionError(f"beta: expected a finite number >= 0, found {beta!r}")
    return beta if isinstance(beta, int | float | Tensor) else float(beta)
