"""The Triton kernels in Triton's interpreter, against torch; who serves fields on a card."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.fast import gpu, reference

INTERPRETED = """
import torch
from l2hmc_bridge import su3
from l2hmc_bridge.fast import gpu, reference
generator = torch.Generator().manual_seed(3)
links = su3.random_group((2, 4, 2, 3, 1, 5), generator)
momenta = su3.random_algebra((2, 4, 2, 3, 1, 5), generator)
cases = {
    "force": lambda m: m.force(links, 5.7),
    "strided": lambda m: m.force(links.mH.contiguous().mH[:1], 5.7),
    "plaquettes": lambda m: m.plaquettes(links),
    "exponential": lambda m: m.expm_multiply(momenta, links, 0.3),
    "large": lambda m: m.expm_multiply(momenta[0, 0], links[0, 0], -7.0),
}
for name, case in cases.items():
    expected = case(reference)
    difference = float((case(gpu) - expected).abs().max() / expected.abs().max())
    print(name, difference)
    if not difference < (1e-13 if name == "large" else 1e-14):
        raise SystemExit(name)
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_kernels_in_the_interpreter():
    environment = os.environ | {"TRITON_INTERPRET": "1",
                                "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-W", "error", "-c", INTERPRETED],
                          capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


class Elsewhere:
    """Stands in for a field on a card."""

    def __init__(self, device="cuda", dtype=torch.complex128):
        self.device, self.dtype, self.requires_grad = torch.device(device), dtype, False


@pytest.mark.parametrize("trusted, served", [(True, gpu), (False, reference)])
def test_fields_on_a_card(monkeypatch, trusted, served):
    monkeypatch.setattr(fast, "Tensor", Elsewhere)
    monkeypatch.setattr(gpu, "trusted", lambda device: trusted)
    assert fast.backend(Elsewhere()) is served
    assert fast.backend(Elsewhere(), Elsewhere("cpu")) is reference
    assert fast.backend(Elsewhere("cuda:0"), Elsewhere("cuda:1")) is reference
    assert fast.backend(Elsewhere(dtype=torch.complex64)) is reference
    with fast.using("torch"):
        assert fast.backend(Elsewhere()) is reference


def test_kernels_that_disagree_are_not_trusted(monkeypatch, caplog):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    for name in ("force", "plaquettes", "expm_multiply"):
        monkeypatch.setattr(gpu._Kernels, name, staticmethod(getattr(reference, name)))
    gpu.trusted.cache_clear()
    assert gpu.trusted(torch.device("cpu"))
    monkeypatch.setattr(gpu._Kernels, "force", staticmethod(lambda u, beta: 0 * u))
    gpu.trusted.cache_clear()
    assert not gpu.trusted(torch.device("cpu"))
    gpu.trusted.cache_clear()
    assert "differ" in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card here")
def test_a_card_agrees_with_main_memory(generator):
    from l2hmc_bridge import su3

    links = su3.random_group((2, 4, 4, 6, 2, 3), generator)
    momenta = su3.random_algebra((2, 4, 4, 6, 2, 3), generator)
    for case in (lambda u, p: fast.force(u, 5.7), lambda u, p: fast.plaquettes(u),
                 lambda u, p: fast.expm_multiply(p, u, 0.2), lambda u, p: fast.flow(u, 0.02)):
        found = case(links.cuda(), momenta.cuda()).cpu()
        assert float((found - case(links, momenta)).abs().max()) < 1e-12
