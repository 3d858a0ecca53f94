"""PyQUDA's pure-Python readers take what we write, and we what they write."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.fields.configuration import Configuration
from tests.support import samples
from tests.support.places import ROOT

SOURCES = Path(os.environ.get("L2HMC_BRIDGE_PYQUDA", ROOT / "build" / "pyquda"))
# PyQUDA turns the extents of openQCD headers around: equal x and z leave both readings the same.
EXTENTS = (4, 6, 2, 6)
READERS = {
    "a.ildg": "readILDGGauge", "a.nersc": "readNERSCGauge", "a.milc": "readMILCGauge",
    "a.openqcd": "readOpenQCDGauge", "a.npy": "readNPYGauge", "b.ildg": "readChromaQIOGauge",
}
WRITERS = {
    "t.nersc": "writeNERSCGauge", "t.milc": "writeMILCGauge", "t.openqcd": "writeOpenQCDGauge",
    "t.npy": "writeNPYGauge", "t.kyu": "writeKYUGauge",
}


def gauge(links: torch.Tensor) -> np.ndarray:
    """PyQUDA's array [mu = x,y,z,t][t][z][y][x][3][3]."""
    array = links[0].numpy().transpose(0, 1, 4, 3, 2, 5, 6)
    return np.ascontiguousarray(array[[1, 2, 3, 0]])


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory):
    """(folder, arrays that PyQUDA read, our links) after one run of its readers and writers."""
    folder = tmp_path_factory.mktemp("pyquda")
    paths = {str(path.parents[1]) for path in SOURCES.glob("*/pyquda_*/__init__.py")}
    if not paths:
        pytest.skip(f"PyQUDA's sources are not in {SOURCES} (tests/support/fetch_pyquda.py "
                    "fetches them; L2HMC_BRIDGE_PYQUDA names another folder)")
    environment = dict(os.environ)
    given = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([*sorted(paths), *([given] if given else [])])
    probe = subprocess.run([sys.executable, "-c", "from mpi4py import MPI"], env=environment,
                           capture_output=True, text=True)
    if probe.returncode:
        pytest.skip("mpi4py with an MPI library is not installed (pip install mpi4py mpich): "
                    f"{probe.stderr.strip().splitlines()[-1]}")
    links = samples.random_links(extents=EXTENTS)
    job = _job(folder, links)
    (folder / "job.json").write_text(json.dumps(job))
    script = ROOT / "tests" / "support" / "pyquda_process.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder / "job.json"), str(folder / "read.npz")],
        env=environment, capture_output=True, text=True, timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, np.load(folder / "read.npz"), links


def _job(folder: Path, links: torch.Tensor) -> dict:
    ours = Configuration(links, dict(samples.META))
    for name in READERS:
        files.write(folder / name, ours)
    files.write(folder / "a.h5", ours, dialect="pyquda")
    np.save(folder / "gauge.npy", gauge(links))
    sums = {}
    with h5py.File(folder / "a.h5") as file:
        for key, data in file["LatticeColorMatrix"].items():
            np.save(folder / f"{key}.npy", data[:])
            sums[key] = [str(folder / f"{key}.npy"), data.attrs["sum29"], data.attrs["sum31"]]
    read = {name: [reader, str(folder / name), None] for name, reader in READERS.items()}
    write = {name: [writer, str(folder / name), str(folder / "gauge.npy")]
             for name, writer in WRITERS.items()}
    return {"read": read, "write": write, "sums": sums}


@pytest.mark.parametrize("name", READERS)
def test_pyquda_reads_ours(exchanged, name):
    _, arrays, links = exchanged
    tolerance = 3e-7 if name == "a.milc" else 0
    assert np.abs(arrays[name] - gauge(links)).max() <= tolerance


@pytest.mark.parametrize("name", WRITERS)
def test_we_read_pyquda(exchanged, name):
    folder, _, links = exchanged
    nt, nx, ny, nz = EXTENTS
    options = {"format": "kyu", "lattice": (nx, ny, nz, nt)} if name == "t.kyu" else {}
    found = files.read(folder / name, **options)
    assert (found.links - links).abs().max() <= (1e-7 if name == "t.milc" else 0)
    assert {item["status"] for item in found.meta["checks"]} == {"pass"}
