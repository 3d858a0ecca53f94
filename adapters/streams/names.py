"""Streams that production codes keep as numbered files: their names, and what comes next.

Each code has a scheme of its own; what it writes beside a configuration, and wants to find there
when it starts again, is in `side_files`. Sources: Grid qcd/hmc/checkpointers, Chroma
mainprogs/main/hmc.cc: saveState, openQCD main/README.ym1, QEX src/examples (`{traj:05}`), tmLQCD
src/bin/hmc_tm.c (`conf.%.4d`; the number counts saves, not trajectories), HiRep
PureGauge/suN_utils.c.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from l2hmc_bridge.adapters.format.metadata import are_extents
from l2hmc_bridge.errors import FormatError, StreamError

NUMBER = r"(?P<number>[0-9]{1,12})"
GRID_LABEL = "DWF"  # of Grid's NERSC files by default; GPT's have none, and it writes no ILDG


class Scheme(NamedTuple):
    """How a code names its configurations.

    pattern: of a configuration's name, with groups stem and number; spelled: the same as a
    template; related: what else of a stream has a number in its name; digits: least number of
    them; formats: what such files hold.
    """

    name: str
    shown: str
    pattern: str
    spelled: str
    related: str
    formats: tuple[str, ...]
    digits: int = 1


# The first whose pattern and formats fit is taken: the more particular names come first.
SCHEMES = (
    Scheme("Chroma", "PREFIX_cfg_N.lime", rf"(?P<stem>.+)_cfg_{NUMBER}\.lime",
           "{stem}_cfg_{number}.lime", r"{stem}_(?:cfg|restart|mom)_{NUMBER}(?:\D.*)?",
           ("ildg", "scidac")),
    Scheme("QEX", "PREFIX.NNNNN.lime", r"(?P<stem>.+)\.(?P<number>[0-9]{5,12})\.lime",
           "{stem}.{number}.lime", r"{stem}\.{NUMBER}(?:\D.*)?", ("scidac", "ildg"), 5),
    Scheme("tmLQCD", "conf.NNNN", r"(?P<stem>conf)\.(?P<number>[0-9]{4,12})", "{stem}.{number}",
           r"{stem}\.{NUMBER}(?:\D.*)?", ("ildg",), 4),
    Scheme("PyQUDA", "cfg_N.npy", rf"(?P<stem>.+)_{NUMBER}\.npy", "{stem}_{number}.npy",
           r"{stem}_{NUMBER}(?:\D.*)?", ("npy",)),
    Scheme("Grid or GPT", "ckpoint_lat.N (Grid, GPT)", rf"(?P<stem>.*lat|cfg)\.{NUMBER}",
           "{stem}.{number}", r"(?:{stem}|{rng}|{smeared})\.{NUMBER}(?:\D.*)?",
           ("nersc", "ildg")),
    Scheme("openQCD", "NAMEnN", rf"(?P<stem>.+)n{NUMBER}", "{stem}n{number}",
           r"{stem}n{NUMBER}(?:\D.*)?", ("openqcd",)),
    Scheme("HiRep", "NAMEnN", rf"(?P<stem>.+)n{NUMBER}", "{stem}n{number}",
           r"{stem}n{NUMBER}(?:\D.*)?", ("hirep",)),
    Scheme("MILC", "NAME.N (MILC, others)", rf"(?P<stem>.+)\.{NUMBER}", "{stem}.{number}",
           r"{stem}\.{NUMBER}(?:\D.*)?", ("milc", "scidac", "ildg", "nersc")),
)


@dataclass(frozen=True)
class HostStream:
    """The stream that a configuration of a host belongs to, and how its next one is written."""

    scheme: Scheme
    folder: Path
    stem: str
    number: int
    digits: int
    format: str
    options: Mapping[str, Any]  # of the writer: precision, rows
    grid: bool = False  # of a name that Grid and GPT share: the file is Grid's

    @property
    def name(self) -> str:
        """The name of its files, N in the place of the number."""
        return self.scheme.spelled.format(stem=self.stem, number="N")

    def path(self, number: int) -> Path:
        """Where the configuration of this number lies."""
        return self.folder / self.file_name(self.scheme.spelled, number)

    def file_name(self, spelled: str, number: int) -> str:
        """A name of this stream by its template."""
        return spelled.format(number=f"{number:0{self.digits}d}", **self.words())

    def words(self) -> dict[str, str]:
        """What the templates of names are filled with; Grid's end in lat or cfg, rng, smr."""
        front, end = self.stem[:-3], self.stem[-3:]
        rng, smeared = {"lat": ("rng", "smr"), "cfg": ("rng", "cfg_smr")}.get(end, (end, end))
        return {"stem": self.stem, "rng": front + rng, "smeared": front + smeared}


def recognise(path: Path, meta: Mapping[str, Any]) -> HostStream:
    """The stream of a configuration whose file says `meta`. Raises FormatError with the schemes."""
    named = [scheme for scheme in SCHEMES if re.fullmatch(scheme.pattern, path.name)]
    shown = ", ".join(dict.fromkeys(scheme.shown for scheme in SCHEMES))
    if not named:
        raise FormatError(f"{path}: expected the name of a host's configuration, one of {shown}, "
                          "found none of them")
    fitting = [scheme for scheme in named if meta["format"] in scheme.formats]
    if not fitting:
        told = " or ".join(f"{' or '.join(scheme.formats)} ({scheme.shown})" for scheme in named)
        raise FormatError(f"{path}: expected what such a name stands for, {told}, found "
                          f"{meta['format']}")
    _refuse_dialect(path, meta)
    scheme = fitting[0]
    stem, digits = _parts(scheme, path)
    if are_extents(digits, meta["lattice"]):
        raise FormatError(f"{path}: expected a name with the number of a trajectory, found the "
                          f"extents {digits} of its lattice")
    return HostStream(
        scheme=scheme,
        folder=path.parent,
        stem=stem,
        number=int(digits),
        digits=len(digits) if digits.startswith("0") else scheme.digits,
        format=meta["format"],
        options=_writing(meta),
        grid=meta["format"] == "ildg" or meta.get("ensemble_label") == GRID_LABEL,
    )


def _parts(scheme: Scheme, path: Path) -> tuple[str, str]:
    """(stem, digits) of a name of this scheme. Raises FormatError for another one."""
    match = re.fullmatch(scheme.pattern, path.name)
    if match is None:
        raise FormatError(f"{path}: expected a name like {scheme.shown}")
    return match["stem"], match["number"]


def number_of(stream: HostStream, name: str) -> int:
    """The number in the name of one of the stream's configurations. Raises FormatError."""
    stem, digits = _parts(stream.scheme, stream.folder / name)
    if stem != stream.stem:
        raise FormatError(f"{stream.folder / name}: expected a configuration of {stream.name}")
    return int(digits)


def last(stream: HostStream) -> Path:
    """The configuration of this stream with the highest number in its folder."""
    found = {}
    for path in stream.folder.iterdir():
        match = re.fullmatch(stream.scheme.pattern, path.name)
        if match and match["stem"] == stream.stem:
            found[int(match["number"])] = path
    return found[max(found)]


def later(stream: HostStream, folders: Iterable[Path]) -> list[Path]:
    """Whatever there is of this stream, in any form, with a number above its own, in order."""
    words = {name: re.escape(text) for name, text in stream.words().items()}
    pattern = re.compile(stream.scheme.related.format(NUMBER=NUMBER, **words), re.DOTALL)
    found = []
    for folder in dict.fromkeys(folders):
        for path in folder.iterdir():
            match = pattern.fullmatch(path.name)
            if match and int(match["number"]) > stream.number:
                found.append((int(match["number"]), path))
    return [path for _, path in sorted(found)]


def refuse_later(stream: HostStream, folders: Iterable[Path]) -> None:
    """Raise StreamError unless the stream's configuration is its last."""
    found = later(stream, folders)
    if found:
        raise StreamError(f"{found[0]}: expected {stream.path(stream.number).name} to be the last "
                          "of its stream, found this (remove it to repeat the update)")


def _refuse_dialect(path: Path, meta: Mapping[str, Any]) -> None:
    """FormatError for what is read but not written as its code writes it."""
    if meta["format"] == "scidac" and meta["dialect"] == "Grid":
        raise FormatError(f"{path}: expected Grid's NERSC or ILDG checkpoints, found those of its "
                          "ScidacHmcCheckpointer, which are not written here")
    if meta["format"] == "milc" and meta["dialect"] != "v5":
        raise FormatError(f"{path}: expected MILC version 5, found {meta['dialect']}, which is "
                          "not written here")
    if meta["format"] == "npy" and meta["dialect"] != "pyquda":
        raise FormatError(f"{path}: expected PyQUDA's array (4,T,Z,Y,X,3,3), found "
                          f"{tuple(meta['header']['shape'])}")


def _writing(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The writer's options for a file like this one."""
    options = {}
    if meta["format"] in ("nersc", "ildg", "scidac", "npy"):
        options["precision"] = meta["precision"]
    if meta["format"] == "nersc":
        options["rows"] = meta["rows"]
    return options
