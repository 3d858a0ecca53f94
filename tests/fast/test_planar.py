"""Fields with their numbers apart: in Triton's interpreter against torch, and as a model."""

import json
import subprocess
import sys

import pytest

from benchmarks.kernels import gpu_model
from benchmarks.kernels.modelled import gradients
from tests.support.interpreter import environment, interpreted, needs_triton

START = """
import torch
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.gpu import planar
BOUNDS = {torch.complex128: 2e-14, torch.complex64: 5e-6}
SHAPES = ((1, 4, 2, 3, 1, 5), (1, 4, 4, 2, 3, 2), (2, 4, 3, 3, 2, 2), (3, 4, 2, 2, 2, 2))

def fields(shape, dtype=torch.complex128):
    generator = torch.Generator().manual_seed(sum(shape))
    return (su3.random_group(shape, generator).to(dtype),
            su3.random_algebra(shape, generator).to(dtype))

def check(name, found, expected, factor=1.0):
    difference = float((found - expected).abs().max() / expected.abs().max())
    print(name, found.dtype, tuple(found.shape), difference)
    if not difference < factor * BOUNDS[found.dtype]:
        raise SystemExit(name)
"""

FORCES = START + """
for dtype in BOUNDS:
    for shape in SHAPES:
        u, p = fields(shape, dtype)
        for field, numbers in ((u, planar.LINKS), (p, planar.ALGEBRA)):
            apart = planar.enter(field.mH.contiguous().mH, numbers)
            assert apart.isfinite().all()
            check("there and back", planar.leave(apart, shape[2:6]), field)
        check("force", gpu.force(u, 5.7), reference.force(u, 5.7))
        at = planar.Moving(u, 5.7, momenta=p)
        at.drift(0.3)
        check("drift", planar.leave(at.links, shape[2:6]), reference.expm_multiply(p, u, 0.3))
u, p = fields(SHAPES[1])
if torch.equal(gpu.force(u, 5.7), gpu.force(u.roll(1, 3), 5.7)):
    raise SystemExit("another field, the same force")
"""

RECTANGLES = START + """
for shape, c1 in zip(SHAPES, (-1 / 12, -0.331, -1.4088, 0.1)):
    u, _ = fields(shape)
    check(f"c1 = {c1}", gpu.force(u, 5.7, c1), reference.force(u, 5.7, c1))
u, p = fields(SHAPES[0], torch.complex64)
check("single", gpu.force(u, 5.7, -0.331), reference.force(u, 5.7, -0.331))
"""

TRAJECTORIES = START + """
plans = {"plain": ((0.1, 0.3, 0.2), (0.2, 0.1), (0.0, 0.0, 0.0)),
         "displaced": ((0.1, 0.3, 0.2), (0.2, 0.1), (0.02, 0.0, 0.01))}
for name, plan in plans.items():
    for dtype, c1 in ((torch.complex128, 0.0), (torch.complex64, 0.0), (torch.complex128, -0.3)):
        u, p = fields(SHAPES[3], dtype)
        before = u.clone(), p.clone()
        force = reference.force(u, 5.7, c1)
        for found, expected in zip(gpu.trajectory(u, p, force, 5.7, c1, *plan),
                                   reference.trajectory(u, p, force, 5.7, c1, *plan)):
            check(name, found, expected, 10)
        assert torch.equal(u, before[0]) and torch.equal(p, before[1])
u, _ = fields(SHAPES[0])
for c1 in (0.0, -1 / 12):
    check("flow", gpu.flow(u, 0.05, 2, c1), reference.flow(u, 0.05, 2, c1))
"""

STEPS = START + """
from l2hmc_bridge import fast
from l2hmc_bridge.l2hmc.engines import engine_for
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.l2hmc.planar import PlanarEngine
from l2hmc_bridge.l2hmc.reference import TorchEngine
from l2hmc_bridge.networks.covariant import KickNetwork, MomentumMixing, Steps
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.systems.actions import GaugeAction

fast.backend = lambda *_: reference if fast.choice() == "torch" else gpu
u, p = fields((2, 4, 2, 2, 2, 2))
generator = torch.Generator().manual_seed(1)
names = ("links", "momenta", "force")
torch.set_grad_enabled(False)

def both(kernel):
    action = kernel.action(u)
    state = State(u, action, kernel.action.force(u))
    found = kernel.trajectory(state, p, generator)
    generator.manual_seed(1)
    with fast.using("torch"):
        expected = kernel.trajectory(state, p, generator)
    generator.manual_seed(1)
    for name in names:
        check(f"{kernel.name} {name}", getattr(found, name), getattr(expected, name), 20)
    assert found.force_evaluations == expected.force_evaluations, found.force_evaluations
    assert torch.equal(found.log_det, expected.log_det)
    return state, found

wilson = GaugeAction(5.7)
for integrator, composition, repeats in (("omf2", "palindrome", 2), ("omf2", "direction", 1),
                                         ("force_gradient", "palindrome", 1)):
    kernel = L2HMC(wilson, Steps(schedule(integrator, 0.2, 1)), composition=composition,
                   repeats=repeats)
    assert engine_for(kernel, u) is PlanarEngine
    both(kernel)
back = kernel.trajectory(State(both(kernel)[1].links, None, None), -both(kernel)[1].momenta,
                         generator)
check("there and back", back.links, u, 50)
both(HMC(wilson, 0.2, 1, "force_gradient"))
both(L2HMC(GaugeAction(5.7, -0.331), Steps(schedule("leapfrog", 0.1, 1))))
with torch.enable_grad():
    assert engine_for(kernel, u) is TorchEngine
for part in ({"kick_network": KickNetwork(2)}, {"mixing": MomentumMixing()}):
    assert not PlanarEngine.serves(L2HMC(wilson, kernel.steps, **part), u)
with fast.using("torch"):
    assert engine_for(kernel, u) is TorchEngine
gpu.keeps = lambda links: False
assert engine_for(kernel, u) is TorchEngine
both(HMC(wilson, 0.2, 1, "leapfrog"))
"""


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("program", [FORCES, RECTANGLES, TRAJECTORIES, STEPS],
                         ids=("forces", "rectangles", "trajectories", "steps"))
def test_numbers_apart_in_the_interpreter(program):
    interpreted(program)


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ("80", "90"))
def test_kernels_compile_without_spills_and_are_written_down(architecture, tmp_path):
    path = tmp_path / "model.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kernels.gpu_model", "--architectures", architecture,
         "--json", str(path)], capture_output=True, text=True, timeout=3600,
        env=environment(TRITON_CACHE_DIR=str(tmp_path / "cache")))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(path.read_text())
    assert {(row["kernel"], row["precision"]) for row in rows} == {
        (name, precision) for name in gpu_model.WORK for precision in ("double", "single")}
    for row in rows:
        # Gradients are of what a whole plaquette holds; what trajectories run has more warps.
        most, least = (255, 8) if row["kernel"] in gradients.WORK else (168, 12)
        assert row["spilled"] == 0 and row["registers"] <= most, row
        assert row["warps"] >= least and row["architecture"] == int(architecture)
    assert "| kick and drift | double |" in path.with_suffix(".md").read_text()


def test_the_model_says_what_bounds_a_kernel():
    """Counts by hand: nineteen matrices of twelve numbers for each of four links, and so on."""
    force = gpu_model.modelled("force", "double", 90, 166, 0)
    assert force.cached == 4 * 19 * 12 * 8 and force.moved == 4 * (12 + 8) * 8
    assert force.warps == 12 and force.bound == "caches"
    assert force.ns == pytest.approx(1.30 * 12 / 18)  # of the plain kernel that reads 18 numbers
    drift = gpu_model.modelled("drift", "double", 90, 126, 0)
    assert drift.bound == "memory" and drift.ns == pytest.approx(1e9 * 4 * 32 * 8 / 4.16e12)
    assert drift.warps == 16 and gpu_model.modelled("drift", "single", 90, 71, 8).spilled == 8
