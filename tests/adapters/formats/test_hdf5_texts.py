"""Text attributes of HDF5 files: no damage makes the reader go round in circles."""

import struct

import h5py
import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.format.checks import status_of
from l2hmc_bridge.adapters.formats.hdf5 import texts
from l2hmc_bridge.errors import FormatError, VerificationError
from tests.support import samples

GROUP = "LatticeColorMatrix"


@pytest.fixture
def pyquda(tmp_path):
    return samples.written(samples.CASES["hdf5-pyquda"], tmp_path)


def changed(path, change):
    with h5py.File(path, "r+") as file:
        change(file[GROUP])
    return path


@pytest.mark.slow
def test_a_circle_in_the_heap_comes_to_an_end(pyquda):
    """An object whose size, rounded up, wraps to zero: the library looks at it for ever."""
    raw = bytearray(pyquda.read_bytes())
    first_object = raw.index(b"GCOL") + 16
    raw[first_object + 8 : first_object + 16] = struct.pack("<Q", 2**64 - 16)
    pyquda.write_bytes(raw)
    with pytest.raises(FormatError, match=f"{pyquda}: attributes .*within 2 s, found no end"):
        files.read(pyquda)


def test_only_texts_of_variable_length_cost_a_process(pyquda, tmp_path, monkeypatch):
    (tmp_path / "ours").mkdir()
    ours = samples.written(samples.CASES["hdf5"], tmp_path / "ours")
    fixed = tmp_path / "fixed.h5"
    fixed.write_bytes(pyquda.read_bytes())

    def fix(group):
        for owner in (group, *group.values()):
            for name, text in owner.attrs.items():
                owner.attrs.create(name, text, dtype=h5py.string_dtype(length=32))

    changed(fixed, fix)
    calls = []
    real = texts.subprocess.run
    monkeypatch.setattr(texts.subprocess, "run",
                        lambda *some, **named: calls.append(some) or real(*some, **named))
    for path in (ours, fixed):
        assert status_of(files.read(path).meta) == "pass"
    assert not calls
    assert status_of(files.read(pyquda).meta) == "pass"
    assert len(calls) == 1


def test_the_child_brings_no_torch_with_it(pyquda, monkeypatch):
    seen = {}
    real = texts.subprocess.run

    def traced(command, **named):
        done = real([command[0], "-X", "importtime", *command[1:]], **named)
        seen["modules"] = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        return done

    monkeypatch.setattr(texts.subprocess, "run", traced)
    files.header(pyquda)
    assert "h5py" in seen["modules"]
    assert not seen["modules"] & {"torch", "l2hmc_bridge", "numba", "scipy"}


def _numbers_for_text(group):
    group.attrs["Lattice"] = [6, 2, 8, 4]


def _many_texts(group):
    group.attrs["Lattice"] = ["6", "2", "8", "4"]


def _endless_text(group):
    group.attrs["Lattice"] = "6 2 8 4" + " " * 5000


def _no_lattice(group):
    del group.attrs["Lattice"]


def _other_lattice(group):
    group.attrs["Lattice"] = "6 2 8 five"


def _no_hexadecimal(group):
    group["Y"].attrs["sum31"] = "xyz"


@pytest.mark.parametrize("change, told", [
    (_numbers_for_text, "attribute Lattice: expected a short text"),
    (_many_texts, "attribute Lattice: expected a short text"),
    (_endless_text, "expected short texts"),
    (_no_lattice, "Lattice: expected four integers, found None"),
    (_other_lattice, "Lattice: expected four integers, found '6 2 8 five'"),
    (_no_hexadecimal, "Y: sum29, sum31: expected hexadecimal numbers"),
])
def test_attributes_that_are_something_else(pyquda, change, told):
    changed(pyquda, change)
    with pytest.raises(FormatError) as raised:
        files.read(pyquda)
    assert str(raised.value).startswith(str(pyquda)) and told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_checksums_that_are_there_count_where_others_are_missing(pyquda):
    def drop(group):
        del group["X"].attrs["sum29"]

    found = files.read(changed(pyquda, drop))
    assert status_of(found.meta) == "warn"
    assert "no checksum of X in the file" in found.meta["warnings"]

    def spoil(group):
        group["T"].attrs["sum29"] = "00000001"

    with pytest.raises(VerificationError, match="checksum_T"):
        files.read(changed(pyquda, spoil))


def test_an_ensemble_whose_version_is_a_text_is_refused(tmp_path):
    path = samples.written(samples.CASES["hdf5"], tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = "1"
    with pytest.raises(FormatError, match="expected ensemble version 1, found None"):
        files.read(path)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 1
        del file["beta"]
        file["beta"] = ["text"]
    with pytest.raises(FormatError, match="beta: expected 1 entries of type <f8, found object"):
        files.read(path)
