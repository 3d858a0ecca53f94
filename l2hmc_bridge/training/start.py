"""The start of a training run: the best known integrator, networks zero or drawn, an optimiser."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from l2hmc_bridge import models
from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.errors import ConfigError, LayoutError
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.elementwise import Elementwise
from l2hmc_bridge.systems.table import SYSTEMS
from l2hmc_bridge.training import gauss_newton
from l2hmc_bridge.training.config import Config, Stage


@dataclass
class Progress:
    """One line of the history."""

    iteration: int
    loss: float
    acceptance: float
    rms_log_ratio: float
    gradient_norm: float
    beta: float
    seconds: float
    charge_change: float | None = None  # E[A |Q' - Q|] of U(1), whole charges
    step_size: float | None = None  # mean drift
    observable: float | None = None  # mean of the chains after the iteration: the plaquette


@dataclass
class Trainer:
    """A run: kernel, optimiser, one group of chains per beta, the history so far."""

    config: Config
    kernel: L2HMC
    optimiser: torch.optim.Adam
    chains: dict[int, Tensor] = field(default_factory=dict)  # beta index: links
    iteration: int = 0
    failures: int = 0
    rejected: int = 0
    damping: float = gauss_newton.DAMPING
    history: list[Progress] = field(default_factory=list)
    inputs: tuple[str, ...] | None = None  # names of the configurations it began with, if known

    @property
    def device(self) -> torch.device:
        """Where kernel and chains are."""
        return self.kernel.steps.length.device

    @property
    def iterations(self) -> int:
        """Of all stages together."""
        return sum(stage.iterations for stage in self.config.stages)

    def stage(self) -> tuple[int, Stage, int]:
        """(number, stage, iterations done before it) of the present iteration."""
        before = 0
        for number, stage in enumerate(self.config.stages):
            if self.iteration < before + stage.iterations:
                return number, stage, before
            before += stage.iterations
        raise ConfigError(f"iteration: expected less than {before}, found {self.iteration}")


def start(config: Config, device: torch.device | str = "cpu") -> Trainer:
    """A fresh run: the best known integrator, all networks zero; it will train on `device`."""
    model = config.model
    kernel = architecture.untrained(
        config.action_at(config.betas[0]), model.integrator, model.step_size,
        model.steps, model.composition, model.kick_network, model.drift_network, model.mixing,
        model.repeats, SYSTEMS[config.group].shape(config.stages[0].lattice),
        model.transformation,
    )
    if kernel.transformation is not None:
        kernel.transformation.start_at(model.rho_start)
    _check_stages(kernel, config)
    _seed_first_layers(kernel, config.seed)
    _seed_translations(kernel, model.drift_start, config.seed)
    if model.start_from:
        _take_steps(kernel, model.start_from)
    for module in architecture.modules(kernel).values():
        module.to(device)
    kernel.steps.length.requires_grad_(model.train_length)
    for parameter in (kernel.steps.kicks, kernel.steps.drifts, kernel.steps.displacements):
        parameter.requires_grad_(model.train_steps)
    groups = [{"params": _trainable(parts), "of": name} for name, parts in (
        ("steps", (kernel.steps, kernel.mixing)),
        ("networks", (kernel.kick_network, kernel.drift_network, kernel.transformation)),
    )]
    if not any(group["params"] for group in groups):
        raise ConfigError("model: expected something to train, found train_steps = false, no nets")
    groups = [group for group in groups if group["params"]]
    return Trainer(config, kernel, torch.optim.Adam(groups, lr=config.learning_rate))


def _check_stages(kernel: L2HMC, config: Config) -> None:
    """ConfigError before anything runs where a later stage has a lattice that no network fits."""
    for number, stage in enumerate(config.stages):
        field = torch.empty(1, *SYSTEMS[config.group].shape(stage.lattice), device="meta")
        for network in architecture.networks(kernel).values():
            try:
                network.check(field)
            except LayoutError as error:
                raise ConfigError(f"stage.lattice of stage {number + 1}: {error}") from error


def _seed_translations(kernel: L2HMC, size: float, seed: int) -> None:
    """Translations t of the drift network uniform in +-pi `size`: a hot start of what it learns."""
    network = kernel.drift_network
    if size == 0:
        return
    if not isinstance(network, Elementwise) or "t" not in network.outputs:
        raise ConfigError("model.drift_start: expected 0 without a drift network that has an "
                          f"output t, found {size}")
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        place = network.outputs.index("t")
        network.weight[:, place].uniform_(-math.pi * size, math.pi * size, generator=generator)


def _take_steps(kernel: L2HMC, name: str) -> None:
    """The step sizes of a bundle in place of the integrator's; ConfigError if they differ."""
    path = models.located(name)
    given = architecture.tensors(bundle.load(path).kernel)
    steps = {k: v for k, v in given.items() if k.startswith("steps.")}
    architecture.load_tensors(kernel, {**architecture.tensors(kernel), **steps})


def _trainable(parts) -> list[torch.nn.Parameter]:
    return [p for part in parts if part is not None for p in part.parameters() if p.requires_grad]


def _seed_first_layers(kernel: L2HMC, seed: int) -> None:
    """First layers from the seed (uniform, +-1/sqrt(inputs)); last layers stay zero."""
    generator = torch.Generator().manual_seed(seed)
    for part in architecture.networks(kernel).values():
        with torch.no_grad():
            for parameter in part.first.parameters():
                bound = part.inputs**-0.5
                parameter.uniform_(-bound, bound, generator=generator)
