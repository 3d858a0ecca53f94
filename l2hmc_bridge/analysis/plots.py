"""Pictures of streams (matplotlib figures; nothing is shown, nothing global is touched).

Every figure says the stream, its lattice and beta, and warns of a kernel that accepts nothing; a
panel without anything to show is not drawn.
"""

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.analysis.about import heading_of
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
LONGEST_NAME = 60  # letters of a stream's name in a figure


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
    figures: dict[str, Figure | None] = {}
    names = [n for n in ("plaquette", "energy_density", "delta_h") if n in history.series]
    charge = analysis.topology.which if analysis.topology else None
    for name in names:
        figures[f"history_{name}"] = history_figure(name, history.series[name], analysis.cut)
    shown = {n: history.series[n] for n in (*names, charge) if n}
    figures["autocorrelation"] = autocorrelation_figure(shown, analysis.cut)
    figures["tau_int"] = tau_figure(analysis)
    if charge and analysis.topology:
        figures["charge"] = charge_figure(history.series[charge], analysis.topology, analysis.cut)
    figures["flow"] = flow_figure(history)
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    for figure in drawn.values():
        entitle(figure, history, analysis)
    return drawn


def entitle(figure: "Figure", history: History, analysis: Analysis | None = None) -> None:
    """Above the panels: the stream, its lattice, action and beta, and what is wrong with it."""
    name = history.name if len(history.name) <= LONGEST_NAME else f"...{history.name[-57:]}"
    about = heading_of(history)
    lines = [plain(f"{name}: {about}" if about else name)]
    warned = () if analysis is None else analysis.warnings
    lines += [plain(f"warning: {one}") for one in warned]
    figure.suptitle("\n".join(lines), fontsize=9, color="C3" if warned else "black")


def plain(text: str) -> str:
    """Text that matplotlib shows as it is: no formula begins in it, all of it can be encoded."""
    return text.encode("utf-8", "backslashreplace").decode().replace("$", r"\$")


def history_figure(name: str, series: Series, cut: int = 0) -> "Figure | None":
    """Value against trajectory, a line per chain; the part before the cut is shaded."""
    if not any(np.isfinite(chain).any() for chain in series.chains):
        return None
    figure, (axes,) = _figure(1)
    _lines(axes, series, cut)
    axes.set(xlabel="trajectory", ylabel=plain(name))
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
        axes.errorbar(lags, rho[:last], error[:last], lw=1, capsize=2, label=plain(name))
        drawn = True
    axes.axhline(0, color="0.5", lw=0.5)
    axes.set(xlabel="t [trajectories]", ylabel="rho(t)")
    if drawn:
        axes.legend()
    return figure if drawn else None


def tau_figure(analysis: Analysis) -> "Figure | None":
    """tau_int (1/2 + sum rho) of every observable whose tau_int is resolved."""
    found = {plain(n): one for n, one in analysis.observables.items() if one.resolved}
    if not found:
        return None
    figure, (axes,) = _figure(1, height=1.4 + 0.25 * len(found))
    axes.barh(list(found), [one.tau_int for one in found.values()],
              xerr=[one.tau_int_error for one in found.values()], color="C0", capsize=2)
    axes.axvline(0.5, color="0.5", lw=0.7)
    axes.invert_yaxis()
    axes.set_xlabel("tau_int = 1/2 + sum rho [trajectories]")
    return figure


def charge_figure(series: Series, topology: Topology, cut: int = 0) -> "Figure | None":
    """Charge against trajectory; a flowed one's nearest integers counted, else its values."""
    values = np.concatenate(series.after(cut))
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    figure, (left, right) = _figure(2)
    _lines(left, series, cut)
    name = plain(topology.which) + ("" if topology.flowed else " (not flowed)")
    left.set(xlabel="trajectory", ylabel=name)
    if topology.histogram:
        sectors = sorted(topology.histogram)
        right.bar(sectors, [topology.histogram[q] for q in sectors], width=0.9)
        edge = max(1, *map(abs, sectors)) + 0.6
        right.set(xlabel="nearest integer of Q", ylabel="configurations", xlim=(-edge, edge))
        right.xaxis.get_major_locator().set_params(integer=True)
    else:
        right.hist(values, bins=min(40, max(5, math.isqrt(values.size))), histtype="step")
        right.set(xlabel=name, ylabel="configurations")
    return figure


def flow_figure(history: History) -> "Figure | None":
    """t^2 E(t) and Q(t) along the flow, every configuration a line, t^2 E = 0.3 marked."""
    times = history.flow_times
    tables = [np.concatenate(history.flow[name])[:MOST_CURVES]
              for name in ("energy_density", "topological_charge") if name in history.flow]
    if len(times) < 2 or len(tables) < 2 or not all(np.isfinite(one).any() for one in tables):
        return None
    figure, (left, right) = _figure(2)
    left.plot(times, (times**2 * tables[0]).T, color="C0", lw=0.5)
    left.axhline(0.3, color="0.5", lw=0.7, label="0.3, at t0")
    left.set(xlabel="flow time t [a^2]", ylabel="t^2 E(t)")
    left.legend()
    right.plot(times, tables[1].T, color="C1", lw=0.5)
    right.set(xlabel="flow time t [a^2]", ylabel="Q(t)")
    return figure


def comparison_figure(histories: Sequence[History], name: str) -> "Figure | None":
    """One observable of two streams side by side: history and normalised histogram."""
    values = [np.concatenate(history.series[name].chains) for history in histories]
    values = [sample[np.isfinite(sample)] for sample in values]
    if not all(sample.size for sample in values):
        return None
    figure, (left, right) = _figure(2)
    count = min(40, max(5, math.isqrt(min(sample.size for sample in values))))
    bins = np.histogram_bin_edges(np.concatenate(values), bins=count)
    for colour, history, sample in zip(("C0", "C1"), histories, values, strict=False):
        series, label = history.series[name], plain(f"{history.name}, {heading_of(history)}")
        _line(left, series.chains[0], series.numbered()[0], color=colour, label=label)
        right.hist(sample, bins=bins, density=True, histtype="step", color=colour, label=label)
    left.set(xlabel="trajectory", ylabel=plain(name))
    left.legend()
    right.set(xlabel=plain(name), ylabel="density")
    return figure


def distance_figure(distance: NDArray) -> "Figure | None":
    """|delta U_mu_nu|^2 between two streams against trajectory, logarithmic."""
    if not (distance > 0).any():
        return None
    figure, (axes,) = _figure(1)
    axes.semilogy(np.arange(1, distance.size + 1), np.maximum(distance, 1e-300), lw=0.7)
    axes.set(xlabel="trajectory", ylabel="|delta U_mu_nu|^2")
    return figure


def _lines(axes: "Axes", series: Series, cut: int) -> None:
    """A line per chain, the part that was dropped shaded; a legend for whatever needs one."""
    numbered, count = series.numbered(), len(series.chains)
    for chain, (values, numbers) in enumerate(zip(series.chains[:MOST_CHAINS], numbered,
                                                  strict=False)):
        _line(axes, values, numbers, label=f"chain {chain}" if count > 1 else None)
    if cut:
        before = min((int(one[0]) for one in numbered if one.size), default=0) - series.spacing
        axes.axvspan(before, before + cut, color="0.85", label=f"the first {cut}, dropped")
    if count > 1 or cut:
        title = f"{MOST_CHAINS} of {count} chains" if count > MOST_CHAINS else None
        axes.legend(fontsize=7, title=title, title_fontsize=7)


def _line(axes: "Axes", chain: NDArray, numbers: NDArray, **style: Any) -> None:
    step = max(1, chain.size // MOST_POINTS)
    axes.plot(numbers[::step], chain[::step], lw=0.7, **style)


def _figure(columns: int, height: float = 3.4):
    """A figure without pyplot, whose state would be everybody's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8 * columns + 1.6, height), layout="constrained")
    return figure, np.atleast_1d(figure.subplots(1, columns))
