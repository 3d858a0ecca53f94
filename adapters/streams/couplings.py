"""The beta that a host's side files state, held against the one that is sampled here.

Chroma's restart XML has <beta> in its gauge action. WILSON_GAUGEACT and RBC_GAUGEACT count as we do
(plaquettes times beta c0 / 3); other actions of Chroma put c0 or u0 into their beta and are not
compared. openQCD's log has "beta = ..." (main/ym1.c: print_lat_parms, modules/flags/lat_parms.c).
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from l2hmc_bridge.adapters.formats.lime import markup
from l2hmc_bridge.errors import ActionError, FormatError

from .names import HostStream
from .side_files import find

OURS = {"WILSON_GAUGEACT", "RBC_GAUGEACT"}
PRINTED = 5e-7  # old logs have six digits after the point
LOGGED = re.compile(r"beta\s*=\s*([^\s,]+)")


def require_beta(stream: HostStream, folders: Sequence[Path], beta: float) -> None:
    """Raise ActionError where a side file of the stream states another beta; FormatError, none."""
    for path, text in _stated(stream, folders):
        try:
            found = float(text)
        except ValueError:
            raise FormatError(f"{path}: expected a number for beta, found {text[:40]!r}") from None
        if not abs(found - beta) <= PRINTED:
            raise ActionError(f"{path}: expected beta {beta!r}, which is sampled here (--beta), "
                              f"found beta {found!r}: the host samples another distribution")


def _stated(stream: HostStream, folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """(file, text) of each beta that is stated."""
    if stream.scheme.name == "Chroma":
        path = find(stream.file_name("{stem}_restart_{number}.xml", stream.number), folders)
        fields = None if path is None else markup.parse(path.read_bytes())
        if fields and {name for name in fields.all("Name") if name.endswith("_GAUGEACT")} <= OURS:
            for text in fields.all("beta"):
                yield path, text.strip()
    if stream.scheme.name == "openQCD":
        path = find(f"{stream.stem}.log", folders)
        if path is not None:
            with open(path, encoding="latin-1") as file:
                for line in file:
                    match = LOGGED.match(line)
                    if match:
                        yield path, match[1]
