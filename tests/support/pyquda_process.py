"""Run apart from pytest: PyQUDA's own readers and writers on files named in argv[1].

argv[1]: JSON {"read": {name: [reader, path, lattice]}, "write": {name: [writer, path, array]},
"sums": {name: [array, sum29, sum31]}}. Arrays read go to argv[2] (npz); a failure ends the process.
"""

import json
import sys

import numpy as np
import pyquda_io
from pyquda_comm import hdf5


def main() -> None:
    job = json.loads(open(sys.argv[1]).read())
    pyquda_io.init([1, 1, 1, 1])
    arrays = {}
    for name, (reader, path, lattice) in job["read"].items():
        found = getattr(pyquda_io, reader)(path, *([lattice] if lattice else []))
        arrays[name] = found if lattice else found[1]
    for writer, path, array in job["write"].values():
        gauge = np.load(array)
        getattr(pyquda_io, writer)(path, list(gauge.shape[1:5][::-1]), gauge)
    for array, sum29, sum31 in job["sums"].values():
        field = np.load(array)
        info = hdf5._LatticeInfo(list(field.shape[:4][::-1]))
        found = hdf5.checksum(info, field.reshape(info.volume, -1))
        assert tuple(map(int, found)) == (int(sum29, 16), int(sum31, 16)), found
    np.savez(sys.argv[2], **arrays)


main()
