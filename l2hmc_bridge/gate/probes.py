"""What the gate puts into a kernel to see it react: random networks, an action with noise."""

from dataclasses import replace

import torch
from torch import Tensor

from l2hmc_bridge.bundle import architecture
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling.draws import Generators, draw_uniform
from l2hmc_bridge.systems.actions import Action


def roughened(kernel: L2HMC, generator: torch.Generator, size: float = 0.3) -> L2HMC:
    """A copy with random weights in every network, so that s, q and t are far from zero.

    Networks `by_inputs` have many layers that sum over many inputs: theirs are as much smaller.
    """
    rough = architecture.build(architecture.describe(kernel), kernel.action)
    values, parts = architecture.tensors(kernel), architecture.networks(kernel)
    for name, value in values.items():
        if not name.startswith("steps.") and value.ndim:
            deep = value.ndim > 1 and parts[name.split(".")[0]].by_inputs
            width = (value[0].numel() if deep else 1) ** 0.5
            values[name] = size / width * torch.randn(value.shape, generator=generator,
                                                      dtype=value.dtype)
    architecture.load_tensors(rough, values)
    return replace(kernel, **architecture.modules(rough))


class NoisyAction:
    """The action times a factor that every refresh redraws: a stand-in for pseudofermions."""

    def __init__(self, inner: Action):
        self.inner, self.factor = inner, 1.0
        self.group, self.beta = inner.group, inner.beta

    def refresh(self, links: Tensor, generator: Generators) -> bool:
        """Another factor."""
        self.factor = 0.9 + 0.2 * float(draw_uniform(1, generator))
        return True

    def at(self, beta: float) -> "NoisyAction":
        """The same, with the inner action at another coupling."""
        return NoisyAction(self.inner.at(beta))

    def __call__(self, links: Tensor) -> Tensor:
        return self.factor * self.inner(links)

    def force(self, links: Tensor) -> Tensor:
        return self.factor * self.inner.force(links)
