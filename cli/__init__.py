"""The command `l2hmc-bridge`: one verb a file, loaded only when it is called."""

import importlib
import importlib.util
import os
import platform
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import click

import l2hmc_bridge
from l2hmc_bridge import __version__
from l2hmc_bridge.errors import BridgeError, lacks_memory

# Verb: what `--help` says of it. Each is `command` in the module of its name (_ for -) or that of
# PACKAGES.
VERBS = {
    "info": "Say what gauge files are, and verify them.",
    "convert": "Convert gauge files from any format to any other.",
    "sample": "Run a trained update (or HMC) on a configuration.",
    "train": "Train an update and write it as a bundle.",
    "gate": "Prove that a bundle is exact on a lattice.",
    "import-l2hmc-qcd": "Make a bundle of a checkpoint of l2hmc-qcd.",
    "measure": "Measure observables on configurations.",
    "analyze": "Analyze a stream: errors and autocorrelations.",
    "validate": "Compare our numbers with those of established codes.",
    "doctor": "Say what this machine offers, and whether it works.",
}

PACKAGES = {"sample": "sample.command", "train": "train.command",
            "validate": "validate.command"}  # verbs of several files

TOO_LARGE = "overflow"  # torch's word for a field whose size no number holds


class Verbs(click.Group):
    """A group that imports a verb's module when that verb is asked for, and not before."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return [verb for verb in VERBS if importlib.util.find_spec(_module(verb))]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(context):
            return None
        return importlib.import_module(_module(name)).command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, VERBS[verb]) for verb in self.list_commands(context)])


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True,
              callback=lambda context, _, asked: _version(context) if asked else None,
              help="Show the version and the build and exit.")
def group() -> None:
    """Exact, trained L2HMC updates for production lattice QCD streams."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns its exit status: 0, 1 for an error, 2 for wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        try:
            status = group.main(arguments, prog_name="l2hmc-bridge", standalone_mode=False,
                                obj=argv is None)
        except click.ClickException as error:
            if not _beside(arguments):
                error.show()
            return error.exit_code
        except (click.Abort, KeyboardInterrupt):
            return _complain("interrupted", 130)
        except BrokenPipeError:
            _silence_output()
            return 1
        except (BridgeError, OSError, MemoryError) as error:
            return _complain(_fitting(_one_line(error), arguments), quiet=_beside(arguments))
        except RuntimeError as error:
            if not lacks_memory(error) and TOO_LARGE not in str(error):
                raise
            return _complain("expected fields that fit into memory (a smaller lattice, fewer "
                             f"chains), found: {_first_line(error)}")
    return status if isinstance(status, int) else 0


def _version(context: click.Context) -> None:
    """Version, Python, machine, and which kernels were built; without importing them."""
    click.echo(f"l2hmc-bridge, version {__version__} (Python {platform.python_version()}, "
               f"{sys.platform} {platform.machine()}, compiled kernels: {_kernels()})")
    context.exit()


def _kernels() -> str:
    """The instruction sets whose kernels lie beside the package."""
    prefix, folder = "_kernels_", Path(l2hmc_bridge.__file__).parent / "fast" / "cpu"
    names = {path.name.partition(".")[0].removeprefix(prefix) for path in folder.glob(f"{prefix}*")}
    return ", ".join(sorted(one for one in names if not one.endswith("_single"))) or "none"


def options_of(verb: str) -> set[str]:
    """The long options of a verb, without dashes."""
    command = group.get_command(click.Context(group), verb)
    parameters = command.params if command is not None else []
    flags = [flag for each in parameters for flag in (*each.opts, *each.secondary_opts)]
    return {flag[2:] for flag in flags if flag.startswith("--")} | {"help"}


def _fitting(message: str, arguments: Sequence[str]) -> str:
    """The message with those hints alone that the verb of these arguments understands."""
    from l2hmc_bridge.cli.screen.hints import fitting

    verb = next((word for word in arguments if word in VERBS), None)
    return message if verb is None else fitting(message, options_of(verb))


def _module(verb: str) -> str:
    return f"{__name__}.{PACKAGES.get(verb, verb.replace('-', '_'))}"


def _complain(message: str, status: int = 1, quiet: bool = False) -> int:
    if not quiet:
        click.echo(f"l2hmc-bridge: {message}", err=True)
    return status


def _beside(arguments: Sequence[str]) -> bool:
    """Whether another of several ranks says what there is to say."""
    from l2hmc_bridge.ranks.launch import is_beside

    return any(word.split("=")[0] == "--ranks" for word in arguments) and is_beside()


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        name = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        return f"{name}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _first_line(error: BaseException) -> str:
    """Without the place in torch's own source."""
    return str(error).split("\n")[0].rpartition("] ")[2]


def _silence_output() -> None:
    """Whoever read our output is gone; nothing more may be flushed into it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
