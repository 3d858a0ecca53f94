"""The compiled loops give what the plain ones give, byte for byte and link for link."""

import importlib
import time
import zlib

import numpy as np
import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.payload import checksums, dispatch
from l2hmc_bridge.adapters.payload.move import Payload, read_payload, write_payload
from l2hmc_bridge.adapters.payload.quality import measure
from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.slabs import SharedFile
from tests.support import samples

SUMS = ("scidac", "nersc", "milc")
SHAPES = [(word, big, rows) for word in (4, 8) for big in (True, False) for rows in (2, 3)]


@pytest.fixture
def compiled(monkeypatch):
    """A switch between the two implementations for files of any size."""
    pytest.importorskip("numba")

    def switch(on: bool) -> None:
        monkeypatch.setattr(dispatch, "COMPILED_FROM", 0 if on else 1 << 60)

    switch(True)
    assert dispatch.kernels(0) is not None
    return switch


@pytest.mark.parametrize("word, big, rows", SHAPES)
def test_blocks_both_ways(compiled, tmp_path, word, big, rows, monkeypatch):
    monkeypatch.setattr("l2hmc_bridge.adapters.payload.blocks.BLOCK_BYTES", 5000)  # uneven blocks
    links = samples.random_links(extents=(3, 5, 2, 7))
    payload = Payload(40, (5, 2, 7, 3), word, big, rows)
    results = {}
    for on in (False, True):
        compiled(on)
        path = tmp_path / f"{on}.bin"
        with open(path, "w+b") as file:
            written = write_payload(SharedFile(path, file.fileno(), None), links, payload, SUMS)
        back, read = read_payload(path, payload, SUMS)
        part, _ = read_payload(path, payload, slices=(1, 3))
        assert written == read and torch.equal(part, back[:, :, 1:3])
        results[on] = path.read_bytes(), back, read
    assert results[True][0] == results[False][0]
    assert (results[True][1] - results[False][1]).abs().max() < (1e-15 if rows == 2 else 1e-300)
    assert results[True][2] == results[False][2]
    kind = f"{'>' if big else '<'}c{2 * word}"
    assert results[True][0][40:] == samples.payload(links, kind, rows)


def test_checksums_are_those_of_their_definitions():
    raw = np.random.default_rng(1).integers(0, 256, 3 * 288, dtype=np.uint8)
    payload = Payload(0, (1, 1, 1, 3), 4, True)
    first = 60  # ranks 60, 61, 62: rotations by 2, 3, 4 and 29, 30, 0

    def rotate(number: int, by: int) -> int:
        return ((number << by) | (number >> (32 - by))) & 0xFFFFFFFF if by else number

    suma = sumb = sum29 = sum31 = 0
    for site in range(3):
        crc = zlib.crc32(raw[288 * site : 288 * (site + 1)].tobytes())
        suma ^= rotate(crc, (first + site) % 29)
        sumb ^= rotate(crc, (first + site) % 31)
    words = np.frombuffer(raw.tobytes(), ">u4").tolist()
    for at, word in enumerate(words):
        sum29 ^= rotate(word, (first * 72 + at) % 29)
        sum31 ^= rotate(word, (first * 72 + at) % 31)
    assert checksums.scidac(raw, payload, first) == (suma, sumb)
    assert checksums.milc(raw, payload, first) == (sum29, sum31)
    assert checksums.nersc(raw, payload, first) == (sum(words) % 2**32,)


def test_posix_cksum_of_known_text(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"head" + b"123456789")
    assert checksums.posix_cksum(path, 4, 9) == 930766865  # what cksum(1) prints


def test_measured_numbers_agree():
    links = samples.random_links(extents=(3, 5, 2, 4))
    links[0, 1, 2, 4, 0, 3] *= 1.0003
    found = {}
    for choice in fast.CHOICES:
        with fast.using(choice):
            found[choice] = measure(links)
    assert found["auto"] == pytest.approx(found["torch"], rel=1e-11, abs=1e-15)
    assert found["auto"].unitarity == pytest.approx(float(su3.unitarity_defect(links)), rel=1e-10)


@pytest.mark.parametrize("choice", fast.CHOICES)
def test_one_nan_spoils_the_defects(choice):
    links = samples.random_links(extents=(2, 3, 2, 2))
    links[0, 3, 1, 2, 1, 0, 2, 2] = complex(0, float("nan"))
    with fast.using(choice):
        found = measure(links)
    assert np.isnan(found.unitarity) and np.isnan(found.determinant)


@pytest.mark.parametrize("format", ["ildg", "nersc", "milc"])
def test_whole_files_by_both(compiled, tmp_path, format):
    given = samples.configuration()
    metas = []
    for on in (False, True):
        compiled(on)
        path = tmp_path / f"{on}.{format}"
        files.write(path, given)
        compiled(not on)
        meta = files.read(path).meta
        metas.append({key: meta[key] for key in ("checksum", "lattice", "precision")})
        assert {item["status"] for item in meta["checks"]} == {"pass"}
    assert metas[0] == metas[1]


def test_without_numba_numpy_serves(monkeypatch, tmp_path):
    real = importlib.import_module

    def absent(name):
        if name.endswith("kernels"):
            raise ImportError("no numba")
        return real(name)

    monkeypatch.setattr(dispatch, "COMPILED_FROM", 0)
    monkeypatch.setattr("importlib.import_module", absent)
    dispatch._load.cache_clear()
    try:
        assert dispatch.kernels(0) is None
        files.write(tmp_path / "a.ildg", samples.configuration())
        assert torch.equal(files.read(tmp_path / "a.ildg").links, samples.random_links())
    finally:
        dispatch._load.cache_clear()


def test_a_disk_that_fails_while_blocks_are_written_is_told(compiled, tmp_path, monkeypatch):
    def broken(_descriptor):
        raise OSError(5, "Input/output error")

    real = dispatch.kernels(0).encode64

    def slow(*arguments):
        time.sleep(0.05)
        return real(*arguments)

    monkeypatch.setattr(dispatch.kernels(0), "encode64", slow)
    monkeypatch.setattr("os.fdatasync", broken)
    with pytest.raises(BridgeError, match="a.ildg: could not be written: Input/output error"):
        files.write(tmp_path / "a.ildg", samples.configuration())
    assert not list(tmp_path.iterdir())
