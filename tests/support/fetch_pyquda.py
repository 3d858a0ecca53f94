"""Fetch the source packages that hold PyQUDA's readers and unpack them into a folder.

    python tests/support/fetch_pyquda.py build/pyquda

Nothing of QUDA is built: `pyquda_io` and `pyquda_comm` are pure Python and need numpy, mpi4py and
an MPI library (`pip install mpi4py mpich` brings one).
"""

import subprocess
import sys
import tarfile
from pathlib import Path

PACKAGES = ("pyquda-utils==0.10.54.post0", "pyquda==0.10.54")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        command = [sys.executable, "-m", "pip", "download", "--no-deps",
                   "--no-binary", "pyquda,pyquda-utils", "--dest", str(folder), package]
        subprocess.run(command, check=True)
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
