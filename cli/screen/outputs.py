"""Where a verb's results go: options with an optional file name, checked before any work."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from l2hmc_bridge.cli.screen import voice

STANDARD_OUTPUT = "-"


def settle(
    paths: tuple[Path, ...], out: str | None, suffix: str
) -> tuple[tuple[Path, ...], str | None]:
    """Inputs and the output of an option like `--json [OUT]`.

    `--json FILE` with an input of the verb behind it means: standard output, of FILE.
    """
    if out in (None, STANDARD_OUTPUT) or Path(out).suffix == suffix and not Path(out).is_dir():
        return paths, out
    if Path(out).exists() or not paths:
        return (Path(out), *paths), STANDARD_OUTPUT
    return paths, out


def refuse_early(outputs: Sequence[str | Path | None], force: bool) -> None:
    """No hour of work for a file that may not be written. Raises BridgeError."""
    from l2hmc_bridge.storage.atomic import refuse_existing

    for path in outputs:
        if path is not None and path != STANDARD_OUTPUT:
            refuse_existing(Path(path), force)


def emit(out: str | None, text: str, force: bool) -> None:
    """Write `text` to where the option said: nowhere, standard output or a file."""
    import click

    from l2hmc_bridge.adapters.records.measured import write_text

    if out == STANDARD_OUTPUT:
        click.echo(text, nl=not text.endswith("\n"))
    elif out is not None:
        write_text(Path(out), text if text.endswith("\n") else text + "\n", force)
        voice.wrote(out)


MOST_WARNINGS = 12


def warn(sentences: Iterable[str]) -> None:
    """Warnings on standard error, each once; of very many the first ones and their number."""
    told = list(dict.fromkeys(sentences))
    for sentence in told[:MOST_WARNINGS]:
        voice.warn(f"warning: {sentence}")
    if len(told) > MOST_WARNINGS:
        voice.warn(f"{len(told) - MOST_WARNINGS} more warnings (info shows those of each file)")
