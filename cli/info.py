"""`l2hmc-bridge info`: what gauge files are, every check with its number, and their metadata."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from l2hmc_bridge.cli.screen import hints
from l2hmc_bridge.cli.screen.options import reading, reading_of
from l2hmc_bridge.cli.screen.sharing import ranks_option, sharing
from l2hmc_bridge.errors import BridgeError

if TYPE_CHECKING:
    from l2hmc_bridge.adapters.files.reading import Reading
    from l2hmc_bridge.ranks.crew import Crew

SHOWN = (
    "action", "beta", "trajectory", "lfn", "ensemble_id", "ensemble_label", "reunitarized",
    "accepted", "checksum", "byte_order", "rows", "plaquette", "plaquette_spatial",
    "plaquette_temporal", "link_trace",
)
STYLE = {"pass": "green", "warn": "yellow", "fail": "red"}


@click.command(short_help="Say what gauge files are, and verify them.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@reading("--format", accept=())
@click.option("--header", "header_only", is_flag=True, help="Read the header alone; no checks.")
@click.option("--records", is_flag=True, help="List the records of LIME files.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@ranks_option
def command(
    files: tuple[Path, ...],
    source: str | None,
    lattice: str | None,
    header_only: bool,
    records: bool,
    as_json: bool,
    ranks: str | None,
) -> int:
    """Say what each of FILES is and verify it.

    Printed are format, lattice, precision, every check with its value, bound and verdict, and the
    metadata. The exit status is 1 if any check fails or a file cannot be read.
    """
    from l2hmc_bridge.adapters.files.sources import in_file

    how = reading_of({"source": source, "lattice": lattice})
    with sharing(ranks) as crew:
        reports = [_report(path, how, held.index, header_only, crew)
                   for path in files for held in in_file(path, how)]
        if as_json:
            click.echo(json.dumps([_plain(report) for report in reports], indent=1))
        else:
            for report in reports:
                _show(report, records)
    return int(any(report["status"] == "fail" for report in reports))


def _report(
    path: Path, how: "Reading", index: int | None, header_only: bool, crew: "Crew"
) -> dict[str, Any]:
    """What the JSON output says of one file; an unreadable one is a failed report."""
    from l2hmc_bridge.adapters.format.checks import status_of
    from l2hmc_bridge.adapters.streams import theory as stream_theory

    try:
        if header_only:
            meta = dict(how.header(path, index))
        else:
            with how.shared(crew, path, index):
                meta = dict(how.inspect(path, index).meta)
        told = stream_theory.of(path, meta)
    except BridgeError as error:
        return {"path": str(path), "format": None, "dialect": None, "lattice": None,
                "precision": None, "status": "fail", "checks": [], "metadata": {},
                "warnings": [], "error": hints.here(str(error))}
    known = {"path": str(path), "format": meta.pop("format"), "dialect": meta.pop("dialect", None)}
    known["lattice"] = dict(zip("xyzt", meta.pop("lattice"), strict=True))
    known["precision"] = meta.pop("precision")
    known["status"] = status_of(meta)
    known["checks"] = meta.pop("checks")
    known["warnings"] = meta.pop("warnings")
    meta.pop("theory")
    known["theory"] = dataclasses.asdict(told)
    return {**known, "metadata": {**meta, "action": told.sentence() or "not stated"}}


def _plain(value: Any) -> Any:
    """JSON has no NaN and no bytes."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _show(report: Mapping[str, Any], records: bool) -> None:
    """Tables for a person; text from a file is never taken as markup."""
    from rich.text import Text

    from l2hmc_bridge.adapters.format.checks import sentences
    from l2hmc_bridge.cli.screen.tables import present, sentence
    from l2hmc_bridge.cli.screen.voice import readable

    if "error" in report:
        click.echo(f"l2hmc-bridge: {report['error']}", err=True)
        return
    lattice = "x".join(str(extent) for extent in report["lattice"].values())
    place = f"[{report['metadata']['index']}]" if "index" in report["metadata"] else ""
    heading = Text(f"{readable(report['path'])}{place}: {report['format']} ({report['dialect']}), "
                   f"{lattice} (x,y,z,t), {report['precision']} bits: ")
    sentence(heading.append(report["status"], STYLE[report["status"]]))
    checks = (
        (_cell(item["name"]), _cell(item["value"]), _cell(item["expected"]),
         f"{item['tolerance']:.2g}", Text(item["status"], STYLE[item["status"]]))
        for item in report["checks"])
    present(("check", "value", "expected", "tolerance", "status"), checks, prose=("check",))
    for fault in sentences(report["checks"]):
        sentence(_cell(f"fault: {fault}"), "red")
    for told in report["warnings"]:
        sentence(_cell(f"warning: {told}"), "yellow")
    meta = report["metadata"]
    about = [(key, _cell(meta[key])) for key in SHOWN if meta.get(key) is not None]
    about += [(_cell(key), _cell(value)) for key, value in meta.get("info", {}).items()
              if key.lower() not in SHOWN]
    present(("metadata", "value"), about, prose=("metadata", "value"))
    if records:
        present(("message", "flags", "offset", "length", "type"),
                map(_record, meta.get("records", ())))


def _record(record: Mapping[str, Any]) -> tuple[str, ...]:
    """A line of the table of LIME records."""
    flags = "B" * record["begin"] + "E" * record["end"]
    cells = (record["message"], flags, record["offset"], record["length"], record["type"])
    return tuple(_cell(cell) for cell in cells)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    from l2hmc_bridge.adapters.format.metadata import printable

    return f"{value:.10g}" if isinstance(value, float) else printable(str(value)[:300])
