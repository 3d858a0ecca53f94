"""Pictures of streams (matplotlib figures; nothing is shown, nothing global is touched)."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.analysis.estimates import Analysis, Topology
from l2hmc_bridge.analysis.numbers import grid
from l2hmc_bridge.analysis.series import History, Series
from l2hmc_bridge.analysis.statistics import autocorrelation
from l2hmc_bridge.errors import StatisticsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 4000  # per line; a longer history is thinned, so that a report stays small
MOST_CHAINS = 8
MOST_CURVES = 200


def render(figure: "Figure", kind: str = "png") -> bytes:
    """The figure as the bytes of a "png" or "svg" file; the same figure gives the same bytes."""
    import matplotlib

    buffer = io.BytesIO()
    metadata = {"Software": None} if kind == "png" else {"Date": None}
    with matplotlib.rc_context({"svg.hashsalt": "l2hmc-bridge"}):
        figure.savefig(buffer, format=kind, dpi=100, metadata=metadata)
    return buffer.getvalue()


def stream_figures(history: History, analysis: Analysis) -> dict[str, "Figure"]:
    """Every picture this stream allows: {name: figure}."""
    figures = {}
    names = [n for n in ("plaquette", "energy_density", "delta_h") if n in history.series]
    charge = analysis.topology.which if analysis.topology else None
    for name in names:
        figures[f"history_{name}"] = history_figure(name, history.series[name], analysis.cut)
    shown = {n: history.series[n] for n in (*names, charge) if n}
    curves = autocorrelation_figure(shown, analysis.cut)
    if curves is not None:
        figures["autocorrelation"] = curves
    bars = tau_figure(analysis)
    if bars is not None:
        figures["tau_int"] = bars
    if charge and analysis.topology:
        figures["charge"] = charge_figure(history.series[charge], analysis.topology, analysis.cut)
    if len(history.flow_times) > 1:
        figures["flow"] = flow_figure(history)
    return figures


def history_figure(name: str, series: Series, cut: int = 0) -> "Figure":
    """Value against trajectory, a line per chain; the part before the cut is shaded."""
    figure, (axes,) = _figure(1)
    _lines(axes, series, cut)
    axes.set(xlabel="trajectory", ylabel=name)
    return figure


def autocorrelation_figure(shown: Mapping[str, Series], cut: int = 0) -> "Figure | None":
    """rho(t) with its error up to twice the window, for every series that allows it."""
    figure, (axes,) = _figure(1)
    drawn = False
    for name, series in shown.items():
        try:
            kept = [(c, n) for c, n in zip(series.after(cut), series.numbers_after(cut),
                                           strict=True) if c.size]
            numbers = [n for _, n in kept]
            rho, error, window = autocorrelation([c for c, _ in kept], numbers)
        except StatisticsError:
            continue
        last = min(max(2 * window, 10), rho.size)
        lags = np.arange(last) * grid(numbers).step
        axes.errorbar(lags, rho[:last], error[:last], lw=1, capsize=2, label=name)
        drawn = True
    axes.axhline(0, color="0.5", lw=0.5)
    axes.set(xlabel="t [trajectories]", ylabel="rho(t)")
    if drawn:
        axes.legend()
    return figure if drawn else None


def tau_figure(analysis: Analysis) -> "Figure | None":
    """tau_int (1/2 + sum rho) of every observable whose tau_int is resolved."""
    found = {n: one for n, one in analysis.observables.items() if one.resolved}
    if not found:
        return None
    figure, (axes,) = _figure(1, height=1.2 + 0.25 * len(found))
    axes.barh(list(found), [one.tau_int for one in found.values()],
              xerr=[one.tau_int_error for one in found.values()], color="C0", capsize=2)
    axes.axvline(0.5, color="0.5", lw=0.7)
    axes.invert_yaxis()
    axes.set_xlabel("tau_int = 1/2 + sum rho [trajectories]")
    return figure


def charge_figure(series: Series, topology: Topology, cut: int = 0) -> "Figure":
    """Charge against trajectory, and the histogram of its nearest integers."""
    figure, (left, right) = _figure(2)
    _lines(left, series, cut)
    left.set(xlabel="trajectory", ylabel=topology.which)
    sectors = sorted(topology.histogram)
    right.bar(sectors, [topology.histogram[q] for q in sectors], width=0.9)
    edge = max(1, *map(abs, sectors)) + 0.6
    right.set(xlabel="nearest integer of Q", ylabel="configurations", xlim=(-edge, edge))
    right.xaxis.get_major_locator().set_params(integer=True)
    return figure


def flow_figure(history: History) -> "Figure":
    """t^2 E(t) and Q(t) along the flow, every configuration a line, t^2 E = 0.3 marked."""
    figure, (left, right) = _figure(2)
    times = history.flow_times
    energies, charges = (np.concatenate(history.flow[name])[:MOST_CURVES]
                         for name in ("energy_density", "topological_charge"))
    left.plot(times, (times**2 * energies).T, color="C0", lw=0.5)
    left.axhline(0.3, color="0.5", lw=0.7)
    left.set(xlabel="flow time t [a^2]", ylabel="t^2 E(t)")
    right.plot(times, charges.T, color="C1", lw=0.5)
    right.set(xlabel="flow time t [a^2]", ylabel="Q(t)")
    return figure


def comparison_figure(histories: Sequence[History], name: str) -> "Figure":
    """One observable of two streams side by side: history and normalised histogram."""
    figure, (left, right) = _figure(2)
    values = [np.concatenate(history.series[name].chains) for history in histories]
    values = [sample[np.isfinite(sample)] for sample in values]
    count = min(40, max(5, math.isqrt(min(sample.size for sample in values))))
    bins = np.histogram_bin_edges(np.concatenate(values), bins=count)
    for colour, history, sample in zip(("C0", "C1"), histories, values, strict=False):
        series = history.series[name]
        _line(left, series.chains[0], series.numbered()[0], color=colour, label=history.name)
        right.hist(sample, bins=bins, density=True, histtype="step", color=colour)
    left.set(xlabel="trajectory", ylabel=name)
    left.legend()
    right.set(xlabel=name, ylabel="density")
    return figure


def distance_figure(distance: NDArray) -> "Figure":
    """|delta U_mu_nu|^2 between two streams against trajectory, logarithmic."""
    figure, (axes,) = _figure(1)
    axes.semilogy(np.arange(1, distance.size + 1), np.maximum(distance, 1e-300), lw=0.7)
    axes.set(xlabel="trajectory", ylabel="|delta U_mu_nu|^2")
    return figure


def _lines(axes: "Axes", series: Series, cut: int) -> None:
    numbered = series.numbered()
    for chain, numbers in list(zip(series.chains, numbered, strict=True))[:MOST_CHAINS]:
        _line(axes, chain, numbers)
    if cut:
        before = min((int(one[0]) for one in numbered if one.size), default=0) - series.spacing
        axes.axvspan(before, before + cut, color="0.85")


def _line(axes: "Axes", chain: NDArray, numbers: NDArray, **style: Any) -> None:
    step = max(1, chain.size // MOST_POINTS)
    axes.plot(numbers[::step], chain[::step], lw=0.7, **style)


def _figure(columns: int, height: float = 3.2):
    """A figure without pyplot, whose state would be everybody's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8 * columns + 1.6, height), layout="constrained")
    return figure, np.atleast_1d(figure.subplots(1, columns))
