"""The Triton kernels themselves: in the interpreter against torch, and compiled for a GPU."""

import json
import subprocess
import sys

import pytest
import torch

from tests.support.interpreter import STRICT, TRUST, environment, interpreted, needs_triton

INTERPRETED = """
import torch
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fast import reference
cases = {
    "force": lambda m: m.force(u.mH.contiguous().mH, 5.7),
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
"""

EXTREME = """
import torch
from l2hmc_bridge.fields import su3
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


@needs_triton
@pytest.mark.parametrize("program, ignored", [(INTERPRETED, ()), (
    EXTREME, ("-W", "ignore:invalid value:RuntimeWarning"))], ids=("functions", "exponentials"))
def test_kernels_in_the_interpreter(program, ignored):
    interpreted(program, *ignored)


COMPILED = """
import torch
from triton.runtime import driver
from benchmarks.kernels.gpu_model import Absent, Compiling
from l2hmc_bridge.fields import part, su3
driver.set_active(Absent(ARCHITECTURE))
start = launch._start = Compiling(ARCHITECTURE)
generator = torch.Generator().manual_seed(1)
for dtype in (torch.complex128, torch.complex64):
    for extents in ((2, 3, 4, 5), (16, 8, 1, 16)):
        u = su3.random_group((2, 4, *extents), generator).to(dtype)
        for name, call in (
            ("staples", lambda: gpu.staples(u)), ("square", lambda: gpu.loop_square(u)),
            ("trace", lambda: gpu.staple_trace(u)), ("kinetic", lambda: gpu.kinetic(u)),
            ("exponential", lambda: gpu.expm_multiply(u, u, 0.1)),
            ("laplacian", lambda: gpu.laplacian(u, u)),
            ("frozen", lambda: gpu.frozen_features(u, u[:, 0], 0)),
        ):
            start.label = f"{dtype} {name}"
            call()
        with part.exactly(u):  # a number of each site, and how they are counted
            start.label = f"{dtype} squares of sites"
            gpu.kinetic(u)
for name, (registers, stack) in start.made.items():
    print(name, registers, stack)
    if stack != 0 or not 8 <= registers <= 255:
        raise SystemExit(f"{name} spills {stack} bytes")
if len(start.hashes) != 25 or len(start.made) != 16:
    raise SystemExit(f"{len(start.hashes)} kernels: one is compiled anew for another lattice")
"""


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("architecture", (80, 90))
def test_kernels_compile_for_a_gpu_once_and_for_every_lattice(architecture, tmp_path):
    program = TRUST + COMPILED.replace("ARCHITECTURE", str(architecture))
    done = subprocess.run([sys.executable, *STRICT, "-c", program], capture_output=True,
                          text=True, timeout=900, env=environment(TRITON_CACHE_DIR=str(tmp_path)))
    assert done.returncode == 0, done.stdout + done.stderr


BENCHMARK = "benchmarks.kernels.gpu"


def benchmark(*options, simulated):
    return subprocess.run([sys.executable, *STRICT, "-m", BENCHMARK, *options], timeout=600,
                          capture_output=True, text=True,
                          env=environment(TRITON_INTERPRET="1" if simulated else "0"))


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_benchmark_says_that_there_is_no_card(tmp_path):
    done = benchmark("--json", str(tmp_path / "gpu.json"), simulated=False)
    assert done.returncode == 0 and "no GPU" in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())


@needs_triton
def test_the_benchmark_in_the_interpreter(tmp_path):
    names = ["force", "exp(P) U", "kinetic", "gradient of exp(P) U"]
    done = benchmark("--interpreted", "--lattices", "2", "--chains", "1", "--precisions", "double",
                     "--only", ";".join(names), "--json", str(tmp_path / "gpu.json"),
                     simulated=True)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["function"] for row in report["functions"]] == names
    for row in report["functions"]:
        assert min(row["gflops"], row["gbytes"], row["torch_ratio"]) > 0
        peak = report["peaks"]["double"]
        assert row["of_peak"] == pytest.approx(max(row["gflops"] / peak["gflops"],
                                                   row["gbytes"] / peak["gbytes"]))
    assert "| force |" in (tmp_path / "gpu.md").read_text()
