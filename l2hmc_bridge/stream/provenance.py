"""Who computed this: versions, revision of the source, machine; what every record keeps."""

import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from l2hmc_bridge import __version__, fast


def describe() -> dict[str, str]:
    """Versions of this package, its source, python, torch and numpy; the host and its kernels."""
    return {
        "version": __version__,
        "git_revision": git_revision(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "host": platform.node(),
        "compute": fast.description(),
    }


def now() -> str:
    """Date and time, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_revision() -> str:
    """The commit of the checkout this runs from, "-dirty" with local changes; "" outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists() or not (root / "pyproject.toml").is_file():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40",
               "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
