"""Training by backpropagation through whole proposals; reproducible from one seed.

Every random number comes from (seed, group of chains, iteration), so a run that was stopped goes on
from its checkpoint exactly as if it had not been. The chains move by the exact step itself, so
they stay in equilibrium whatever the weights are.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from l2hmc_bridge.errors import ConfigError, StreamError
from l2hmc_bridge.fields import u1
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.draws import TRAJECTORIES
from l2hmc_bridge.sampling.hmc import HMC, thermalise
from l2hmc_bridge.systems.groups import GROUPS
from l2hmc_bridge.systems.table import SYSTEMS
from l2hmc_bridge.training import gauss_newton, losses, parallel, precision
from l2hmc_bridge.training.config import Config, Stage, gamma, learning_rate
from l2hmc_bridge.training.start import Progress, Trainer, start

__all__ = ["Progress", "Trainer", "iterate", "run", "start", "thermalised"]

PATIENCE = 20  # so many iterations in a row without a finite gradient end the run
LOWEST_ACCEPTANCE, REJECTIONS = 0.01, 300  # so many in a row below this acceptance do, too


def iterate(trainer: Trainer, links: dict[int, Tensor] | None = None) -> Progress:
    """One iteration of the present stage's method.

    `links` are configurations to start from, by beta index of the first stage, in place of a
    thermalisation, in every stage on their lattice and with these betas.
    Raises StreamError when PATIENCE iterations in a row had no finite gradient.
    """
    _, stage, before = trainer.stage()
    if trainer.iteration == before:
        trainer.chains, trainer.damping = {}, gauss_newton.DAMPING
    clock = time.perf_counter()
    method = _gauss_newton if stage.method == "gauss_newton" else _backpropagate
    row = method(trainer, stage, before, links or {})
    row = replace(row, seconds=time.perf_counter() - clock)
    trainer.iteration += 1
    trainer.history.append(row)
    return row


def _backpropagate(trainer: Trainer, stage: Stage, before: int, links) -> Progress:
    """Propose, differentiate, step the optimiser, accept or reject."""
    config, betas = trainer.config, trainer.config.betas_of(stage)
    index = trainer.iteration % len(betas)
    _set_rates(trainer, stage, before)
    beta = betas[index] * gamma(config, trainer.iteration)
    kernel = replace(trainer.kernel, action=trainer.kernel.action.at(beta),
                     scale=stage.step_scale, repeats=stage.repeats)
    generator = parallel.share(
        markov.trajectory_generator(config.seed, index, trainer.iteration), stage.chains)
    single = config.precision == "single"
    trainer.optimiser.zero_grad()
    working = precision.single(kernel) if single else kernel
    with torch.no_grad():
        chains = _moved(trainer, stage, index, _chains(trainer, stage, index, before, links),
                        kernel.action)
        state = working.init(chains.to(torch.complex64) if single else chains)
    proposal, info = markov.propose(working, state, generator)
    loss = losses.mixture(config.loss, config.group)(state, proposal, info)
    loss.backward()
    if single:
        precision.hand_back(working, kernel)
    norm = _optimise(trainer, loss)
    with torch.no_grad():
        uniform = markov.draw_uniform(len(state.links), generator)
        new, accepted = markov.metropolis(state, proposal, info.log_ratio, uniform)
        trainer.chains[index] = (
            precision.kept(chains, new.links, accepted, GROUPS[config.group].project)
            if single else new.links.detach())
        chance = losses.acceptance(info)
        return Progress(
            trainer.iteration, float(parallel.mean(loss.detach())),
            float(parallel.mean(chance.mean())),
            float(parallel.mean(info.log_ratio.square().mean()).sqrt()), norm, beta, 0.0,
            _charge_change(config, chance, state.links, proposal.links),
            float(kernel.effective()[1].mean()), _observed(trainer, index),
        )


def _set_rates(trainer: Trainer, stage: Stage, before: int) -> None:
    config = trainer.config
    for group in trainer.optimiser.param_groups:
        rate = learning_rate(config, trainer.iteration - before, stage.iterations)
        rate *= config.step_rate if group["of"] == "steps" else 1.0
        group["lr"] = rate if stage.train in ("all", group["of"]) else 0.0


def _gauss_newton(trainer: Trainer, stage: Stage, before: int, links) -> Progress:
    """One Levenberg-Marquardt iteration on a sample that is fixed for the stage, all betas."""
    config, betas = trainer.config, trainer.config.betas_of(stage)
    if parallel.size() > 1:
        raise ConfigError("stage.method: expected adam with several processes, found gauss_newton")
    samples = [
        gauss_newton.draw(_chains(trainer, stage, index, before, links), beta,
                          markov.trajectory_generator(config.seed, index, before),
                          GROUPS[config.group])
        for index, beta in enumerate(betas)
    ]
    whole = trainer.kernel
    kernel = replace(whole, scale=stage.step_scale, repeats=stage.repeats,
                     kick_network=_unless_zero(whole.kick_network),
                     drift_network=_unless_zero(whole.drift_network))
    fit = gauss_newton.iterate(kernel, samples, trainer.damping)
    trainer.damping = fit.damping
    rms = math.sqrt(fit.loss)
    return Progress(trainer.iteration, math.log(fit.loss), math.erfc(rms / math.sqrt(8)), rms,
                    0.0, sum(betas) / len(betas), 0.0,
                    observable=sum(map(partial(_observed, trainer), trainer.chains)) / len(betas))


def _observed(trainer: Trainer, index: int) -> float:
    """What the gate compares, too, averaged over the chains of one beta."""
    chains = trainer.chains[index]
    return float(parallel.mean(SYSTEMS[trainer.config.group].observable(chains).mean()))


def _chains(trainer: Trainer, stage: Stage, index: int, before: int, links) -> Tensor:
    """The chains of one beta, thermalised (or taken from `links`) when a stage begins."""
    if index not in trainer.chains:
        config, (*xyz, t) = trainer.config, stage.lattice
        fitting = config.betas_of(stage) == config.betas_of(config.stages[0])
        given = links.get(index) if fitting else None
        if given is None or tuple(given.shape[2:6]) != (t, *xyz):
            whole = thermalised(trainer.config, stage, index, before, device=trainer.device)
        else:
            whole = given[torch.arange(stage.chains) % len(given)].to(trainer.device)
        trainer.chains[index] = whole[parallel.part(stage.chains)]
    return trainer.chains[index]


def thermalised(config: Config, stage: Stage, index: int, iteration: int,
                seed: int | None = None, device: torch.device | str = "cpu") -> Tensor:
    """Chains of one beta on a stage's lattice, from an ordered field by HMC of unit length."""
    beta = config.betas_of(stage)[index] * gamma(config, iteration)
    hmc = HMC(config.action_at(beta), 1 / 8, 8, "omf2")
    base = config.seed if seed is None else seed
    start = SYSTEMS[config.group].cold(stage.lattice, stage.chains).to(device)
    # Trajectory numbers from the far end, round and round: never those of training itself.
    return thermalise(hmc, start, stage.thermalisation,
                      lambda n: markov.trajectory_generator(
                          base, index, (-1 - iteration * 1024 - n) % TRAJECTORIES))


def _moved(trainer: Trainer, stage: Stage, index: int, links: Tensor, action) -> Tensor:
    """The chains after `between` trajectories of HMC, which keep them in equilibrium at first."""
    if not stage.between:
        return links
    hmc = HMC(action, 1 / 8, 4, "omf2")
    generator = parallel.share(
        markov.trajectory_generator(trainer.config.seed, 512 + index, trainer.iteration),
        stage.chains)
    state = hmc.init(links)
    for _ in range(stage.between):
        state, _ = hmc.step(state, generator)
    return state.links


def run(trainer: Trainer, checkpoint: Path, save: Callable[[Trainer, Path], None],
        report: Callable[[Progress], None], stopping: Callable[[], bool] = lambda: False,
        links: dict[int, Tensor] | None = None) -> bool:
    """Iterate to the end, saving checkpoints by `save` (training_checkpoint.save).

    False when `stopping` asked to stop before the end.
    """
    while trainer.iteration < trainer.iterations:
        if parallel.any_of(stopping()):
            if not (trainer.rejected and checkpoint.exists()):  # the last good one is kept
                save(trainer, checkpoint)
            return False
        row = iterate(trainer, links)
        report(row)
        trainer.rejected = 0 if row.acceptance >= LOWEST_ACCEPTANCE else trainer.rejected + 1
        if trainer.rejected >= REJECTIONS:
            raise StreamError(
                f"training: expected acceptances above {LOWEST_ACCEPTANCE:.0%}, found none in "
                f"{REJECTIONS} iterations; lower step_size or learning_rate, or begin the "
                "annealing at a smaller gamma; the last good checkpoint is kept"
            )
        if trainer.iteration % trainer.config.checkpoint_every == 0 and not trainer.rejected:
            save(trainer, checkpoint)
    save(trainer, checkpoint)
    return True


def _optimise(trainer: Trainer, loss: Tensor) -> float:
    """Clip and step; a gradient that is not finite is skipped and counted."""
    parameters = [p for group in trainer.optimiser.param_groups for p in group["params"]]
    parallel.average_gradients(parameters)
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, trainer.config.clip))
    if math.isfinite(norm) and not parallel.any_of(not math.isfinite(float(loss.detach()))):
        trainer.optimiser.step()
        trainer.failures = 0
        return norm
    trainer.failures += 1
    if trainer.failures >= PATIENCE:
        raise StreamError(
            f"training: expected finite gradients, found none in {PATIENCE} iterations; "
            "lower learning_rate or step_size, the last checkpoint is kept"
        )
    return norm


def _charge_change(config: Config, chance: Tensor, before: Tensor, after: Tensor
                   ) -> float | None:
    if config.group != "u1":
        return None
    jump = u1.topological_charge(after) - u1.topological_charge(before)
    return float(parallel.mean((chance * jump.abs()).mean()))


def _unless_zero(network):
    """None for a network whose last layer is still zero: the step is the same without it."""
    untouched = network is None or not (network.weight.any() or network.bias.any())
    return None if untouched else network
