"""A mixture of Gaussians in R^n, the toy whose modes plain HMC does not connect."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.systems.actions import Noiseless


@dataclass(frozen=True)
class GaussianMixture(Noiseless):
    """S = -beta log sum_i w_i exp(-|x - m_i|^2 / 2 variance) of points [Nb, n]; no constant.

    beta = 1 is the mixture itself, smaller ones are its tempered versions (annealing). Weights
    are normalised. Raises ActionError for means, weights or a variance that make no mixture.
    """

    means: tuple[tuple[float, ...], ...] = ((-2.0, 0.0), (2.0, 0.0))
    variance: float = 0.1
    weights: tuple[float, ...] = (0.5, 0.5)
    beta: float = 1.0
    group: str = "vector"

    def __post_init__(self):
        sizes = {len(mean) for mean in self.means}
        if len(sizes) != 1 or 0 in sizes or len(self.weights) != len(self.means):
            raise ActionError(f"mixture: expected as many weights as means of one length, found "
                              f"{self.means} and {self.weights}")
        numbers = (*self.weights, self.variance, *(x for mean in self.means for x in mean))
        if not all(map(math.isfinite, numbers)) or min(*self.weights, self.variance) <= 0:
            raise ActionError(f"mixture: expected finite means, weights and variance > 0, found "
                              f"{self.means}, {self.weights}, {self.variance}")
        if not 0 <= self.beta < math.inf:
            raise ActionError(f"beta: expected a finite number >= 0, found {self.beta}")

    @property
    def dimension(self) -> int:
        """n of R^n."""
        return len(self.means[0])

    def __call__(self, points: Tensor) -> Tensor:
        """S of each point, [Nb]."""
        return -self.beta * torch.logsumexp(self._exponents(points), dim=1)

    def force(self, points: Tensor) -> Tensor:
        """dS/dx = beta sum_i p_i (x - m_i) / variance, p_i the share of mode i, like points."""
        centre = self.shares(points) @ self._means(points)
        return self.beta * (points - centre) / self.variance

    def at(self, beta: float) -> "GaussianMixture":
        """The same mixture at another inverse temperature."""
        return replace(self, beta=float(beta))

    def shares(self, points: Tensor) -> Tensor:
        """Probability that each point belongs to each mode, [Nb, modes]; <shares> = weights."""
        return torch.softmax(self._exponents(points), dim=1)

    def exact_values(self) -> list[float]:
        """<|x|^2> = n variance + sum w |m|^2 at beta = 1, then the weight of every mode."""
        total = sum(self.weights)
        shares = [weight / total for weight in self.weights]
        square = sum(share * sum(x * x for x in mean)
                     for share, mean in zip(shares, self.means, strict=True))
        return [self.dimension * self.variance + square, *shares]

    def _means(self, points: Tensor) -> Tensor:
        return torch.tensor(self.means, dtype=points.dtype, device=points.device)

    def _exponents(self, points: Tensor) -> Tensor:
        distance = (points[:, None] - self._means(points)).square().sum(2)
        weights = torch.tensor(self.weights, dtype=points.dtype, device=points.device)
        return (weights / weights.sum()).log() - distance / (2 * self.variance)
