"""Exact, trained L2HMC updates for production lattice QCD streams."""

from pathlib import Path

__version__ = "0.1.0"

# An install lays adapters/ and cli/ inside this folder; a checkout keeps them beside it.
if not (Path(__file__).parent / "adapters").is_dir():
    __path__.append(str(Path(__file__).parent.parent))
