"""What several verbs share: options parsed in one place, and how those that compute begin."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from l2hmc_bridge.cli.screen.voice import voice
from l2hmc_bridge.errors import BridgeError

if TYPE_CHECKING:
    from l2hmc_bridge.adapters.files.reading import Reading

HEADERLESS = ("raw", "kyu", "jlqcd")  # formats that are read and never written
ACCEPTABLE = ("checksum", "plaquette", "link_trace")


class Computing(click.Command):
    """A verb that computes: where it has the process to itself, freed fields stay with it."""

    def invoke(self, context: click.Context) -> Any:
        """Run the verb; `context.obj` is true if the process is this command line's own."""
        if context.obj:
            from l2hmc_bridge import fast

            fast.keep_memory()
        try:
            return super().invoke(context)
        except (BridgeError, OSError, MemoryError, RuntimeError) as error:
            voice().record(f"l2hmc-bridge: {error}")
            raise


class Number(click.FloatRange):
    """A finite number within bounds; NaN and infinity are wrong usage."""

    name = "number"

    def _describe_range(self) -> str:
        """What the help says of the bounds; nothing if there are none."""
        return "" if self.min is None and self.max is None else super()._describe_range()

    def convert(self, value: Any, param: Any, context: Any) -> float:
        """The number; wrong usage if it is none, not finite, or out of bounds."""
        number = super().convert(value, param, context)
        if not math.isfinite(number):
            self.fail(f"expected a finite number, found {value}", param, context)
        return number


def parse_any_lattice(text: str) -> tuple[int, ...]:
    """ "X,Y,Z,T", "X,T" (U(1)) or "n" (vectors) -> positive integers, time first as gates want."""
    if len(text.split(",")) == 4:
        x, y, z, t = parse_lattice(text)
        return (t, x, y, z)
    parts = text.split(",")
    if len(parts) > 2 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"expected X,Y,Z,T, or X,T for U(1), or n for vectors, found "
                                 f"{text!r}", param_hint="--lattice")
    return tuple(int(part) for part in parts)[::-1]


def parse_lattice(text: str) -> tuple[int, int, int, int]:
    """ "X,Y,Z,T" -> four positive integers; anything else is wrong usage."""
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"expected X,Y,Z,T, four positive integers, found {text!r}",
                                 param_hint="--lattice")
    x, y, z, t = (int(part) for part in parts)
    return x, y, z, t


def reading(*flags: str, accept: tuple[str, ...] = ACCEPTABLE) -> Callable[[Any], Any]:
    """Decorator: the options --from (and `flags`), --lattice and --accept of a verb that reads."""

    def decorate(command: Any) -> Any:
        if accept:
            command = click.option(
                "--accept", multiple=True, type=click.Choice(accept), metavar="CHECK",
                help="Go on although this check of a file fails; recorded. One of "
                f"{', '.join(accept)}; may be repeated.")(command)
        command = click.option("--lattice", metavar="X,Y,Z,T",
                               help="Extents, if a file does not state them.")(command)
        return click.option("--from", *flags, "source", metavar="NAME",
                            help="Read files as this format; do not guess.")(command)

    return decorate


def reading_of(options: Mapping[str, Any], **more: Any) -> "Reading":
    """The way of reading that the options of `reading` name."""
    from l2hmc_bridge.adapters.files.reading import Reading

    lattice = options.get("lattice")
    return Reading(options.get("source"), parse_lattice(lattice) if lattice else None,
                   tuple(options.get("accept", ())), **more)


def spelled(context: click.Context) -> str:
    """The command line, put together again from what was given."""
    import shlex

    words, behind = ["l2hmc-bridge", context.info_name or ""], []
    known = {parameter.name: parameter for parameter in context.command.params}
    for name, value in context.params.items():  # in the order in which they were given
        if context.get_parameter_source(name) != ParameterSource.COMMANDLINE:
            continue
        parameter = known[name]
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(parameter, click.Argument):
                behind.append(str(one))
            else:
                words += [parameter.opts[0]] if one is True else [parameter.opts[0], str(one)]
    return shlex.join([*words, *behind])


def which_format(source: str | None, name: str | None) -> tuple[str | None, str | None]:
    """(format to read, format to write) of --from and --format: headerless ones are only read."""
    return (name, None) if name in HEADERLESS and source is None else (source, name)
