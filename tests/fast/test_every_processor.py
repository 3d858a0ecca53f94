"""The kernels of every instruction set: this machine's in child processes, Arm's emulated."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fields import loops, su3
from tests.support.places import ROOT

KERNELS = ROOT / "l2hmc_bridge" / "fast" / "cpu" / "kernels"
BOUNDS = {("double", "functions"): 1e-13, ("double", "gradients"): 1e-12,
          ("single", "functions"): 1e-6, ("single", "gradients"): 1e-5}


def levels() -> tuple[str, ...]:
    """The builds that this processor can run."""
    able = library.LEVELS.get(torch.backends.cpu.get_cpu_capability(), ("default",))
    return tuple(level for level in able if level in library.built())


@pytest.mark.slow
@pytest.mark.parametrize("level", ("avx512", "avx2", "default"))
def test_every_function_in_both_precisions(level):
    """Against torch on four lattices, odd extents among them, with gradients and any threads."""
    if level not in levels():
        pytest.skip(f"no {level} build that this processor runs")
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.every_build", level], cwd=ROOT, capture_output=True,
        text=True, timeout=240, env=os.environ | {
            "ATEN_CPU_CAPABILITY": level, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["level"] == level
    for (precision, kind), bound in BOUNDS.items():
        worst = {name: size for name, size in report[precision][kind].items() if not size < bound}
        assert not worst, (precision, kind)
        assert report[precision]["unsteady"] == []


def charge(links):
    """Q of clovers of one and of 2 x 1 plaquettes with weights 1.5 and -0.5."""
    return reference.charge(links, ((1, 1, 1.5), (2, 1, -0.5)))


def sums(links, momenta):
    """The sums that kernel_driver.cpp writes: over sites, float64."""
    volume = links[0, 0, ..., 0, 0].numel()
    planes = 3 * volume * reference.plaquettes(links)
    rectangles = 3 * volume * (loops.rectangles(links).flatten(1).sum(1) - 4)  # four are no loops
    clover = reference.clover(links) * torch.tensor([volume, volume, 1.0])
    kinetic = reference.kinetic(momenta)
    return [planes, planes, rectangles, clover, kinetic, 2 * kinetic, charge(links)]


def results(links, momenta):
    """The fields that kernel_driver.cpp writes."""
    moved = reference.expm_multiply(momenta, links, 0.7)
    return [links, reference.force(links, 6.0, -0.1), reference.laplacian(links, momenta), moved,
            moved, reference.staples(links)]


@pytest.fixture(scope="module", params=("double", "single"))
def driver(request, tmp_path_factory):
    """(program for Arm, its numbers)."""
    compiler, emulator = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64")
    if not compiler or not emulator:
        pytest.skip("needs aarch64-linux-gnu-g++ and qemu-aarch64")
    program = tmp_path_factory.mktemp("arm") / "driver"
    define = ["-DSINGLE"] if request.param == "single" else []
    subprocess.run([compiler, "-std=c++17", "-O2", "-Wall", "-Werror", "-Wno-psabi", "-pthread",
                    "-static", *define, f"-I{KERNELS}",
                    str(ROOT / "tests" / "support" / "kernel_driver.cpp"), "-o", str(program)],
                   check=True, timeout=300)
    return [emulator, str(program)], np.float32 if define else np.float64


@pytest.mark.slow
def test_arm(driver, tmp_path, generator):
    command, real = driver
    for extents in ((2, 4, 6, 8), (4, 2, 2, 6), (3, 4, 5, 2), (3, 1, 5, 3)):
        shape = (2, 4, *extents)
        momenta = su3.random_algebra(shape, generator)
        links = su3.exp(0.4 * su3.random_algebra(shape, generator))
        given = [torch.view_as_real(one).numpy().astype(real) for one in (links, momenta)]
        before, after = tmp_path / "before", tmp_path / "after"
        before.write_bytes(np.array([*extents, 2], np.int32).tobytes()
                           + b"".join(one.tobytes() for one in given))
        subprocess.run([*command, str(before), str(after)], check=True, timeout=120)
        links, momenta = (torch.view_as_complex(torch.from_numpy(one.astype(np.float64)))
                          for one in given)
        expected = [sums(links, momenta), results(links, momenta)]
        found = after.read_bytes()
        for kind, group in zip((np.float64, real), expected, strict=True):
            for one in group:
                size = (2 if one.is_complex() else 1) * one.numel() * np.dtype(kind).itemsize
                numbers = torch.from_numpy(np.frombuffer(found[:size], kind).astype(np.float64))
                found = found[size:]
                flat = torch.view_as_real(one) if one.is_complex() else one
                worst = float((numbers - flat.flatten()).abs().max() / flat.abs().max())
                assert worst < (1e-13 if real is np.float64 else 2e-6), (extents, one.shape)
        assert not found
