"""The bundles that ship; `default()` names the one that `sample` takes when none is given."""

from pathlib import Path

from l2hmc_bridge.errors import BundleError

DEFAULT = "wilson"
REASONS = {  # what a shipped bundle is for, in words of `sample`
    "wilson": "trained steps, which move the flowed energy farther per force than HMC with any of "
              "four integrators, so also where a host's forces are what costs; for pure gauge "
              "streams of the Wilson action `sample --kernel heatbath` takes far less time",
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


def reason(name: str) -> str:
    """Why `sample` takes the shipped bundle `name`: what it is best at."""
    return REASONS[path(name).stem]


def default() -> Path:
    """The bundle for the Wilson action, SU(3), beta 5.6-6.2."""
    return path(DEFAULT)
