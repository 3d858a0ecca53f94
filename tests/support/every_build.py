"""What the kernels of one instruction set make of small fields, held against torch.

    python -m tests.support.every_build LEVEL

Prints one JSON object: for each precision the worst relative deviation of every hot function over
four lattices, of every gradient, and what does not give the same bits with any number of threads
or in any batch. A process of its own, because a process loads one build.
"""

import json
import sys

import torch

from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.cpu import functions as cpu, library
from l2hmc_bridge.fast.cpu.differentiated import CompiledKernels
from l2hmc_bridge.fast.gradients import Gradients
from l2hmc_bridge.fields import su3
from tests.fast.test_gradients import CASES
from tests.fast.test_table import FUNCTIONS

LATTICES = ((2, 4, 6, 8), (8, 2, 6, 4), (3, 4, 5, 2), (3, 5, 1, 7))
SUMS = ("action", "kinetic", "plaquettes", "clover")  # small remainders for Haar links
SINGLE = {torch.float64: torch.float32, torch.complex128: torch.complex64}


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference over largest expected size."""
    return float((found - expected).abs().max() / expected.abs().max())


def fields(extents: tuple[int, ...], single: bool, smooth: bool) -> list[torch.Tensor]:
    """Links, momenta and weights of two chains, and three numbers for each of them."""
    generator = torch.Generator().manual_seed(sum(extents))
    shape = (2, 4, *extents)
    links, momenta, weights = (su3.random_group(shape, generator),
                               *(su3.random_algebra(shape, generator) for _ in range(2)))
    links = su3.exp(0.3 * momenta) if smooth else links
    numbers = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    given = [links, momenta, weights, numbers]
    return [one.to(SINGLE[one.dtype]) for one in given] if single else given


def double(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return [one.to(torch.complex128 if one.is_complex() else torch.float64) for one in tensors]


def deviations(single: bool) -> dict[str, float]:
    """{function: worst deviation from torch in double precision}."""
    worst = dict.fromkeys(FUNCTIONS, 0.0)
    for extents in LATTICES:
        for name, function in FUNCTIONS.items():
            links, momenta, *_ = fields(extents, single, name.split()[0] in SUMS)
            found = function(cpu, links, momenta)
            expected = function(reference, *double([links, momenta]))
            worst[name] = max(worst[name], relative(found, expected))
    return worst


def gradient(module, name: str, given: list[torch.Tensor]) -> list[torch.Tensor]:
    """Gradients of links and momenta along the group."""
    links, momenta, weights, numbers = given
    leaves = [links.clone().requires_grad_(), momenta.clone().requires_grad_()]
    value = CASES[name](module, *leaves, weights, numbers).sum()
    to_u, to_x = torch.autograd.grad(value, leaves, allow_unused=True)
    both = [su3.project_algebra(to_u @ links.mH)]
    return both if to_x is None else [*both, su3.project_algebra(to_x)]


def gradient_deviations(single: bool) -> dict[str, float]:
    """{function: worst deviation of its gradients from torch's in double precision}."""
    worst, gradients = dict.fromkeys(CASES, 0.0), Gradients(CompiledKernels())
    for extents in LATTICES:
        given = fields(extents, single, smooth=False)
        for name in CASES:
            pairs = zip(gradient(gradients, name, given), gradient(reference, name, double(given)),
                        strict=True)
            worst[name] = max(worst[name], *(relative(*pair) for pair in pairs))
    return worst


def unsteady(single: bool) -> list[str]:
    """Functions that give other bits with more threads, or alone in a batch."""
    links, momenta, *_ = fields((4, 6, 4, 6), single, smooth=False)
    found = []
    for name, function in FUNCTIONS.items():
        torch.set_num_threads(1)
        expected = function(cpu, links, momenta)
        alone = function(cpu, links[1:].clone(), momenta[1:].clone())
        same = [torch.equal(alone[0], expected[1])]
        for threads in (2, 3, 7):
            torch.set_num_threads(threads)
            same.append(torch.equal(function(cpu, links, momenta), expected))
        if not all(same):
            found.append(name)
    torch.set_num_threads(1)
    return found


def main() -> None:
    found = library.library().level
    report = {"level": found, "asked": sys.argv[1]}
    for single in (False, True):
        report["single" if single else "double"] = {
            "functions": deviations(single), "gradients": gradient_deviations(single),
            "unsteady": unsteady(single)}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
