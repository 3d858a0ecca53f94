"""The third use of `validate`: one stream against another, or HMC or heat bath run here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.cli.screen.options import reading_of

from .files import Extra

SIDE = ("", "first", "second")


def compare(paths: tuple[Path, ...], options: dict[str, Any]) -> tuple[str, list[Check], Extra]:
    """Checks of the stream `paths[0]` against the one that --against names."""
    from l2hmc_bridge.adapters.records.history import read_history
    from l2hmc_bridge.analysis.about import run_of
    from l2hmc_bridge.analysis.comparison import compare_streams

    if len(paths) != 1:
        raise click.UsageError(f"expected one STREAM with --against, found {len(paths)} paths")
    first = read_history(paths[0])
    if options["against"] in ("hmc", "heatbath"):
        second = _baseline(paths[0], first, options)
    else:
        second = read_history(Path(options["against"]))
    result = compare_streams(first, second, options["cut"], options["error_rate"])
    notes = [f"first: {first.name}", f"second: {second.name}",
             *(f"{each.name}: {each.gaps}" for each in result.analyses if each.gaps),
             f"a sound pair fails anywhere in this table with probability "
             f"{options['error_rate']:g}", *(f"not decided: {one}" for one in result.unresolved)]
    content = {"error_rate": options["error_rate"], "unresolved": result.unresolved,
               "streams": [analysis.as_dict() for analysis in result.analyses],
               "plaquette_distance": result.distance.tolist()}

    def figures():
        return _figures(first, second, result)

    warnings = tuple(f"{one.name}: {told}" for one in result.analyses for told in one.warnings)
    extra = Extra(notes, [(SIDE, list(_side_by_side(result.analyses)))], content, figures,
                  (run_of(first), run_of(second)), warnings)
    return f"{first.name} against {second.name}", result.checks, extra


def _side_by_side(analyses):
    """Means, tau_int and efficiency of both streams."""
    from l2hmc_bridge.analysis.statistics import with_error

    names = [name for name in analyses[0].observables if name in analyses[1].observables]
    for name in names:
        pair = [analysis.observables[name] for analysis in analyses]
        if any(one.resolved for one in pair):
            yield (f"mean {name}", *(with_error(e.value, e.error) if e.resolved
                                     else f"{e.value:.6g}, error not resolvable" for e in pair))
    for name in names:
        pair = [one.observables[name] for one in analyses]
        if any(one.resolved for one in pair):
            yield (f"tau_int {name}", *(with_error(e.tau_int, e.tau_int_error) if e.resolved
                                        else "not resolvable" for e in pair))
    acceptance = [analysis.observables.get("accepted") for analysis in analyses]
    if all(acceptance):
        yield ("acceptance", *(f"{one.value:.3f}" for one in acceptance))
    keys = dict.fromkeys(key for analysis in analyses for key in analysis.effective)
    for key in keys:
        title = f"effective samples, {key.replace('_per_', ' per ').replace('_', ' ')}"
        yield (title, *(f"{analysis.effective[key]:.4g}" if key in analysis.effective else ""
                        for analysis in analyses))


def _figures(first, second, result):
    from l2hmc_bridge.analysis import plots

    figures = {}
    both = first.comparable(second)
    for name in dict.fromkeys(("plaquette", first.charge_name(both))):
        if name in both:
            figures[f"comparison_{name}"] = plots.comparison_figure((first, second), name)
    figures["plaquette_distance"] = plots.distance_figure(result.distance)
    figures = {name: figure for name, figure in figures.items() if figure is not None}
    for prefix, history, analysis in zip(("first", "second"), (first, second), result.analyses,
                                         strict=True):
        for name, figure in plots.stream_figures(history, analysis).items():
            figures[f"{prefix}_{name}"] = figure
    return figures


def _baseline(path, first, options):
    """HMC or heat bath with the stream's action from its last configurations, all chains."""
    from l2hmc_bridge.adapters.records.history import chains_and_length
    from l2hmc_bridge.cli.screen.progress import bar
    from l2hmc_bridge.cli.screen.voice import say
    from l2hmc_bridge.stream.baseline import BASELINES
    from l2hmc_bridge.systems.actions import gauge_action

    against, how = options["against"], reading_of(options, mend=True)
    links, theories = _last_configurations(path, how, against)
    decision = _decision(first, theories, options)
    for sentence in (*decision.said, *decision.warnings):
        say(sentence)
    _, length = chains_and_length(first)
    count = options["trajectories"] or length
    with bar(f"{against} baseline", count, transient=True) as shown:
        return BASELINES[against](links, gauge_action(decision.action or "wilson", decision.beta),
                                  count, options["seed"],
                                  lambda _number: shown.step())


def _decision(first, theories, options):
    """What the baseline samples: the stream's own record decides, else its configurations do."""
    from l2hmc_bridge.systems.decision import decide
    from l2hmc_bridge.systems.theory import of_carried

    told = of_carried({"gauge_action": name} if (name := first.attributes.get("action")) else {},
                      "history")
    if told is not None:
        beta = first.attributes.get("beta")
        theories = {first.name: replace(told, beta=beta)}
    if options["beta"] is None and all(theory.beta is None for theory in theories.values()):
        raise click.UsageError(f"--against {options['against']} needs --beta: the stream does not "
                               "say it")
    return decide(theories, options["action"], options["beta"], options["quenched"],
                  "theory" in options["accept"])


def _last_configurations(path, how, against):
    """(links of the newest configuration of each chain, in SU(3) to machine precision; theories).
    """
    import torch

    from l2hmc_bridge.adapters.files import sources as configurations
    from l2hmc_bridge.adapters.streams import theory as stream_theory
    from l2hmc_bridge.fields import su3

    if not path.is_dir():
        raise click.UsageError(f"--against {against} needs a stream with configurations, found "
                               f"{path}")
    newest = {}
    for source in configurations.find([path], how):
        newest[source.chain] = source
    read = [how.read(newest[chain].path) for chain in sorted(newest)]
    theories = {str(newest[chain].path): stream_theory.of(newest[chain].path, one.meta)
                for chain, one in zip(sorted(newest), read, strict=True)}
    return su3.project_group(torch.cat([one.links for one in read])), theories
