"""What the Triton kernels are given, which of them are trusted, and who serves a field."""

import inspect
import subprocess
import sys

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.gpu import functions as gpu, graphs, launch
from l2hmc_bridge.fields import part as parts, su3
from l2hmc_bridge.l2hmc.engines import engine_for
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.l2hmc.planar import PlanarEngine
from l2hmc_bridge.networks.covariant import Steps
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.systems.actions import GaugeAction


class Elsewhere:
    """Stands in for a field on a GPU."""

    def __init__(self, device="cuda", dtype=torch.complex128, requires_grad=False):
        self.device, self.dtype = torch.device(device), dtype
        self.requires_grad, self.ndim = requires_grad, 8
        self.is_cpu = self.device.type == "cpu"


@pytest.mark.parametrize("there, served", [(True, gpu), (False, reference)])
def test_fields_on_a_gpu(monkeypatch, there, served):
    monkeypatch.setattr(fast, "Tensor", Elsewhere)
    monkeypatch.setattr(gpu, "triton_available", lambda: there)
    assert fast.backend(Elsewhere()) is served
    assert fast.backend(Elsewhere(dtype=torch.complex64)) is served
    assert fast.backend(Elsewhere(), Elsewhere("cpu")) is reference
    assert fast.backend(Elsewhere(), Elsewhere(dtype=torch.complex64)) is reference
    assert fast.backend(Elsewhere("cuda:0"), Elsewhere("cuda:1")) is reference
    assert fast.backend(Elsewhere(requires_grad=True)) is (
        fast.BACKENDS["cuda with gradients"] if there else reference)
    with fast.using("torch"):
        assert fast.backend(Elsewhere()) is reference


def test_a_function_that_disagrees_is_left_to_torch(monkeypatch, caplog, generator):
    launch.trusted.cache_clear()
    links = random_links(generator)
    calls = []

    def kinetic(field):
        calls.append(field)
        return 2 * reference.kinetic(field)

    def staple_trace(field):
        calls.append(field)
        return reference.staple_trace(field)

    def clover(field, traceless=True):
        raise RuntimeError("no compiler for this GPU")

    with caplog.at_level("WARNING"):
        assert torch.equal(launch.served(kinetic)(links), reference.kinetic(links))
        assert torch.equal(launch.served(clover)(links), reference.clover(links))
    assert "kernel differs by 1.0e+00" in caplog.text and "no compiler" in caplog.text
    assert len(calls) == 1  # the trial alone
    served = launch.served(staple_trace)
    served(links), served(links)
    assert len(calls) == 4  # trial, and twice
    launch.trusted.cache_clear()


def test_every_function_has_a_trial_that_can_fail(generator):
    """Each trial gives a tensor of every function, and other numbers for other fields."""
    fields = [(random_links(generator), su3.random_algebra((2, 4, 2, 3, 4, 5), generator))
              for _ in range(2)]
    public = {name for name, one in vars(gpu).items()
              if hasattr(one, "__wrapped__") and hasattr(reference, name)}
    assert public | {"trajectory"} == set(launch.TRIALS)
    for name, trial in launch.TRIALS.items():
        one, other = (trial(getattr(reference, name), *pair) for pair in fields)
        assert float((one - other).abs().max()) > 1e-3, name


def random_links(generator):
    return su3.random_group((2, 4, 2, 3, 4, 5), generator)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("dtype", (torch.complex128, torch.complex64), ids=str)
def test_a_card_agrees_with_main_memory(dtype, generator):
    links = su3.random_group((2, 4, 4, 6, 2, 3), generator).to(dtype)
    momenta = su3.random_algebra((2, 4, 4, 6, 2, 3), generator).to(dtype)
    for name, trial in launch.TRIALS.items():
        served = inspect.unwrap(getattr(gpu, name))
        assert launch.trusted(name, served, torch.device("cuda:0"), dtype)
        found = trial(getattr(gpu, name), links.cuda(), momenta.cuda()).cpu()
        expected = trial(getattr(reference, name), links, momenta)
        assert float((found - expected).abs().max()) < launch.AGREEMENT[dtype] * float(
            expected.abs().max())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("shape", [(1, 4, 4, 4, 4, 4, 3, 3), (3, 4, 2, 3, 5, 2, 3, 3)], ids=str)
def test_steps_without_networks_on_a_gpu(shape, generator):
    links = su3.random_group(shape[:-2], generator)
    momenta = su3.random_algebra(shape[:-2], generator)
    kernel = L2HMC(GaugeAction(5.7), Steps(schedule("force_gradient", 0.2, 2)), repeats=2)
    with torch.no_grad():
        assert engine_for(kernel, links.cuda()) is PlanarEngine
        expected = kernel.trajectory(kernel.init(links), momenta, generator)
        found = [kernel.trajectory(kernel.init(links.cuda()), momenta.cuda(), generator)
                 for _ in range(2)]
    for name in ("links", "momenta", "force"):
        one, other, wanted = (getattr(end, name) for end in (*found, expected))
        assert float((one.cpu() - wanted).abs().max()) < 1e-11
        assert torch.equal(one, other)  # the same bits in every run


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("exactly", (False, True))
def test_graphs_on_a_gpu(exactly, generator, monkeypatch):
    """Replays have the bits of launches, for fields they were not captured with."""
    monkeypatch.setattr(graphs, "GRAPHS", graphs.Graphs(graphs.Cuda()))
    plan = schedule("force_gradient", 0.2, 2)

    def call(links, momenta):
        with parts.exactly(links) if exactly else parts.holding(None):
            force = gpu.force(links, 5.7, -0.3)
            end = gpu.trajectory(links, momenta, force, 5.7, -0.3, *plan)
            return *end, *gpu.flow_measured(links, ((0.0, 0), (0.05, 3)), -0.3)[1]

    for _ in range(5):
        links, momenta = (draw((2, 4, 2, 3, 4, 5), generator).cuda()
                          for draw in (su3.random_group, su3.random_algebra))
        found = call(links, momenta)
        with graphs.one_by_one():
            assert graphs.same_bits(found, call(links, momenta))
    assert graphs.GRAPHS.on and len(graphs.GRAPHS._graphs) == 2


FAILS = """
import torch
from l2hmc_bridge.fast.gpu import graphs
made, links = graphs.Graphs(graphs.Cuda()), torch.ones(1, 4, 2, 2, 2, 2, 3, 3, device="cuda")
def reads(settings, links):
    return (links * float(links.max()),)
for number in range(3):
    given = links + number
    assert torch.equal(made.run(reads, None, given)[0], given * (number + 1))
assert not made.on and torch.cuda.current_stream() == torch.cuda.default_stream()
assert float((links @ links).sum()) == links.numel() * 3
"""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_capture_that_fails_on_a_gpu():
    """One that reads a number; what comes after it is right."""
    done = subprocess.run([sys.executable, "-c", FAILS], capture_output=True, text=True)
    assert done.returncode == 0 and "no graph of it could be captured" in done.stderr, done.stderr
