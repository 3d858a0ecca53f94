"""Series of streams as observables of pyerrors, in its own file: FILE.json.gz.

    import pyerrors; observables = pyerrors.input.json.load_json("stream")  # of stream.json.gz

One observable a series, called by its tag; names are STREAM|chain_C, idl are the trajectory
numbers themselves, gaps included. Nothing before the cut is in it.
"""

import gzip
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from l2hmc_bridge.analysis.about import run_of
from l2hmc_bridge.analysis.series import History
from l2hmc_bridge.analysis.statistics import MINIMUM_LENGTH
from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.storage.atomic import replacing

SUFFIX = ".json.gz"


def write(path: Path, histories: Sequence[History], cuts: Sequence[int], force: bool) -> list[str]:
    """Write the series of all streams; returns the names of those that pyerrors could not hold.

    These are series with NaN, or with fewer than five values in a chain. Raises BridgeError.
    """
    if not path.name.endswith(SUFFIX):
        raise BridgeError(f"{path}: expected a name that ends in {SUFFIX} (--export)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyerrors
        from pyerrors.input.json import create_json_string

        kept, left_out = [], []
        used: set[str] = set()
        for history, cut in zip(histories, cuts, strict=True):
            ensemble = _ensemble(history, used)
            for name in history.series:
                observable = _observable(pyerrors, history, name, cut, ensemble)
                if observable is None:
                    left_out.append(f"{history.name}: {name}")
                else:
                    kept.append(observable)
        if not kept:
            raise BridgeError(f"{path}: expected series of at least {MINIMUM_LENGTH} numbers, "
                              "found none")
        described = {"program": "l2hmc-bridge",
                     "streams": [dict(run_of(history)) for history in histories],
                     "cuts": list(cuts)}
        text = create_json_string(kept, described, indent=1)
    with replacing(path, force) as file:
        file.write(gzip.compress(text.encode(), mtime=0))
    return left_out


def _ensemble(history: History, used: set[str]) -> str:
    """A name of its own for each stream; pyerrors takes no bar in it."""
    plain = history.name.encode("utf-8", "backslashreplace").decode().replace("|", "_")
    names = (plain, *(f"{plain} ({n})" for n in range(2, len(used) + 3)))
    name = next(name for name in names if name not in used)
    used.add(name)
    return name


def _observable(pyerrors: Any, history: History, name: str, cut: int, ensemble: str) -> Any:
    """The series as pyerrors.Obs, None if it cannot be one."""
    series = history.series[name]
    chains, numbers = series.after(cut), series.numbers_after(cut)
    if any(chain.size < MINIMUM_LENGTH or not np.isfinite(chain).all() for chain in chains):
        return None
    made = pyerrors.Obs(chains, [f"{ensemble}|chain_{n:06d}" for n in range(len(chains))],
                        idl=[chain.tolist() for chain in numbers])
    made.tag = name
    return made
