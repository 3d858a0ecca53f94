"""Where things lie in the project."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
EXAMPLES = ROOT / "examples"
CONFIGURATION = EXAMPLES / "data" / "milc_l4x6x8x10_b6.0.ildg"  # written by MILC
