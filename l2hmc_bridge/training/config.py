"""A training configuration as frozen dataclasses; `read` makes one of a TOML file."""

import dataclasses
import math
from typing import Any

from l2hmc_bridge.systems import table as systems
from l2hmc_bridge.systems.actions import Action
from l2hmc_bridge.systems.coefficients import RECTANGLE_COEFFICIENTS


@dataclasses.dataclass(frozen=True)
class Model:
    """[model]: the untrained kernel, see architecture.untrained; steps are those of one pass."""

    integrator: str = "omf4"
    step_size: float = 0.5
    steps: int = 1
    composition: str = "palindrome"
    repeats: int = 1  # palindromes in a row; each stage has a number of its own
    kick_network: dict | None = None  # {hidden, loops}; U(1), vectors: see networks/elementwise.py
    drift_network: dict | None = None  # {hidden}; U(1), vectors: see networks/elementwise.py
    drift_start: float = 0.0  # translations of the drift network start uniform in +-pi times this
    mixing: bool = False
    transformation: dict | None = None  # {sweeps, hidden, bound}: SU(3), see networks/
    rho_start: float = 0.0  # of the transformation
    start_from: str = ""  # a shipped bundle's name, or a path: its step sizes are the start
    train_steps: bool = True
    train_length: bool = False  # False: the MD time of a trajectory is fixed


@dataclasses.dataclass(frozen=True)
class Stage:
    """[[stage]]: so many iterations on one lattice."""

    lattice: tuple[int, ...] = (4, 4, 4, 4)  # X,Y,Z,T; X,T for U(1); n for vectors of R^n
    iterations: int = 100
    chains: int = 8
    thermalisation: int = 60  # HMC trajectories of unit length from a cold start
    repeats: int = 1  # palindromes in a row while this stage trains
    step_scale: float = 1.0  # all steps times this during the stage
    method: str = "adam"  # or "gauss_newton": step sizes and mixing on the energy error
    between: int = 0  # HMC trajectories of the chains between two iterations of adam
    train: str = "all"  # what adam moves: "all", "steps" (with the mixing) or "networks"
    betas: tuple[float, ...] = ()  # of this stage, in place of those of the whole run


@dataclasses.dataclass(frozen=True)
class Config:
    """The whole file."""

    name: str
    action: str
    betas: tuple[float, ...]
    model: Model
    stages: tuple[Stage, ...]
    loss: dict[str, float]
    target: dict | None = None  # of action "mixture": means, variance, weights
    seed: int = 1
    learning_rate: float = 1e-2
    step_rate: float = 1.0  # learning rate of step sizes as a share of `learning_rate`
    schedule: str = "cosine"
    clip: float = 1.0
    annealing: tuple[float, ...] = (1.0,)  # gamma multiplies beta; ends at 1
    annealing_iterations: int = 0
    checkpoint_every: int = 50
    snapshots: tuple[int, ...] = ()  # iterations after which a bundle is left beside OUT
    precision: str = "double"  # "single": adam differentiates through fields in complex64
    keep: str = "better"  # "trained": the bundle holds what was trained even if the start is better
    validation_chains: int = 16

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, for the provenance of a bundle."""
        return dataclasses.asdict(self)

    def betas_of(self, stage: Stage) -> tuple[float, ...]:
        """The couplings that a stage trains at, one after the other."""
        return stage.betas or self.betas

    @property
    def group(self) -> str:
        """The group of the action."""
        return systems.group_named(self.action)

    def action_at(self, beta: float) -> Action:
        """The action of this configuration; ActionError for a target that is no mixture."""
        if self.group == "su3":
            return systems.action({"c1": RECTANGLE_COEFFICIENTS[self.action], "name": ""}, beta)
        return systems.action({"name": self.action, **(self.target or {})}, beta)


def learning_rate(config: Config, iteration: int, iterations: int) -> float:
    """Constant, or a half cosine down to a twentieth."""
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * (0.05 + 0.475 * (1 + math.cos(math.pi * iteration / iterations)))


def gamma(config: Config, iteration: int) -> float:
    """Annealing factor of beta: linear through `annealing`, 1 from `annealing_iterations` on."""
    points = config.annealing
    if iteration >= config.annealing_iterations or len(points) == 1:
        return points[-1]
    place = iteration / config.annealing_iterations * (len(points) - 1)
    left = int(place)
    return points[left] + (place - left) * (points[left + 1] - points[left])
