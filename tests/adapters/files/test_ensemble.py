"""Many configurations in one HDF5 file, in a folder or behind a pattern."""

import zlib

import h5py
import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.files.ensemble import open_ensemble
from l2hmc_bridge.adapters.formats.hdf5 import ensemble as hdf5_ensemble
from l2hmc_bridge.errors import BridgeError, FormatError, VerificationError
from l2hmc_bridge.fields.configuration import Configuration
from tests.support import dialects, samples

NX, NY, NZ, NT = dialects.xyzt(samples.random_links())


def ensemble(path, count=4, **options):
    with hdf5_ensemble.create(path, **options) as writer:
        for number in range(count):
            meta = dict(samples.META, trajectory=10 * number)
            writer.append(Configuration(samples.random_links(number), meta))
    return path


def test_ensemble_in_one_file(tmp_path):
    path = ensemble(tmp_path / "e.h5", compression="gzip")
    found = open_ensemble(path)
    assert len(found) == 4 and files.count(path) == 4
    for number, one in enumerate(found):
        assert torch.equal(one.links, samples.random_links(number))
        assert one.meta["trajectory"] == 10 * number and one.meta["beta"] == samples.META["beta"]
    assert found[-1].meta["index"] == 3 and len(found[1:3]) == 2
    assert found.header(1)["trajectory"] == 10
    with pytest.raises(IndexError):
        found[4]
    with pytest.raises(FormatError, match="holds 4 configurations"):
        files.read(path)
    assert torch.equal(files.read(path, index=1).links, samples.random_links(1))
    with pytest.raises(FormatError, match="index: expected 0 to 3"):
        files.read(path, index=7)
    part = open_ensemble(path, slices=(1, 2))[3]
    assert torch.equal(part.links, samples.random_links(3)[:, :, 1:2])


def test_ensemble_file_says_what_it_holds(tmp_path):
    with h5py.File(ensemble(tmp_path / "e.h5")) as file:
        assert file.attrs["axes"].decode() == "batch,direction,t,x,y,z,row,column"
        assert file.attrs["directions"].decode() == "t,x,y,z"
        assert tuple(file.attrs["lattice_xyzt"]) == (NX, NY, NZ, NT)
        assert file["links"].chunks == (1, 4, NT, NX, NY, NZ, 3, 3)
        for number in range(4):
            assert file["crc32"][number] == zlib.crc32(file["links"][number].tobytes())


def test_ensemble_of_different_lattices_is_refused(tmp_path):
    path = tmp_path / "e.h5"
    with pytest.raises(FormatError, match="expected configurations of shape"):
        with hdf5_ensemble.create(path) as writer:
            writer.append(samples.configuration())
            writer.append(Configuration(samples.random_links(extents=(2, 2, 2, 2)), {}))
    assert not list(tmp_path.iterdir())


def test_broken_configuration_of_an_ensemble_spoils_only_itself(tmp_path):
    path = ensemble(tmp_path / "e.h5")
    with h5py.File(path, "r+") as file:
        damaged = file["links"][1]
        damaged[0, 0, 0, 0, 0, 0, 0] += 1e-15
        file["links"][1] = damaged
    found = open_ensemble(path)
    assert torch.equal(found[0].links, samples.random_links(0))
    with pytest.raises(VerificationError, match="crc32"):
        found[1]


def test_ensemble_of_files(tmp_path):
    for number in (9, 10, 100):
        files.write(tmp_path / f"cfg_{number}.nersc",
                    samples.configuration(number)._replace(meta={"trajectory": number}))
    (tmp_path / "notes.txt").write_text("nothing")
    for source in (tmp_path, str(tmp_path / "cfg_*.nersc")):
        found = open_ensemble(source)
        assert [one.meta["trajectory"] for one in found] == [9, 10, 100]
        assert torch.equal(found[1].links, samples.random_links(10))
    with pytest.raises(FormatError, match="expected configuration files, found none"):
        open_ensemble(str(tmp_path / "*.lime"))


def test_damaged_file_is_reported_only_when_it_is_asked_for(tmp_path):
    for number in (1, 2):
        files.write(tmp_path / f"cfg_{number}.ildg", samples.configuration(number))
    path = tmp_path / "cfg_2.ildg"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    found = open_ensemble(tmp_path)
    assert torch.equal(found[0].links, samples.random_links(1))
    with pytest.raises(BridgeError, match="cfg_2.ildg: checksum"):
        found[1]
