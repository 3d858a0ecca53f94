"""What every format must do, each through the same tests."""

import numpy as np
import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.errors import BridgeError, FormatError, VerificationError
from tests.support import samples
from tests.support.samples import CASES, EXTENTS, GUARDED, META


@pytest.fixture(params=CASES)
def case(request):
    if request.param.startswith("lyncs"):
        pytest.importorskip("lyncs_io", reason="the extra lyncs is not installed")
    return CASES[request.param]


def test_round_trip(case, tmp_path):
    given = samples.configuration()
    before = given.links.clone()
    path = samples.written(case, tmp_path, given)
    back = files.read(path, **case.reading)
    assert torch.equal(given.links, before) and given.meta == META
    assert back.links.shape == (1, 4, *EXTENTS, 3, 3)
    assert back.links.dtype == torch.complex128 and back.links.is_contiguous()
    assert (back.links - given.links).abs().max() <= case.tolerance
    back.links.zero_()  # what is read belongs to the reader
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    nt, nx, ny, nz = EXTENTS
    assert tuple(back.meta["lattice"]) == (nx, ny, nz, nt)
    for key in ("beta", "trajectory", "lfn", "ensemble_id", "ensemble_label"):
        assert back.meta[key] == (META[key] if key in case.keeps else None)
    statuses = {item["name"]: item["status"] for item in back.meta["checks"]}
    assert {"unitarity", "determinant"} <= set(statuses)
    assert set(statuses.values()) == {"pass"}
    assert not [told for told in back.meta["warnings"] if "as of random links" not in told]


def test_written_again_from_what_was_read(case, tmp_path):
    path = samples.written(case, tmp_path)
    once = files.read(path, **case.reading)
    files.write(path, once, case.format, force=True, **case.options)
    twice = files.read(path, **case.reading)
    assert (once.links - twice.links).abs().max() <= 2e-16
    for key in ("beta", "trajectory", "lfn", "ensemble_id", "ensemble_label", "info"):
        assert once.meta[key] == twice.meta[key]


def test_sniffed_by_exactly_one_format_whatever_its_name(case, tmp_path):
    path = samples.written(case, tmp_path)
    head, size = path.read_bytes()[:512], path.stat().st_size
    found = [form.name for form in files.FORMATS.values() if form.sniff(head, size)]
    assert len(found) == 1
    renamed = path.rename(tmp_path / "cfg.of_unknown_suffix")
    assert files.detect(renamed).name == found[0]
    assert files.inspect(renamed, **case.reading).links.shape[2:6] == EXTENTS


def test_truncated_file_is_refused(case, tmp_path):
    path = samples.written(case, tmp_path)
    whole = path.read_bytes()
    for keep in (0, 3, 40, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:keep])
        with pytest.raises(BridgeError, match=str(path)) as caught:
            files.read(path, **case.reading)
        assert "\n" not in str(caught.value)


def test_extended_file_is_refused_or_flagged(case, tmp_path):
    path = samples.written(case, tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(range(1, 100)))
    if case.suffix == "h5":  # the format states its own end; what follows is not read
        assert files.read(path, **case.reading).links.shape[2:6] == EXTENTS
    else:
        with pytest.raises(FormatError, match=str(path)):
            files.read(path, **case.reading)


@pytest.mark.slow
def test_one_flipped_bit_is_caught(case, tmp_path):
    path = samples.written(case, tmp_path)
    whole = path.read_bytes()
    generator = np.random.default_rng(3)
    for _ in range(8):
        at = int(generator.integers(len(whole) // 3, 2 * len(whole) // 3))
        bit = 1 << int(generator.integers(8))
        if case not in [CASES[name] for name in GUARDED]:  # only the group knows: a large change
            exponent = 4 if case.format == "hirep" else 7  # of a double, after 28 bytes big endian
            at, bit = at - at % 8 + exponent, 0x40
        if case.options == {"precision": 32} and case.format == "npy":
            at = at - at % 4 + 3
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        with pytest.raises(BridgeError, match=str(path)):
            files.read(path, **case.reading)


@pytest.mark.slow
def test_time_slices(case, tmp_path):
    path = samples.written(case, tmp_path)
    whole = files.read(path, **case.reading).links
    for first, last in ((0, 1), (1, 3), (3, 4), (0, 4)):
        part = files.read(path, slices=(first, last), **case.reading).links
        assert torch.equal(part, whole[:, :, first:last])
    for wrong in ((2, 2), (-1, 2), (0, 5), (3, 1)):
        with pytest.raises(FormatError, match="time slices"):
            files.read(path, slices=wrong, **case.reading)


def test_header_is_what_reading_says(case, tmp_path):
    path = samples.written(case, tmp_path)
    meta = files.header(path, **case.reading)
    full = files.read(path, **case.reading).meta
    for key in ("format", "dialect", "precision", "lattice", "beta", "trajectory", "lfn"):
        assert meta[key] == full[key]


def test_existing_file_stays_without_force(case, tmp_path):
    path = samples.written(case, tmp_path)
    before = path.read_bytes()
    with pytest.raises(BridgeError, match=f"{path}.*--force"):
        files.write(path, samples.configuration(5), case.format, **case.options)
    assert path.read_bytes() == before
    files.write(path, samples.configuration(5), case.format, force=True, **case.options)
    back = files.read(path, **case.reading).links
    assert (back - samples.random_links(5)).abs().max() <= case.tolerance


def test_failed_write_leaves_the_old_file_whole(case, tmp_path, monkeypatch):
    path = samples.written(case, tmp_path)
    before = path.read_bytes()

    def full_disk(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(BridgeError, match=f"{path}: .*No space left"):
        files.write(path, samples.configuration(5), case.format, force=True, **case.options)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["nan", "not unitary", "determinant"])
def test_links_outside_the_group_are_not_written(case, tmp_path, damage):
    given = samples.configuration()
    link = given.links[0, 2, 1, 0, 1, 3]
    if damage == "nan":
        link[0, 0] = complex("nan")
    else:
        link *= 1.001 if damage == "not unitary" else np.exp(0.01j)
    with pytest.raises(VerificationError, match="unitarity|determinant"):
        samples.written(case, tmp_path, given)
    assert not list(tmp_path.iterdir())


def test_unknown_option_and_format_are_named(case, tmp_path):
    with pytest.raises(FormatError, match="colour"):
        files.write(tmp_path / "a", samples.configuration(), case.format, colour=3)
    with pytest.raises(FormatError, match="ildg.*found 'nope'"):
        files.write(tmp_path / "a", samples.configuration(), "nope")
    path = samples.written(case, tmp_path)
    with pytest.raises(FormatError, match="colour"):
        files.read(path, colour=3)
