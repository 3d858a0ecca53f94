"""Any gauge file to and from one configuration: the table of formats, and the four verbs on it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format.checks import accepted, judge
from l2hmc_bridge.adapters.format.metadata import printable
from l2hmc_bridge.adapters.format.record import Format
from l2hmc_bridge.adapters.formats import (
    bridge_header,
    hirep_header,
    lyncs_header,
    milc_header,
    nersc_header,
    npy_header,
    openqcd_header,
    raw_header,
)
from l2hmc_bridge.adapters.formats.hdf5 import header as hdf5_header
from l2hmc_bridge.adapters.formats.lime import ildg_header
from l2hmc_bridge.adapters.theory import table as theory
from l2hmc_bridge.errors import BridgeError, FormatError
from l2hmc_bridge.fields.configuration import Configuration

from .foreign import foreign
from .second_looks import guessed, mended

# Sure magics first; what is known only by its size comes last.
FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        ildg_header.FORMAT, ildg_header.SCIDAC, nersc_header.FORMAT, hdf5_header.FORMAT,
        npy_header.FORMAT, milc_header.FORMAT, openqcd_header.FORMAT,
        hirep_header.FORMAT, bridge_header.FORMAT, raw_header.KYU, raw_header.JLQCD, raw_header.RAW,
        lyncs_header.FORMAT,
    )
}
HEAD = 512


def detect(path: Path | str) -> Format:
    """The format of a file, known by its bytes; the suffix only breaks ties. Raises FormatError."""
    path = Path(path)
    size, head = _head(path)
    if size == 0:
        raise FormatError(f"{path}: expected a gauge configuration, found an empty file")
    found = [form for form in FORMATS.values() if form.sniff(head, size)]
    if len(found) > 1:
        found = [form for form in found if _suffix(path) in form.suffixes] or found
    if not found and (told := foreign(head, size)):
        raise FormatError(f"{path}: expected a gauge configuration, found {told}")
    if not found:
        raise FormatError(f"{path}: expected one of the formats {', '.join(FORMATS)}, found none "
                          f"that begins with {head[:8].hex(' ')} (--from names it)")
    return found[0]


def chains(path: Path | str, format: str | None = None) -> list[int]:
    """The chain of each configuration in a file, 0 where it does not say."""
    path = Path(path)
    form = by_name(format) if format else detect(path)
    return _guarded(path, form.chains) if form.chains else [0]


def count(path: Path | str, format: str | None = None) -> int:
    """How many configurations a file holds."""
    return len(chains(path, format))


def by_name(name: str) -> Format:
    """The format of this name; FormatError lists the names."""
    if name not in FORMATS:
        raise FormatError(f"format: expected one of {', '.join(FORMATS)}, found {name!r}")
    return FORMATS[name]


def by_suffix(path: Path | str) -> Format:
    """The format that a new file's suffix names; FormatError lists the suffixes."""
    for form in FORMATS.values():
        if _suffix(Path(path)) in form.suffixes:
            return form
    known = ", ".join(f".{suffix}" for form in FORMATS.values() for suffix in form.suffixes)
    raise FormatError(f"{path}: expected a suffix of {known}, found {Path(path).suffix!r} "
                      "(--format names the format)")


def read(
    path: Path | str,
    format: str | None = None,
    verify: bool = True,
    accept: Sequence[str] = (),
    mend: bool = False,
    **options: Any,
) -> Configuration:
    """A verified configuration; raises FormatError, or VerificationError if a check fails.

    verify=False skips all checks but those of sizes. accept: "checksum", "plaquette",
    "link_trace": such a check may fail, which is recorded in meta["accepted"]. mend: links whose
    only fault is a drift of at most 1e-2 are projected to SU(3), which is recorded in
    meta["reunitarized"]. Options: slices=(a, b) reads time slices a..b-1 alone; lattice=(X,Y,Z,T)
    if the file does not state it (one that does must agree).
    """
    found = inspect(path, format, verify, **options)
    configuration = found._replace(meta=accepted(found.meta, accept))
    if mend:
        configuration = mended(configuration)
    judge(Path(path), configuration.meta["checks"])
    return configuration


def inspect(
    path: Path | str, format: str | None = None, verify: bool = True, **options: Any
) -> Configuration:
    """Like `read`, but a failed check stays a record in meta["checks"]."""
    from . import shared

    path = Path(path)
    form = by_name(format) if format else detect(path)
    given, lattice = _options(form, options)
    read = shared.read(form, lambda: _guarded(path, form.read, verify=verify, **given))
    meta = _complete(path, read.meta, lattice)
    if "lattice" in given:
        guessed(meta)
    return read._replace(meta=meta)


def header(path: Path | str, format: str | None = None, **options: Any) -> dict[str, Any]:
    """The metadata alone: the links are not touched."""
    path = Path(path)
    form = by_name(format) if format else detect(path)
    given, lattice = _options(form, options)
    return _complete(path, _guarded(path, form.header, **given), lattice)


def _complete(
    path: Path, meta: Mapping[str, Any], lattice: Sequence[int] | None
) -> dict[str, Any]:
    """The metadata with what they tell of a theory: a Theory, and what our files carry of it."""
    if lattice is not None and tuple(lattice) != tuple(meta["lattice"]):
        raise FormatError(f"{path}: expected the lattice {_shown(lattice)} (--lattice), found "
                          f"{_shown(meta['lattice'])} in the file")
    told = _guarded(path, lambda _path: theory.stated(meta, path.name))
    if meta.get("boundary") and not told.other:
        told = replace(told, other=meta["boundary"], hinted=False)
    beta = meta.get("beta") if told.beta is None else told.beta
    return {**meta, "beta": beta, "theory": told, **told.carried()}


def _shown(lattice: Sequence[int]) -> str:
    return ",".join(map(str, lattice))


def write(
    path: Path | str,
    configuration: Configuration,
    format: str | None = None,
    force: bool = False,
    **options: Any,
) -> None:
    """Write a whole file or none; an existing one is replaced only with `force`.

    The format is `format` or what the suffix names. Options: precision (32 or 64), rows (2 or 3),
    lfn, if the format has them. Raises BridgeError.
    """
    from l2hmc_bridge.fields.layout import check_links

    from . import shared

    path = Path(path)
    form = by_name(format) if format else by_suffix(path)
    if form.write is None:
        raise FormatError(f"{path}: format {form.name} is read-only")
    check_links(configuration.links)
    if configuration.links.shape[0] != 1:
        raise FormatError(f"{path}: expected one configuration, found a batch of "
                          f"{configuration.links.shape[0]}")
    _check_choices(form, options)
    known = _known(form, form.write_options, options)
    give = form.write
    shared.write(form, configuration, lambda one: give(path, one, force=force, **known))


def _check_choices(form: Format, options: dict[str, Any]) -> None:
    for name, choices in (("precision", (32, 64)), ("rows", (2, 3))):
        if options.get(name) is not None and options[name] not in choices:
            raise FormatError(f"{name}: expected one of {choices}, found {options[name]!r}")


def _options(form: Format, options: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """(options for the reader, the lattice that a format which states its own must agree with)."""
    given = dict(options)
    lattice = None if "lattice" in form.read_options else given.pop("lattice", None)
    return _known(form, form.read_options, given), lattice


def _known(form: Format, names: Iterable[str], options: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value is not None}
    unknown = set(given) - set(names)
    if unknown:
        raise FormatError(f"format {form.name}: expected options of "
                          f"{', '.join(names) or 'none'}, found {', '.join(sorted(unknown))}")
    return given


def _guarded(path: Path, function: Any, **options: Any) -> Any:
    """Call a reader; every error is a BridgeError of one line that begins with the file's name."""
    try:
        if not path.is_file():
            raise FormatError(f"{path}: expected a file, found "
                              f"{'a folder' if path.is_dir() else 'none'}")
        return function(path, **options)
    except BridgeError as error:
        told = printable(str(error))
        if str(error) == told and told.startswith(str(path)):
            raise
        start = "" if told.startswith(str(path)) else f"{path}: "
        raise type(error)(start + told) from error
    except OSError as error:
        raise FormatError(f"{path}: could not be read: {error.strerror or error}") from error


def _head(path: Path) -> tuple[int, bytes]:
    def look(path: Path) -> tuple[int, bytes]:
        with open(path, "rb") as file:
            return path.stat().st_size, file.read(HEAD)

    return _guarded(path, look)


def _suffix(path: Path) -> str:
    return path.suffix[1:].lower()
