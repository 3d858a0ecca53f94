"""Reference scales t0 and w0 from the energy density along the gradient flow."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def t0(times: ArrayLike, energies: ArrayLike, level: float = 0.3) -> NDArray:
    """t0 in units a^2: t^2 E(t) = level at t = t0 (arXiv:1006.4518, eq. 5.1).

    times [n] increasing, energies [..., n] -> [...]; NaN if the level is not reached.
    """
    times = np.asarray(times, dtype=np.float64)
    return _crossing(times, times**2 * np.asarray(energies, dtype=np.float64), level)


def w0(times: ArrayLike, energies: ArrayLike, level: float = 0.3) -> NDArray:
    """w0 in units a: t d/dt [t^2 E(t)] = level at t = w0^2 (arXiv:1203.4469, eq. 2.2).

    times [n] increasing, energies [..., n] -> [...]; the derivative is that of a cubic spline.
    """
    from scipy.interpolate import CubicSpline  # imports slowly

    times = np.asarray(times, dtype=np.float64)
    spline = CubicSpline(times, times**2 * np.asarray(energies, dtype=np.float64), axis=-1)
    return np.sqrt(_crossing(times, times * spline(times, 1), level))


def linear_t0(times: ArrayLike, energies: ArrayLike, level: float = 0.3) -> NDArray:
    """Values x_i whose mean is t0 of the mean energy density and whose error is that of t0.

    x_i = t0 + (level - t0^2 E_i(t0)) / (d/dt t^2 <E>)(t0), energies [n, times] -> [n]; all NaN
    where <t^2 E> does not reach the level.
    """
    times, energies = np.asarray(times, float), np.asarray(energies, float)
    return _linear(times, times**2 * energies, level)


def linear_w0(times: ArrayLike, energies: ArrayLike, level: float = 0.3) -> NDArray:
    """The same for w0, through w0^2 and W_i(t) = t d/dt [t^2 E_i(t)]."""
    from scipy.interpolate import CubicSpline

    times, energies = np.asarray(times, float), np.asarray(energies, float)
    slopes = times * CubicSpline(times, times**2 * energies, axis=-1)(times, 1)
    squared = _linear(times, slopes, level)
    centre = squared.mean()
    return np.sqrt(centre) + (squared - centre) / (2 * np.sqrt(centre))


def _linear(times: NDArray, curves: NDArray, level: float) -> NDArray:
    from scipy.interpolate import CubicSpline

    mean = curves.mean(axis=0)
    at = float(_crossing(times, mean, level))
    if not np.isfinite(at):
        return np.full(len(curves), np.nan)
    slope = float(CubicSpline(times, mean)(at, 1))
    return at + (level - CubicSpline(times, curves, axis=-1)(at)) / slope


def _crossing(times: NDArray, values: NDArray, level: float) -> NDArray:
    """First time at which the values rise through `level`: cubic spline, monotone where n < 4."""
    from scipy.interpolate import CubicSpline, PchipInterpolator
    from scipy.optimize import brentq

    flat = values.reshape(-1, times.size)
    result = np.full(flat.shape[0], np.nan)
    interpolator = CubicSpline if times.size >= 4 else PchipInterpolator
    for row, curve in enumerate(flat):
        above = np.flatnonzero((curve[1:] >= level) & (curve[:-1] < level))
        if above.size:
            low, high = times[above[0]], times[above[0] + 1]
            result[row] = brentq(interpolator(times, curve - level), low, high, xtol=1e-14)
    return result.reshape(values.shape[:-1])
