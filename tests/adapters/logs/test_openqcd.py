"""openQCD's .ms.dat, known by its structure whatever it is called; other binaries are not it."""

import struct

import numpy as np
import pytest

from l2hmc_bridge.adapters.logs import openqcd
from l2hmc_bridge.adapters.logs.table import read_log
from l2hmc_bridge.errors import FormatError


def written(numbers=(1, 2, 3), dn=5, nn=2, slices=4, eps=0.02) -> bytes:
    rng = np.random.default_rng(1)
    return struct.pack("<iiid", dn, nn, slices, eps) + b"".join(
        struct.pack("<i", number) + rng.normal(size=(3, nn + 1, slices)).tobytes()
        for number in numbers)


@pytest.mark.parametrize("name", ["a.ms.dat", "a.dat", "flow", "table.csv"])
def test_it_is_known_by_its_structure(name, tmp_path):
    (tmp_path / name).write_bytes(written())
    assert [one.trajectory for one in read_log(tmp_path / name).references] == [1, 2, 3]


@pytest.mark.parametrize("other", [
    written(numbers=(3, 2)), written(numbers=(-1, 2)), written(dn=0), written(eps=2.0),
    written() + b"\0", written(numbers=()), np.random.default_rng(2).bytes(4096), b"",
])
def test_other_bytes_are_not(other, tmp_path):
    assert not openqcd.recognise(other)
    (tmp_path / "some.dat").write_bytes(other)
    with pytest.raises(FormatError, match="expected"):
        read_log(tmp_path / "some.dat")
