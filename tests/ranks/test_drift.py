"""Drifted links are mended on several ranks as on one process, bit for bit, and nothing else is."""

import cmath

import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.fast.cpu import library
from tests.support import ranks, verbs
from tests.support.streams import contents, differences
from tests.support.verbs_worker import said

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")]
HOW = ("--kernel", "hmc", "--tune", 0, "--steps", 1, "--seed", 1, "--beta", 5.7, "--threads", 1)


def drifted(scale):
    generator = torch.Generator().manual_seed(2)
    links = verbs.links()
    return links + scale * torch.randn(links.shape, dtype=torch.float64, generator=generator)


def turned():
    """Each link times a phase so small that det U is as near 1 as after some drift."""
    return verbs.links() * cmath.exp(1e-3j)


def commands(folder, who):
    place = folder / who
    place.mkdir()
    drift, phases, far = (verbs.ildg(place / f"conf.000{n}", links) for n, links in
                          ((7, drifted(1e-4)), (3, turned()), (5, drifted(5e-3))))
    return [("sample", "--in", drift, "--out", place / "stream", "-n", 2, *HOW),
            ("sample", "--continue", drift, *HOW),
            ("convert", drift, place / "mended.ildg", "--reunitarize"),
            ("sample", "--in", phases, "--out", place / "none", "-n", 1, *HOW),
            ("sample", "--in", far, "--out", place / "none", "-n", 1, *HOW)]


def test_drift_is_mended_and_phases_are_not(tmp_path):
    alone = [said(list(map(str, words))) for words in commands(tmp_path, "one")]
    grids = ("1,1,1,2", "1,2,1,1", "1,1,1,2", "1,2,1,1", "1,1,1,2")
    told = ranks.commands(tmp_path, [[*words, "--ranks", grid] for words, grid in zip(
        commands(tmp_path, "two"), grids, strict=True)])
    assert [one[0] for one in told] == [one[0] for one in alone] == [0, 0, 0, 1, 1], told
    for found, expected in zip(told[:3], alone[:3], strict=True):
        sentence = "drifted links projected to SU(3), max|UU^+ - 1|, max|det U - 1| was"
        assert sentence in " ".join(found[1:]) and sentence in " ".join(expected[1:])
    for found, message in zip(told[3:], ("phases", "unitarity: expected at most 2e-05, found 0.0"),
                              strict=True):
        assert message in found[2] and found[2].count("\n") == 1
    one, two = tmp_path / "one", tmp_path / "two"
    assert differences(contents(one / "stream"), contents(two / "stream")) == ["summary"]  # a path
    for name in ("conf.0008", "mended.ildg"):
        found, expected = (files.read(folder / name) for folder in (two, one))
        assert torch.equal(found.links, expected.links)
        assert found.meta["reunitarized"] == expected.meta["reunitarized"]
    assert files.header(one / "conf.0008")["lfn"] == "lfn://l2hmc-bridge/conf.0008"
    assert (one / "conf.0008").read_bytes() == (two / "conf.0008").read_bytes()
