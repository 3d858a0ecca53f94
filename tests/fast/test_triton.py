"""The Triton kernels themselves: in the interpreter against torch, and compiled for a GPU."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import torch

INTERPRETED = """
import torch
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.gpu import functions as gpu
cases = {
    "force": lambda m: m.force(u.mH.contiguous().mH, 5.7),
    "rectangles": lambda m: m.force(one, 5.7, -0.331),
    "staples": lambda m: m.staples(one),
    "traces": lambda m: m.staple_trace(one),
    "square": lambda m: m.loop_square(one),
    "action": lambda m: m.action(one, 5.7, -0.331),
    "plaquettes": lambda m: m.plaquettes(u),
    "exponential": lambda m: m.expm_multiply(p, u, 0.3),
    "steps": lambda m: m.expm_multiply(p, u, torch.tensor([0.2, -3.0]).to(p.real.dtype).view(
        -1, 1, 1, 1, 1, 1, 1, 1)),
    "large": lambda m: m.expm_multiply(p[0, 0], u[0, 0], -7.0),
    "kinetic": lambda m: m.kinetic(p),
    "laplacian": lambda m: m.laplacian(u, p),
    "transverse": lambda m: m.laplacian(one, p[:1], transverse=True),
    "direction": lambda m: m.transport_laplacian(u, p[:, 2], 2),
    "frozen": lambda m: m.frozen_features(u, p[:, 3], 3)[0],
    "frozen laplacian": lambda m: m.frozen_features(one, p[:1, 3], 3)[1],
    "clover": lambda m: m.clover(u, traceless=False),
    "density": lambda m: m.charge_density(one, ((2, 1, -0.7),)),
    "flow": lambda m: m.flow(one, 0.05),
}
single = ("traces", "plaquettes", "large", "kinetic", "frozen", "clover")
for dtype, names, bound in ((torch.complex128, cases, 1e-14), (torch.complex64, single, 2e-6)):
    generator = torch.Generator().manual_seed(3)
    u = su3.random_group((2, 4, 2, 3, 1, 5), generator).to(dtype)
    p = su3.random_algebra((2, 4, 2, 3, 1, 5), generator).to(dtype)
    one = u[:1]
    for name in names:
        expected, found = cases[name](reference), cases[name](gpu)
        difference = float((found - expected).abs().max() / expected.abs().max())
        print(dtype, name, difference)
        if not difference < bound * (10 if name in ("large", "steps") else 1):
            raise SystemExit(name)
plan = (0.1, 0.3, 0.2), (0.2, 0.1), (0.0, 0.0, 0.01)
u, p = u[:1].to(torch.complex128), p[:1].to(torch.complex128)
links, momenta, force = u, p, reference.force(u, 5.7)
end = gpu.trajectory(links, momenta, force, 5.7, 0.0, *plan)
for n, (kick, displacement) in enumerate(zip(plan[0], plan[2])):
    if n:
        links = reference.expm_multiply(momenta, links, plan[1][n - 1])
        force = reference.force(links, 5.7)
    moved = reference.expm_multiply(force, links, -displacement)
    momenta = momenta - kick * (reference.force(moved, 5.7) if displacement else force)
for found, expected in zip(end, (links, momenta, force)):
    if not float((found - expected).abs().max()) < 1e-13:
        raise SystemExit("trajectory")
"""

EXTREME = """
import torch
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fast.gpu import functions as gpu
generator = torch.Generator().manual_seed(3)
p, u = su3.random_algebra((12,), generator), su3.random_group((12,), generator)
eight = torch.zeros(8, dtype=torch.float64)
eight[7] = 40.0  # two equal eigenvalues
p[5] = su3.from_components(eight)
p *= torch.tensor([1e-310, 0, 1e3, 30, 1e-9, 1, 1, 1, 1, 1, 1, 1]).to(p.dtype)[:, None, None]
phases, vectors = torch.linalg.eigh(-1j * p)
exact = (vectors * torch.exp(1j * phases)[..., None, :]) @ vectors.mH @ u
found = gpu.expm_multiply(p, u)
wrong = (found - exact).abs().amax((1, 2)) / (1 + phases.abs().amax(1))
if not float(wrong.max()) < 1e-14:
    raise SystemExit(str(wrong))
spoilt = p.clone()
spoilt[6, 0, 0], spoilt[7, 1, 1] = float("nan"), complex(0, float("inf"))
again = gpu.expm_multiply(spoilt, u)
others = [n for n in range(12) if n not in (6, 7)]
if not torch.equal(again[others], found[others]) or again[[6, 7]].isfinite().all((1, 2)).any():
    raise SystemExit("a number that is not finite leaves its matrix")
"""

# Triton 3.7 itself uses what Python 3.13 deprecates.
STRICT = ("-W", "error", "-W", "ignore:AnnAssign.__init__ missing:DeprecationWarning")
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None,
                                  reason="triton is not installed")


@needs_triton
@pytest.mark.parametrize("program, ignored", [(INTERPRETED, ()), (
    EXTREME, ("-W", "ignore:invalid value:RuntimeWarning"))], ids=("functions", "exponentials"))
def test_kernels_in_the_interpreter(program, ignored):
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1",
                                "PYTHONPATH": ":".join(filter(None, sys.path))}
    trust = ("from l2hmc_bridge.fast.gpu import functions as gpu, launch\n"
             "launch.trusted = gpu.trusted = lambda *_: True\n")
    done = subprocess.run([sys.executable, "-W", "error", *ignored, "-c", trust + program],
                          capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


COMPILED = """
import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fast.gpu import functions as gpu, kernels as triton_kernels, launch

class Gpu:  # what a launch asks of the driver of a GPU
    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)
    def get_current_device(self):
        return 0
    def get_current_stream(self, device):
        return 0

class Compiled:
    def __init__(self, kernel):
        self.kernel, self.made = kernel, set()
    def __getitem__(self, grid):
        def compile(*arguments, **constants):
            made = self.kernel.warmup(*arguments, grid=grid, **constants)
            self.made.add(made.hash)
            if ("f32" in made.asm["ttir"]) != (arguments[0].dtype == torch.float32):
                raise SystemExit(self.kernel.__name__ + ": single precision where double is meant")
        return compile

driver.set_active(Gpu())
launch.trusted = gpu.trusted = lambda *_: True
kernels = {name: Compiled(getattr(triton_kernels, name)) for name in dir(triton_kernels)
           if name.endswith("_kernel")}
vars(triton_kernels).update(kernels)
generator = torch.Generator().manual_seed(1)
for dtype in (torch.complex128, torch.complex64):
    for extents in ((2, 3, 4, 5), (16, 8, 1, 16)):
        u = su3.random_group((2, 4, *extents), generator).to(dtype)
        gpu.force(u, 6.0, 0.1), gpu.expm_multiply(u, u, 0.1), gpu.kinetic(u)
        gpu.plaquettes(u), gpu.clover(u), gpu.frozen_features(u, u[:, 0], 0)
gpu.flow(u.to(torch.complex128), 0.1)
for name, kernel in kernels.items():
    most = 1 if name == "stage_kernel" else 2  # one for each precision, whatever the lattice
    print(name, len(kernel.made))
    if len(kernel.made) > most:
        raise SystemExit(name + " is compiled anew for another lattice")
"""


@needs_triton
def test_kernels_compile_for_a_card_once_and_for_every_lattice(tmp_path):
    environment = os.environ | {"PYTHONPATH": ":".join(filter(None, sys.path)),
                                "TRITON_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *STRICT, "-c", COMPILED],
                          capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


SAME = """
import sys
from triton._C.libtriton import passes
before, used = passes.ttgpuir.add_coalesce, []
passes.ttgpuir.add_coalesce = lambda manager: (used.append(1), before(manager))
""" + COMPILED.partition("generator = ")[0].replace("self.made.add(made.hash)", """
            text = made.asm["ptx"]
            print(self.kernel.__name__, hash(text))
""") + """
if sys.argv[1] == "kept":
    launch._leave_layouts = lambda: None
u = su3.random_group((1, 4, 2, 3, 4, 5), torch.Generator().manual_seed(1))
gpu.staple_trace(u), gpu.expm_multiply(u, u, 0.1), gpu.kinetic(u), gpu.clover(u)
if bool(used) != (sys.argv[1] == "kept"):
    raise SystemExit("the pass is not where it is thought to be")
"""


@needs_triton
def test_machine_code_without_the_pass_of_layouts_is_the_same(tmp_path):
    said = []
    for which in ("kept", "left"):
        environment = os.environ | {"PYTHONPATH": ":".join(filter(None, sys.path)),
                                    "TRITON_CACHE_DIR": str(tmp_path / which),
                                    "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "1"}
        done = subprocess.run([sys.executable, *STRICT, "-c", SAME, which],
                              capture_output=True, text=True, timeout=600, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)
    assert said[0] == said[1] and len(said[0].splitlines()) == 4


BENCHMARK = "benchmarks.kernels.gpu"


def benchmark(*options, interpreted):
    environment = os.environ | {"PYTHONPATH": ":".join(filter(None, sys.path))}
    if interpreted:
        environment |= {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-W", "error", "-m", BENCHMARK, *options], timeout=600,
                          capture_output=True, text=True, env=environment)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_benchmark_says_that_there_is_no_card(tmp_path):
    done = benchmark("--json", str(tmp_path / "gpu.json"), interpreted=False)
    assert done.returncode == 0 and "no GPU" in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())


@needs_triton
def test_the_benchmark_in_the_interpreter(tmp_path):
    names = ["force", "exp(P) U", "kinetic"]
    done = benchmark("--interpreted", "--lattices", "2", "--chains", "1", "--precisions", "double",
                     "--only", ";".join(names), "--json", str(tmp_path / "gpu.json"),
                     interpreted=True)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["function"] for row in report["functions"]] == names
    for row in report["functions"]:
        assert min(row["gflops"], row["gbytes"], row["torch_ratio"]) > 0
        peak = report["peaks"]["double"]
        assert row["of_peak"] == pytest.approx(max(row["gflops"] / peak["gflops"],
                                                   row["gbytes"] / peak["gbytes"]))
    assert "| force |" in (tmp_path / "gpu.md").read_text()
