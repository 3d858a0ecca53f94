"""Training in single precision: gradients, master weights, chains on the group, what it leaves."""

import dataclasses

import pytest
import torch

from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fields import su3
from l2hmc_bridge.networks.dense import DenseDrift, DenseKick
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC, thermalise
from l2hmc_bridge.systems import actions
from l2hmc_bridge.training import (
    checkpoint as training_checkpoint,
    loop as training,
    losses,
    outcome as training_outcome,
    precision,
)
from l2hmc_bridge.training.read import parse
from tests.l2hmc.test_kernel import make_kernel, randomise
from tests.training.test_loop import config, same, weights

LATTICE = (4, 4, 4, 4)
needs_kernels = pytest.mark.skipif(library.library() is None,
                                   reason="energies of torch alone are in single precision")


@pytest.fixture(scope="module")
def links():
    """Three chains in equilibrium at beta = 5.8."""
    hmc = HMC(actions.GaugeAction(5.8), 1 / 8, 8, "omf2")
    return thermalise(hmc, actions.cold_start(LATTICE, 3), 40,
                      lambda n: markov.trajectory_generator(1, 0, n))


def parameters(kernel):
    parts = (kernel.steps, kernel.kick_network, kernel.drift_network, kernel.mixing)
    return [p for part in parts if part is not None for p in part.parameters()]


def gradients(kernel, links, name, single):
    """d loss / d parameters of one proposal, and its log ratio."""
    for p in parameters(kernel):
        p.grad = None
    working = precision.single(kernel) if single else kernel
    state = working.init(links.to(torch.complex64) if single else links)
    proposal, info = markov.propose(working, state, markov.trajectory_generator(1, 0, 0))
    assert proposal.links.dtype == state.links.dtype and info.log_ratio.dtype == torch.float64
    losses.LOSSES[name](state, proposal, info).backward()
    if single:
        precision.hand_back(working, kernel)
    assert all(p.grad is None or p.grad.dtype == torch.float64 for p in parameters(kernel))
    found = [p.grad.flatten() for p in parameters(kernel) if p.grad is not None]
    return torch.cat(found), info.log_ratio.detach()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ("steps", "kick", "drift", "all"))
@pytest.mark.parametrize("name", losses.LOSSES)
def test_gradients_agree_with_double_precision(name, kind, links, generator):
    kernel = make_kernel(kind, None, "omf2", steps=2, step=0.1)
    randomise(kernel, generator, 0.05)
    (found, ratio), (expected, exact) = (gradients(kernel, links, name, s) for s in (True, False))
    assert float((ratio - exact).abs().max()) < 5e-4
    assert float((found - expected).norm() / expected.norm()) < 3e-4


@needs_kernels
def test_gradients_of_dense_networks_agree(links, generator):
    kernel = make_kernel("steps", None, "omf2", steps=1, step=0.1)
    shape, passes = (4, *LATTICE), (len(kernel.steps.kicks), len(kernel.steps.drifts))
    kernel = dataclasses.replace(kernel, kick_network=DenseKick(passes[0], shape, 4),
                              drift_network=DenseDrift(passes[1], shape, 4))
    with torch.no_grad():
        for network in (kernel.kick_network, kernel.drift_network):
            network.weight.copy_(0.02 * torch.randn(network.weight.shape, generator=generator,
                                                    dtype=torch.float64))
    found, expected = (gradients(kernel, links, "link_distance", s)[0] for s in (True, False))
    assert float((found - expected).norm() / expected.norm()) < 3e-4


@needs_kernels
@pytest.mark.parametrize("kind", ("steps", "kick", "drift", "mixing", "all"))
def test_trajectories_without_gradients_agree(kind, links, generator):
    """Compiled trajectories in both precisions; weights may be float64 or float32 in either."""
    kernel = make_kernel(kind, None, "omf2", steps=2, step=0.1)
    randomise(kernel, generator, 0.05)
    small = links.to(torch.complex64)
    with torch.no_grad():
        (end, info), *others = (
            markov.propose(one, one.init(start), markov.trajectory_generator(1, 0, 0))
            for one, start in ((kernel, links), (kernel, small),
                               (precision.single(kernel), small)))
    for other, told in others:
        assert other.links.dtype == torch.complex64 and told.log_ratio.dtype == torch.float64
        assert float((other.links - end.links).abs().max()) < 1e-4
        assert float((told.log_ratio - info.log_ratio).abs().max()) < 1e-3


def test_the_kernel_itself_is_left_alone(generator):
    kernel = make_kernel("all", None, "omf2")
    randomise(kernel, generator, 0.1)
    lowered = precision.single(kernel)
    assert all(p.dtype == torch.float64 for p in parameters(kernel))
    assert lowered.steps is kernel.steps and lowered.mixing is kernel.mixing
    low = lowered.kick_network.weight
    assert low.dtype == torch.float32
    assert torch.equal(low.double(), kernel.kick_network.weight.float().double())


def test_accepted_chains_return_to_the_group_and_others_stay(generator):
    before = su3.random_group((3, 4, 2, 2, 2, 2), generator)
    after = su3.random_group(before.shape[:-2], generator).to(torch.complex64)
    accepted = torch.tensor([True, False, True])
    chains = precision.kept(before, after, accepted, su3.project_group)
    assert torch.equal(chains[1], before[1]) and chains.dtype == torch.complex128
    assert float(su3.unitarity_defect(chains).max()) < 1e-14
    assert float((chains - after)[accepted].abs().max()) < 1e-6


@pytest.mark.slow
def test_a_run_in_single_precision_is_like_one_in_double(tmp_path):
    runs = {}
    for name in ("double", "single", "single"):
        trainer = training.start(config(precision=name))
        rows = [training.iterate(trainer) for _ in range(4)]
        if name in runs:
            assert same(weights(trainer), weights(runs[name][0]))
        runs[name] = trainer, rows
    (one, rows), (other, others) = runs["single"], runs["double"]
    for chains in one.chains.values():
        assert chains.dtype == torch.complex128
        assert float(su3.unitarity_defect(chains).max()) < 1e-13
    for mine, exact in zip(rows, others, strict=True):
        assert mine.loss == pytest.approx(exact.loss, abs=1e-2)
        assert mine.gradient_norm == pytest.approx(exact.gradient_norm, rel=1e-2)
        assert mine.gradient_norm != exact.gradient_norm
    for name, value in weights(one).items():
        assert value.dtype == torch.float64
        assert torch.allclose(value, weights(other)[name], atol=1e-3)
    training_outcome.finish(one, tmp_path / "one.safetensors", {})
    kept = bundle.load(tmp_path / "one.safetensors")
    assert kept.meta["provenance"]["config"]["precision"] == "single"
    assert all(value.dtype == torch.float64 for value in weights(one).values())


@pytest.mark.slow
def test_resume_in_single_precision(tmp_path):
    settings = config(precision="single")
    whole, first = training.start(settings), training.start(settings)
    for _ in range(4):
        training.iterate(whole)
    for _ in range(2):
        training.iterate(first)
    training_checkpoint.save(first, tmp_path / "run")
    second = training_checkpoint.load(settings, tmp_path / "run")
    for _ in range(2):
        training.iterate(second)
    assert same(weights(whole), weights(second))
    assert all(torch.equal(whole.chains[k], second.chains[k]) for k in whole.chains)


def test_the_key_is_checked():
    assert config().precision == "double"
    with pytest.raises(ConfigError, match="precision: expected one of double, single"):
        config(precision="half")
    u1 = {"name": "a", "action": "u1", "betas": [2.0], "loss": {"charge": 1.0},
          "stage": [{"lattice": [8, 8]}], "precision": "single"}
    with pytest.raises(ConfigError, match="precision: expected one of double, found 'single'"):
        parse(u1)
