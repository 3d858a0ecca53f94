"""`l2hmc-bridge sample`: run a trained update (HMC, heat bath) on a configuration, and go on."""

import functools
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from l2hmc_bridge.adapters.public.host_options import ContinueOptions
from l2hmc_bridge.cli.screen.options import (
    Computing,
    Number,
    parse_lattice,
    reading,
    spelled,
    which_format,
)
from l2hmc_bridge.cli.screen.voice import speaking
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.stream.options import (
    ACCEPTABLE,
    BELONGS,
    KERNELS,
    LARGEST_NUMBER,
    LARGEST_SEED,
    LONGEST_FLOW,
    LONGEST_LENGTH,
    LONGEST_STEP,
    MEASURABLE,
    MOST_ACCEPTED,
    MOST_CHAINS,
    MOST_STEPS,
    MOST_SWEEPS,
    MOST_THREADS,
    MOST_UNRECORDED,
    STARTS,
    SampleOptions,
    UpdateOptions,
)

# What may change when a stream goes on; all else is fixed by its beginning.
ON_RESUME = ("inputs", "out", "resume", "trajectories", "max_seconds", "threads", "device",
             "ranks")
# What belongs to a stream of our own and not to one that a host keeps.
NOT_ON_CONTINUE = ("inputs", "out", "resume", "start", "lattice", "chains", "thermalise",
                   "save_every", "format", "check_reversibility", "max_seconds", "first",
                   "keep_every", "measure", "flow_time", "flow_step")


@click.command(cls=Computing,
               short_help="Run a trained update (or HMC, or heat bath) on a configuration.")
@click.option("--in", "inputs", multiple=True, type=click.Path(path_type=Path),
              help="Configuration to start from; several: one chain each. With --resume, a stream.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the new stream.")
@click.option("-n", "--trajectories", type=click.IntRange(1),
              help="Trajectories of the whole stream; with --resume, how many more.")
@click.option("--resume", is_flag=True,
              help="Go on with the stream --in; without -n, finish what was cut short.")
@click.option("--continue", "continued", type=click.Path(path_type=Path), metavar="FILE",
              help="Run -n (default 1) trajectories on the last configuration of a host code and "
              "write its next one beside it, in the host's format and naming.")
@click.option("--side-files", multiple=True, type=click.Path(path_type=Path, file_okay=False,
                                                             exists=True),
              help="Folder of the host's side files, if not beside --continue.")
@click.option("--without-rng", is_flag=True,
              help="--continue: go on although Grid's random numbers are not there.")
@click.option("--kernel", type=click.Choice(KERNELS), default=UpdateOptions.kernel,
              show_default=True)
@click.option("--bundle", type=click.Path(path_type=Path),
              help="Trained update: a file, or the name of one that ships  [default: wilson]")
@click.option("--ungated", is_flag=True,
              help="Use a bundle without a fitting gate report, or on which a check here fails.")
@click.option("--action", help="Gauge action: wilson, symanzik, iwasaki, dbw2, c1=NUMBER; by "
              "default the file's, else the bundle's own, wilson for HMC and the heat bath.")
@click.option("--beta", type=Number(), help="Coupling, if the file does not state it.")
@click.option("--integrator", default=UpdateOptions.integrator, show_default=True,
              help="HMC: leapfrog, omf2, omf4 or force_gradient.")
@click.option("--step-size", type=Number(0, LONGEST_STEP, min_open=True),
              default=UpdateOptions.step_size, show_default=True,
              help="HMC: step size before tuning.")
@click.option("--steps", type=click.IntRange(1, MOST_STEPS), default=UpdateOptions.steps,
              show_default=True, help="HMC: steps of a trajectory.")
@click.option("--sweeps", type=click.IntRange(1, MOST_SWEEPS), default=UpdateOptions.sweeps,
              show_default=True, help="Heat bath: sweeps over all links in an update.")
@click.option("--overrelax", type=click.IntRange(0, MOST_SWEEPS), default=UpdateOptions.overrelax,
              show_default=True, help="Heat bath: overrelaxed sweeps after them.")
@click.option("--start", type=click.Choice(STARTS), help="Begin without a file.")
@click.option("--chains", type=click.IntRange(1, MOST_CHAINS),
              help="Chains that run side by side.")
@click.option("--thermalise", type=click.IntRange(0, MOST_UNRECORDED),
              help="Updates before the first recorded one: of the heat bath (Wilson action), else "
              "trajectories accepted unless far off [default: 50 or 20 with --start, else 0].")
@click.option("--tune", type=click.IntRange(0, MOST_UNRECORDED), default=UpdateOptions.tune,
              show_default=True,
              help="Trajectories, on a copy, that scale all steps towards --target-acceptance.")
@click.option("--target-acceptance", type=Number(0, MOST_ACCEPTED, min_open=True),
              default=UpdateOptions.target_acceptance, show_default=True,
              help="What --tune aims at.")
@click.option("--md-length", type=Number(0, LONGEST_LENGTH, min_open=True), metavar="TIME",
              help="MD time of a trajectory: all steps are scaled to it, in place of --tune.")
@click.option("--first", type=click.IntRange(1, LARGEST_NUMBER), metavar="NUMBER",
              help="Number of the first recorded trajectory [the file's number, or 0, and one].")
@click.option("--save-every", type=click.IntRange(1),
              help="Trajectories between save points [default: 1 up to 12^4 sites, else 10].")
@click.option("--keep-every", type=click.IntRange(1),
              help="Trajectories between configurations [default: as --save-every].")
@click.option("--measure", multiple=True, type=click.Choice(MEASURABLE),
              help="flow: measure every configuration that is kept along the Wilson flow, into "
              "history.h5; `analyze` shows t0, w0, and the flowed charge with its tunnelling.")
@click.option("--flow-time", type=Number(0, LONGEST_FLOW, min_open=True),
              default=SampleOptions.flow_time, show_default=True,
              help="--measure flow: up to this time, in units of a^2.")
@click.option("--flow-step", type=Number(0, LONGEST_FLOW, min_open=True),
              default=SampleOptions.flow_step, show_default=True,
              help="--measure flow: step of the flow.")
@click.option("--format", help="Format of the configurations; the input's by default. Of the "
              "input, if it is one that is only read: raw, kyu, jlqcd.")
@reading(accept=ACCEPTABLE)
@click.option("--quenched", is_flag=True,
              help="Sample the gauge action alone although a file tells of quarks; recorded.")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED),
              help="Drawn by the system, and recorded, if not given.")
@click.option("--check-reversibility", type=click.IntRange(0), default=0, metavar="K",
              help="Run a trajectory forth and back after every K-th.")
@click.option("--max-seconds", type=Number(0, min_open=True),
              help="Save and stop before this much time has passed.")
@click.option("--threads", type=click.IntRange(1, MOST_THREADS),
              help="Threads of the computation.")
@click.option("--device", help="cpu (default) or cuda[:N].")
@click.option("--ranks", metavar="X,Y,Z,T", help="One lattice over the processes that torchrun, "
              "mpirun or srun started: how many along each direction, or auto. A multiple of "
              "them spreads the chains.")
@speaking
@click.pass_context
def command(context: click.Context, resume: bool, ranks: str | None, **options: Any) -> None:
    """Run trajectories from a configuration and record a stream of them.

    Written into --out: cfg_<trajectory>.<suffix> after accept/reject, history.h5, summary.json,
    log.jsonl and state.safetensors, from which --resume goes on, bit for bit as if never stopped,
    also after kill -9. SIGTERM, SIGINT and --max-seconds finish the trajectory, save, and end
    with status 0.

    \b
    l2hmc-bridge sample --in cfg.ildg --out stream -n 100 --seed 1
    l2hmc-bridge sample --in stream --resume -n 100
    l2hmc-bridge sample --start hot --lattice 8,8,8,8 --beta 6 --out new -n 50 --kernel hmc
    l2hmc-bridge sample --continue run/ckpoint_lat.120
    torchrun --nproc-per-node 2 -m l2hmc_bridge.cli sample --in cfg.ildg --out new -n 9 --ranks auto
    """
    _check_usage(context, resume, options)
    given = {name: value for name, value in options.items() if _given(context, name)}
    given["command"] = spelled(context)
    chosen = None if resume else _chosen(given)

    from . import run

    if chosen is None:
        run.resume(options["inputs"][0], options["trajectories"], options["max_seconds"],
                   options["threads"], options["device"], ranks)
    elif isinstance(chosen, ContinueOptions):
        run.go_on(chosen, ranks)
    else:
        run.begin(chosen, ranks)


def _chosen(given: dict[str, Any]) -> SampleOptions | ContinueOptions:
    """What stands on the command line, as the library takes it; all else has its defaults."""
    try:
        if "continued" in given:
            named = frozenset(given)
            return ContinueOptions(path=given.pop("continued"), given=named, **given)
        if "lattice" in given:
            given["lattice"] = parse_lattice(given["lattice"])
        source, name = which_format(given.pop("source", None), given.pop("format", None))
        return SampleOptions(source=source, format=name, **given)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error


def _check_usage(context: click.Context, resume: bool, options: dict[str, Any]) -> None:
    """Raise click.UsageError for options that contradict each other."""
    given = functools.partial(_given, context)
    inputs = options["inputs"]
    if options["continued"] is not None:
        other = [p for p in context.command.params if p.name in NOT_ON_CONTINUE and given(p.name)]
        _require(not other, f"{_flag(other)}: does not go with --continue")
        _check_kernel(context, options)
        return
    _require(not options["side_files"], "--side-files: belongs to --continue")
    _require(not options["without_rng"], "--without-rng: belongs to --continue")
    if resume:
        fixed = [p for p in context.command.params if given(p.name) and p.expose_value
                 and p.name not in ON_RESUME]
        _require(not fixed, f"{_flag(fixed)}: the stream fixed it when it began; --resume takes "
                 "-n, --max-seconds, --threads, --device and --ranks")
        _require(len(inputs) == 1, f"--resume: expected one --in STREAM, found {len(inputs)}")
        _require(options["out"] in (None, inputs[0]), "--out: --resume goes on in --in")
        return
    _require(bool(inputs) != bool(options["start"]),
             "expected either --in FILE, --start or --continue FILE")
    _require(options["out"] is not None, "expected --out FOLDER")
    _require(options["trajectories"] is not None, "expected -n, the number of trajectories")
    if options["start"]:
        for name in ("lattice", "beta"):
            _require(options[name] is not None, f"--start: expected --{name} with it")
    _check_kernel(context, options)


def _check_kernel(context: click.Context, options: dict[str, Any]) -> None:
    """Raise click.UsageError for options of the kernel that is not asked for."""
    for parameter in context.command.params:
        kernels = BELONGS.get(parameter.name or "", KERNELS)
        wrong = options["kernel"] not in kernels and _given(context, parameter.name or "")
        _require(not wrong, f"{parameter.opts[0]}: belongs to --kernel {' and '.join(kernels)}")


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise click.UsageError(sentence)


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) == ParameterSource.COMMANDLINE


def _flag(parameters: list[click.Parameter]) -> str:
    return parameters[0].opts[0] if parameters else ""
