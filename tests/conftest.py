"""Shared helpers of the suite: reference files, small random fields, one seed, threads."""

import os
from pathlib import Path

# Workers share the cores; set before torch starts its threads, and so in child processes too.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // WORKERS)))
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a thread that waits leaves its core

os.environ.pop("COLUMNS", None)  # pytest's own, not the width of anybody's screen

import pytest  # noqa: E402
import torch  # noqa: E402

HERE = Path(__file__).resolve().parent
REFERENCE = Path(
    os.environ.get("L2HMC_BRIDGE_REFERENCE", HERE.parent.parent / "shared" / "reference")
)


def reference_file(name: str) -> Path:
    """Path of a real file written by another code; skips the test if the folder is absent."""
    path = REFERENCE / name
    if not path.exists():
        path = REFERENCE / "files" / name
    if not path.exists():
        pytest.skip(f"reference file {name} not found (set L2HMC_BRIDGE_REFERENCE)")
    return path


THREADS = torch.get_num_threads()


@pytest.fixture(autouse=True)
def as_many_threads_as_before():
    """A test that changes the number of threads changes it for itself."""
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(THREADS)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20231)


@pytest.fixture
def data() -> Path:
    return HERE / "data"
