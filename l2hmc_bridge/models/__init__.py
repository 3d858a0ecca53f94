"""The bundles that ship, one per use; `default()` is the one that `sample` takes if none is given.
"""

import os
from pathlib import Path

from l2hmc_bridge.errors import BundleError

DEFAULT = "wilson"
REASONS = {  # what a shipped bundle is for, in words of `sample`
    "wilson": "trained steps, which move the flowed energy farther per force than HMC with any of "
              "four integrators; for pure gauge streams of the Wilson action `sample --kernel "
              "heatbath` takes far less time, for streams with quarks the bundle quarks takes the "
              "fewest forces of a host",
    "quarks": "a level of kicks around the forces of any host with quarks, trained to take few of "
              "them, around the steps of wilson",
}


def names() -> list[str]:
    """Names of the shipped bundles."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.safetensors"))


def path(name: str) -> Path:
    """Where the shipped bundle `name` lies; BundleError names the choices."""
    found = Path(__file__).parent / f"{name}.safetensors"
    if not found.exists():
        raise BundleError(f"{name}: expected one of the shipped bundles {names()}, found none")
    return found


def located(given: Path | str) -> Path:
    """The file `given`, or where no such file lies, the shipped bundle of that name.

    Raises BundleError for what is neither path nor name.
    """
    if not isinstance(given, str | os.PathLike):
        raise BundleError(f"bundle: expected a path, or the name of one that ships "
                          f"({', '.join(names())}), found {type(given).__name__}")
    here = Path(given)
    missing = not here.exists() or here.is_dir()
    return path(str(given)) if str(given) in names() and missing else here


def reason(name: str) -> str:
    """Why `sample` takes the shipped bundle `name`: what it is best at."""
    return REASONS[path(name).stem]


def default() -> Path:
    """The bundle for the Wilson action, SU(3), beta 5.6-6.2."""
    return path(DEFAULT)
