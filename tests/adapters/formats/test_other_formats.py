"""What is particular to MILC, openQCD, HiRep, headerless payloads, HDF5 and npy files."""

import struct

import h5py
import numpy as np
import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.format.checks import status_of
from l2hmc_bridge.errors import FormatError, VerificationError
from l2hmc_bridge.fields import loops
from l2hmc_bridge.fields.configuration import Configuration
from tests.support import dialects, samples
from tests.support.places import DATA

LINKS = samples.random_links()
NX, NY, NZ, NT = dialects.xyzt(LINKS)


def milc(path, order="<", sums=None, site_order=0, magic=20103):
    data = samples.payload(LINKS, f"{order}c8")
    words = np.frombuffer(data, f"{order}u4").tolist()
    found = [0, 0]
    for which, period in enumerate((29, 31)):
        for at, word in enumerate(words):
            by = at % period
            found[which] ^= (word << by | word >> (32 - by)) & 0xFFFFFFFF if by else word
    stamp = b"Mon Nov 23 2026"
    head = struct.pack(f"{order}5i64s3I", magic, NX, NY, NZ, NT, stamp, site_order,
                       *(found if sums is None else sums))
    path.write_bytes(head + data)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_milc_both_byte_orders(tmp_path, order):
    found = files.read(milc(tmp_path / "l", order))
    assert (found.links - LINKS).abs().max() < 1e-7 and status_of(found.meta) == "pass"
    assert found.meta["header"]["time_stamp"] == "Mon Nov 23 2026"


def test_milc_checksums(tmp_path):
    absent = files.read(milc(tmp_path / "l", sums=(0, 0)))
    assert status_of(absent.meta) == "warn"
    assert any("no checksum" in text for text in absent.meta["warnings"])
    with pytest.raises(VerificationError, match="l: checksum: expected 00000001 00000002"):
        files.read(milc(tmp_path / "l", sums=(1, 2)))
    with pytest.raises(FormatError, match="site order: expected 0"):
        files.read(milc(tmp_path / "l", site_order=1))


def test_milc_info_beside_the_file_tells_beta(tmp_path):
    path = milc(tmp_path / "l")
    (tmp_path / "l.info").write_text(
        'gauge.description = "One plaquette gauge action."\ngauge.beta11 = 5.700000\n'
    )
    assert files.read(path).meta["beta"] == 5.7


@pytest.mark.parametrize("order", ["<", ">"])
def test_milc_version_1(tmp_path, order):
    head = struct.pack(f"{order}5i2f", 59354, NX, NY, NZ, NT, 5.7, 0.02)
    path = tmp_path / "old"
    path.write_bytes(head + samples.payload(LINKS, f"{order}c8"))
    found = files.read(path)
    assert (found.links - LINKS).abs().max() < 1e-7
    assert found.meta["beta"] == 5.7 and found.meta["header"]["mass"] == 0.02


def openqcd_bytes(links, extents):
    """openQCD's file, site by site from its definition."""
    array, body = links[0].numpy(), []
    shape = array.shape[1:5]
    for site in np.ndindex(shape):
        if sum(site) % 2:
            for mu in range(4):
                below = list(site)
                below[mu] = (site[mu] - 1) % shape[mu]
                body += [array[(mu, *site)], array[(mu, *below)]]
    from l2hmc_bridge.adapters.payload.quality import measure

    plaquette = 3 * measure(links).plaquette
    return struct.pack("<4id", *extents, plaquette) + np.array(body, "<c16").tobytes()


@pytest.mark.parametrize("reversed_header", [False, True])
def test_openqcd_by_its_definition(tmp_path, reversed_header):
    path = tmp_path / "runn7"
    extents = (NT, NZ, NY, NX) if reversed_header else (NT, NX, NY, NZ)
    path.write_bytes(openqcd_bytes(LINKS, extents))
    found = files.read(path)
    assert torch.equal(found.links, LINKS)
    assert found.meta["dialect"] == ("PyQUDA" if reversed_header else "openQCD")
    assert status_of(found.meta) == ("warn" if reversed_header else "pass")
    written = tmp_path / "ours.openqcd"
    files.write(written, found)
    assert written.read_bytes()[24:] == openqcd_bytes(LINKS, (NT, NX, NY, NZ))[24:]


def test_openqcd_refuses_odd_extents_and_a_wrong_plaquette(tmp_path):
    odd = Configuration(samples.random_links(extents=(4, 2, 3, 2)), {})
    with pytest.raises(FormatError, match="expected even extents T,X,Y,Z, found 4,2,3,2"):
        files.write(tmp_path / "a.openqcd", odd)
    path = tmp_path / "b"
    path.write_bytes(struct.pack("<4id", 2, 2, 3, 2, 0.0) + bytes(576 * 24))
    with pytest.raises(FormatError, match="even extents"):
        files.read(path)
    raw = bytearray(openqcd_bytes(LINKS, (NT, NX, NY, NZ)))
    raw[16:24] = struct.pack("<d", 1.5)
    path.write_bytes(raw)
    with pytest.raises(VerificationError, match="plaquette_x3: expected 1.5"):
        files.read(path)


def hirep_bytes(links):
    """HiRep's file, site by site from its definition."""
    array, shape = links[0].numpy(), links.shape[2:6]
    body = [array[(mu, *site)] for site in np.ndindex(*shape) for mu in range(4)]
    head = struct.pack(">5id", 3, *shape, float(loops.plaquettes(links).mean()))
    return head + np.array(body, ">c16").tobytes()


def test_hirep_by_its_definition(tmp_path):
    path = tmp_path / "run_7"
    path.write_bytes(hirep_bytes(LINKS))
    found = files.read(path)
    assert torch.equal(found.links, LINKS) and status_of(found.meta) == "pass"
    assert (found.meta["format"], found.meta["lattice"]) == ("hirep", (NX, NY, NZ, NT))
    assert torch.equal(files.read(path, slices=(1, 3)).links, LINKS[:, :, 1:3])
    files.write(tmp_path / "ours.hirep", found)
    assert (tmp_path / "ours.hirep").read_bytes()[28:] == path.read_bytes()[28:]


def test_a_file_of_hirep_itself():
    """tests/data/README.md says what it is; the log of its run is in tests/adapters/logs."""
    found = files.read(DATA / "run2_4x4x2x6nc3b6.000000an1.000000n3")
    assert status_of(found.meta) == "pass" and found.meta["dialect"] == "HiRep"
    assert found.meta["lattice"] == (4, 2, 6, 4)
    assert abs(found.meta["plaquette"] - 0.6093636703621529982) < 1e-14


def test_hirep_refuses_what_is_not_its_own(tmp_path):
    data, path = bytearray(hirep_bytes(LINKS)), tmp_path / "run_7"
    for start, end, changed, message in (
            (20, 28, struct.pack(">d", 0.5), "run_7: plaquette: expected 0.5 within 1e-10, found"),
            (0, 4, struct.pack(">i", 4), "for 3 colours, found 4"),
            (4, 8, struct.pack(">i", 0), "expected extents from 1"),
            (len(data) - 8, len(data), b"", "payload: expected .* bytes for T,X,Y,Z = ")):
        path.write_bytes(data[:start] + changed + data[end:])
        with pytest.raises((FormatError, VerificationError), match=message):
            files.read(path, "hirep")
    path.write_bytes(data[:27])
    with pytest.raises(FormatError, match="expected a 28-byte HiRep header, found 27 bytes"):
        files.read(path, "hirep")


def test_headerless_payloads(tmp_path):
    for kind, body in dialects.headerless(LINKS).items():
        path = tmp_path / "body"
        path.write_bytes(body)
        found = files.read(path, kind, lattice=(NX, NY, NZ, NT))
        assert torch.equal(found.links, LINKS)
        part = files.read(path, kind, lattice=(NX, NY, NZ, NT), slices=(1, 3)).links
        assert torch.equal(part, LINKS[:, :, 1:3])
        with pytest.raises(FormatError, match="--lattice"):
            files.read(path, kind)
        with pytest.raises(FormatError, match="expected .* bytes"):
            files.read(path, kind, lattice=(4, 4, 4, 4))
        with pytest.raises(FormatError, match="read-only"):
            files.write(tmp_path / "x", samples.configuration(), kind)


@pytest.mark.parametrize("dtype", [">c8", "<c8", "<c16"])
def test_bare_payload_in_other_precisions_and_orders(tmp_path, dtype):
    path = tmp_path / "body"
    path.write_bytes(samples.payload(LINKS, dtype))
    found = files.read(path, "raw", lattice=(NX, NY, NZ, NT))
    assert (found.links - LINKS).abs().max() < 1e-7
    assert any("little endian" in text for text in found.meta["warnings"]) == (dtype[0] == "<")


def test_hdf5_that_points_elsewhere_is_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(4 * 36 * 16 * 16))
    shape = (2, 2, 2, 2, 4, 3, 3)
    outside = tmp_path / "outside.h5"
    with h5py.File(outside, "w") as file:
        file.create_dataset("links", shape, "<c16", external=[(str(secret), 0, 1 << 20)])
    linked = tmp_path / "linked.h5"
    with h5py.File(linked, "w") as file:
        file["links"] = h5py.ExternalLink(str(outside), "links")
        file["soft"] = h5py.SoftLink("/links")
    virtual = tmp_path / "virtual.h5"
    with h5py.File(virtual, "w") as file:
        layout = h5py.VirtualLayout(shape, "<c16")
        layout[:] = h5py.VirtualSource(str(outside), "links", shape)
        file.create_virtual_dataset("links", layout)
    for path in (outside, linked, virtual):
        with pytest.raises(FormatError, match=str(path)):
            files.read(path)
        with pytest.raises(FormatError, match=str(path)):
            files.read(path, key="links")


def test_hdf5_that_claims_more_than_it_holds(tmp_path):
    path = tmp_path / "huge.h5"
    with h5py.File(path, "w") as file:
        shape = (4, 1 << 12, 1 << 12, 1 << 12, 1 << 12, 3, 3)
        file.create_dataset("links", shape, "<c16", chunks=(1, 1, 1, 1, 64, 3, 3))
    with pytest.raises(FormatError, match="huge.h5.*expected .* bytes, found 0 stored"):
        files.read(path, layout="pyquda")


def test_npy_with_pickled_objects_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="complex64 or complex128"):
        files.read(path)
    np.save(path, np.asfortranarray(np.zeros((4, 2, 2, 2, 2, 3, 3), complex)))
    with pytest.raises(FormatError, match="Fortran order"):
        files.read(path)
    np.save(path, np.zeros((4, 4, 4, 4), complex))
    with pytest.raises(FormatError, match="expected shape"):
        files.read(path)
