"""`l2hmc-bridge convert`: gauge files from any format to any other, one or many."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from l2hmc_bridge.adapters.files import targets as names
from l2hmc_bridge.cli.screen.options import parse_lattice, reading, which_format
from l2hmc_bridge.cli.screen.sharing import ranks_option, sharing
from l2hmc_bridge.cli.screen.voice import speaking
from l2hmc_bridge.errors import BridgeError

if TYPE_CHECKING:
    from l2hmc_bridge.adapters.files.ensemble import Ensemble
    from l2hmc_bridge.fields.configuration import Configuration
    from l2hmc_bridge.ranks.crew import Crew

REPORTED = ("beta", "trajectory", "lfn", "ensemble_id", "ensemble_label", "reunitarized",
            "accepted")


@click.command(short_help="Convert gauge files from any format to any other.")
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.argument("output", metavar="OUT")
@click.option("--format", "name", metavar="NAME", help="Format of OUT (default: by its suffix); "
              "of IN, if it is one that is only read: raw, kyu, jlqcd.")
@speaking
@reading()
@click.option("--index", type=int, help="Which of the configurations in IN, from 0 on.")
@click.option("--layout", help="Axes of a plain array: pyquda or lyncs.")
@click.option("--trust", is_flag=True, help="Let lyncs_io unpickle IN: this can run any code.")
@click.option("--precision", type=click.Choice(["32", "64"]), help="Bits of a number in OUT.")
@click.option("--rows", type=click.Choice(["2", "3"]), help="Rows of a link in OUT (NERSC).")
@click.option("--lfn", help="Logical file name (ILDG).")
@click.option("--dialect", help="HDF5 layout: l2hmc-bridge or pyquda.")
@click.option("--compression", help="HDF5 ensembles: gzip or lzf.")
@click.option("--reunitarize", is_flag=True, help="Project the links to SU(3); recorded in OUT.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True,
              help="Files converted at once.")
@click.option("--force", is_flag=True, help="Replace existing files.")
@ranks_option
def command(
    inputs: tuple[str, ...], output: str, name: str | None, source: str | None,
    lattice: str | None, accept: tuple[str, ...], index: int | None, layout: str | None,
    trust: bool,
    precision: str | None, rows: str | None, lfn: str | None, dialect: str | None,
    compression: str | None, reunitarize: bool, jobs: int, force: bool, ranks: str | None,
) -> None:
    """Read IN, verify it, and write OUT.

    IN may be files, quoted patterns ('cfg_*.lime'), folders, streams and HDF5 ensembles. For
    several configurations OUT is one HDF5 file, or a name with {trajectory}, {stem}, {index} or
    {chain} ('out/cfg_{trajectory}.nersc', 'out/chain_{chain}/cfg_{trajectory:05}.ildg'); folders
    with fields in their names are made. What OUT cannot hold is said.
    """
    from l2hmc_bridge.adapters.files.ensemble import open_ensemble

    source, name = which_format(source, name)
    how = {"lattice": parse_lattice(lattice) if lattice else None, "layout": layout,
           "trust": trust or None, "accept": accept, "mend": reunitarize or None}
    writing = {"precision": int(precision) if precision else None,
               "rows": int(rows) if rows else None, "lfn": lfn, "dialect": dialect,
               "compression": compression}
    given = {key: value for key, value in how.items() if value is not None}
    ensemble = open_ensemble(list(inputs), source, True, **given)
    if index is not None:
        ensemble = _selected(ensemble, index)
    job = Job(ensemble, output, name, writing, reunitarize, force)
    if ranks is not None and (jobs > 1 or job.is_ensemble and len(ensemble) > 1):
        raise click.UsageError("--ranks: expected neither --jobs nor many configurations for one "
                               "file")
    if job.is_ensemble and len(ensemble) > 1:
        job.into_one_file()
        return
    with sharing(ranks) as crew:
        job.one_by_one(jobs, crew)


def _selected(ensemble: "Ensemble", index: int) -> "Ensemble":
    if not 0 <= index < len(ensemble):
        raise BridgeError(f"--index: expected 0 to {len(ensemble) - 1}, found {index}")
    return ensemble[index : index + 1]


class Job:
    """One call of the verb: what is read, where it goes, and how."""

    def __init__(
        self, ensemble: "Ensemble", output: str, name: str | None, writing: dict[str, Any],
        reunitarize: bool, force: bool,
    ):
        from l2hmc_bridge.adapters.files import table as files

        self.ensemble, self.output, self.force = ensemble, output, force
        self.format = files.by_name(name) if name else files.by_suffix(output)
        self.writing = {key: value for key, value in writing.items() if value is not None}
        self.reunitarize = reunitarize
        self.is_ensemble = self.format.name == "hdf5" and "{" not in output
        if self.writing.get("dialect") == "pyquda":
            self.is_ensemble = False

    def into_one_file(self) -> None:
        """All configurations, one after the other, into one HDF5 ensemble."""
        from l2hmc_bridge.adapters.formats.hdf5 import ensemble as hdf5_ensemble

        options = {key: value for key, value in self.writing.items() if key != "dialect"}
        known = {"precision", "compression"}
        if set(options) - known:
            raise BridgeError(f"an HDF5 ensemble takes no {', '.join(set(options) - known)}")
        names.require_free([Path(self.output)], self.inputs, self.force)
        with hdf5_ensemble.create(Path(self.output), self.force, **options) as writer:

            def one(item: int) -> str:
                configuration = self._read(item)
                writer.append(configuration)
                return (f"{self.ensemble.sources[item].path} -> {self.output}[{item}]"
                        f"{doubts(configuration)}")

            self._with_progress(one, 1)

    def one_by_one(self, jobs: int, crew: "Crew") -> None:
        """Every configuration into a file of its own; all names are known before the first."""
        targets = self._targets()

        def one(item: int) -> str:
            from l2hmc_bridge.adapters.files import table as files

            target = targets[item]
            with self._shared(crew, item):
                configuration = self._read(item)
                files.write(target, configuration, self.format.name, self.force, **self.writing)
            kept = files.header(target, **self._told(configuration))
            lost = losses(configuration.meta, kept)
            told = f"; lost: {', '.join(lost)}" if lost else ""
            return f"{self.ensemble.sources[item].path} -> {target}{told}{doubts(configuration)}"

        self._with_progress(one, jobs)

    def _told(self, configuration: "Configuration") -> dict[str, Any]:
        """What a file of this format does not say of itself."""
        if self.format.name == "bridge":
            return {"lattice": configuration.meta["lattice"]}
        return {"layout": "lyncs"} if self.format.name == "lyncs" else {}

    def _shared(self, crew: "Crew", item: int) -> AbstractContextManager[None]:
        """Under it a configuration is read and written by the ranks of `crew` together."""
        return crew.sharing(lambda: self.ensemble.header(item)["lattice"], 1)

    def _read(self, item: int) -> "Configuration":
        configuration = self.ensemble[item]
        chain = self.ensemble.sources[item].chain
        configuration = configuration._replace(meta={**configuration.meta, "chain": chain})
        return reunitarized(configuration) if self.reunitarize else configuration

    def _targets(self) -> list[Path]:
        """The name of every output; an error before anything is written if two are the same."""
        total = len(self.ensemble)
        if total > 1 and "{" not in self.output:
            raise click.UsageError(f"{total} configurations: expected OUT with {{trajectory}}, "
                                   "{stem}, {index} or {chain}, or an HDF5 file, found "
                                   f"{self.output!r}")
        if "{" not in self.output:
            found = [Path(self.output)]
        else:
            fields = _fields(self.output)
            found = names.targets(self.output, [self._values(item, fields)
                                                for item in range(total)])
        made = "{" in str(Path(self.output).parent)
        names.require_free(found, self.inputs, self.force, made)
        for folder in {path.parent for path in found if made}:
            folder.mkdir(parents=True, exist_ok=True)
        return found

    @property
    def inputs(self) -> list[Path]:
        """The file of each configuration that is read."""
        return [source.path for source in self.ensemble.sources]

    def _values(self, item: int, fields: set[str]) -> dict[str, Any]:
        source = self.ensemble.sources[item]
        values: dict[str, Any] = {"index": item, "stem": source.path.stem, "chain": source.chain}
        if "trajectory" in fields:
            values["trajectory"] = self.ensemble.header(item).get("trajectory")
            if values["trajectory"] is None:
                raise BridgeError(f"{source.path}: expected a trajectory number in the file or its "
                                  "name, found none (use {index} or {stem})")
        return {name: values[name] for name in fields}

    def _with_progress(self, one: Callable[[int], str], jobs: int) -> None:
        from l2hmc_bridge.cli.screen.progress import bar
        from l2hmc_bridge.cli.screen.voice import voice

        total = len(self.ensemble)
        with bar("convert", total, transient=True) as shown:
            with ThreadPoolExecutor(jobs) as pool:
                futures = [pool.submit(one, item) for item in range(total)]
                try:
                    for future in futures:
                        told = future.result()
                        click.echo(told)
                        voice().record(told)
                        shown.step()
                finally:
                    for future in futures:
                        future.cancel()


def _fields(pattern: str) -> set[str]:
    try:
        return names.fields_of(pattern)
    except BridgeError as error:
        raise click.UsageError(str(error)) from error


def doubts(configuration: "Configuration") -> str:
    """The warnings of the reader, a line each."""
    return "".join(f"\n  warning: {told}" for told in configuration.meta["warnings"])


def reunitarized(configuration: "Configuration") -> "Configuration":
    """The links projected to SU(3), and a sentence about it in the metadata."""
    from l2hmc_bridge.fields import part, su3

    if configuration.meta.get("reunitarized"):
        return configuration  # the reader had to, and said so
    links = configuration.links
    defect = part.largest(su3.unitarity_defect(links).max(), links)
    meta = dict(configuration.meta)
    meta["reunitarized"] = f"projected to SU(3), max|UU^+ - 1| was {defect:.1e}"
    return configuration._replace(links=su3.project_group(configuration.links), meta=meta)


def losses(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What the written file does not hold of the metadata that was read."""
    from l2hmc_bridge.adapters.format.metadata import lasting

    lost = [key for key in REPORTED
            if before.get(key) not in (None, "") and after.get(key) != before[key]]
    told, kept = ({*lasting(meta.get("info") or {}), *({"gauge_action", "quarks"} & set(meta))}
                  for meta in (before, after))
    if told - kept:
        lost.append("parameters of the ensemble")
    if before["precision"] > after["precision"]:
        lost.append(f"precision ({before['precision']} to {after['precision']} bits)")
    return lost
