"""Two-dimensional U(1) on a finite torus in closed form: plaquette and charges.

The plaquette angles are free up to sum x_P = 0 mod 2 pi, so with V plaquettes

    Z = sum_n f(n)^V,    f(nu) = int_{-pi}^{pi} dphi/2pi e^{beta cos phi} cos(nu phi)

(I_n(beta) at integers), and for any odd function a of one plaquette angle

    <(sum_P a)^2> = sum_n [V f^{V-1} A_2 - V (V-1) f^{V-2} A_1^2] / Z,
    A_1(n) = int dphi/2pi a sin(n phi) e^{beta cos phi},
    A_2(n) = int dphi/2pi a^2 cos(n phi) e^{beta cos phi}.

For a = phi / 2 pi this is <Q^2> = -(1/4pi^2) sum_n [V f^{V-1} f'' + V(V-1) f^{V-2} f'^2] / Z with
derivatives in nu at n. Everything is divided by powers of f(0), so that no volume overflows;
the absolute error is about 1e-15 per plaquette.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.errors import ActionError

Function = Callable[[NDArray], NDArray]


@lru_cache(64)
def plaquette(beta: float, volume: int) -> float:
    """<cos x_P> = (1/V) d ln Z / d beta on a torus of `volume` sites; ActionError if V < 4."""
    f = _integrals(beta, volume, np.ones_like)
    slope = _integrals(beta, volume, np.cos)
    return float((f ** (volume - 1) * slope).sum() / (f**volume).sum())


@lru_cache(64)
def charge_squared(beta: float, volume: int) -> float:
    """<Q^2> of u1.topological_charge on a torus of `volume` sites; ActionError if V < 4."""
    return _square_of_sum(beta, volume, lambda phi: phi / (2 * math.pi))


@lru_cache(64)
def smooth_charge_squared(beta: float, volume: int) -> float:
    """The second moment of u1.smooth_charge on a torus of `volume` sites; ActionError if V < 4."""
    return _square_of_sum(beta, volume, lambda phi: np.sin(phi) / (2 * math.pi))


def infinite_volume_plaquette(beta: float) -> float:
    """I1(beta) / I0(beta)."""
    slopes = _integrals(beta, 4, np.cos)
    return float(slopes[len(slopes) // 2])


def _square_of_sum(beta: float, volume: int, a: Function) -> float:
    """<(sum_P a(x_P))^2> for an odd function a."""
    f = _integrals(beta, volume, np.ones_like)
    first = _integrals(beta, volume, a, np.sin)
    second = _integrals(beta, volume, lambda phi: a(phi) ** 2)
    terms = f ** (volume - 1) * second - (volume - 1) * f ** (volume - 2) * first**2
    return float(volume * terms.sum() / (f**volume).sum())


def _integrals(beta: float, volume: int, a: Function, wave: Function = np.cos) -> NDArray:
    """int dphi/2pi a(phi) wave(n phi) e^{beta cos phi} / f(0) for n = 0, +-1, ..., +-N.

    Gauss-Legendre, since a need not be periodic. N and the number of points leave nothing out:
    f(n)/f(0) < e^{-n^2 / 2(beta + n)} and at least V - 2 >= 2 powers of it enter every sum.
    """
    if not 0 <= beta < math.inf:
        raise ActionError(f"beta: expected a finite number >= 0, found {beta}")
    if volume < 4:
        raise ActionError(f"volume: expected at least 2 x 2 = 4 sites, found {volume}")
    highest = 20 + math.ceil(10 * math.sqrt(beta))
    nodes, weights = np.polynomial.legendre.leggauss(4 * highest + 64)
    phi = math.pi * nodes
    density = weights * np.exp(beta * (np.cos(phi) - 1))
    orders = np.arange(-highest, highest + 1)[:, None]
    return (wave(orders * phi) * (a(phi) * density)).sum(1) / density.sum()
