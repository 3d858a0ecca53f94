"""Bad input to `sample --continue`: one line, exit 1, and not a byte written."""

import struct

import numpy as np
import pytest
import torch

from l2hmc_bridge.adapters.records import host_log
from l2hmc_bridge.adapters.streams import side_files as host_sides
from tests.cli.sample.test_continue import go_on, names, untouched
from tests.cli.sample.test_sample import sample
from tests.conftest import reference_file
from tests.support import samples
from tests.support.fields import rough_links
from tests.support.hosts import leave

LATER = {
    "configuration": ("grid", "ckpoint_lat.121"), "generators": ("grid", "ckpoint_rng.121"),
    "smeared": ("grid", "ckpoint_smr.121"), "later": ("gpt", "ckpoint_lat.130"),
    "log of GPT": ("gpt", "ckpoint_lat.100.log"), "restart": ("chroma", "run_restart_121.xml"),
    "other suffix": ("chroma", "run_cfg_121.ildg"), "part": ("openqcd", "Snoopy137n9_0"),
    "qex": ("qex", "config.00121.scidac"), "pyquda": ("pyquda", "cfg_121.h5"),
    "milc": ("milc", "l26f0b570.401.info"),
}


@pytest.mark.parametrize("case", LATER)
def test_what_comes_later_in_any_form_is_never_overwritten(case, tmp_path, capsys):
    kind, later = LATER[case]
    path = leave(tmp_path, kind)
    (tmp_path / later).write_bytes(b"theirs")
    refused(tmp_path, capsys, lambda: go_on(path), f"{later}: expected {path.name} to be the last")


def refused(folder, capsys, call, *parts):
    """One line on stderr with all parts, exit 1, and not a byte in the folder changed."""
    before = untouched(folder)
    capsys.readouterr()
    assert call() == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.strip().splitlines()) == 1, err
    for part in parts:
        assert part in err
    assert untouched(folder) == before


def _cut(path):
    path.write_bytes(path.read_bytes()[:-8])


def _other_name(path):
    path.rename(path.with_name("final.nersc"))
    return path.with_name("final.nersc")


def _other_format(path):
    renamed = path.with_name("Snoopy137n8")
    return path.rename(renamed)


def _xml(change):
    def edit(path):
        restart = path.with_name("run_restart_120.xml")
        restart.write_text(change(restart.read_text()))
    return edit


def _log(text):
    return lambda path: path.with_name("Snoopy137.log").write_text(text)


def _renamed(part, other):
    return lambda path: path.rename(path.with_name(path.name.replace(part, other)))


GAUGE = ("<HMCTrj><Monomials><elem><Name>GAUGE_MONOMIAL</Name><GaugeAction><Name>{}</Name>"
         "<beta>{}</beta></GaugeAction></elem></Monomials>")
BAD = {
    "missing": ("gpt", lambda p: p.unlink(), "expected a file, found none"),
    "truncated": ("gpt", _cut, "truncated"),
    "unknown name": ("gpt", _other_name, "expected the name of a host's configuration, one of "
                     "PREFIX_cfg_N.lime"),
    "other format": ("gpt", _other_format, "openqcd (NAMEnN) or hirep (NAMEnN), found nersc"),
    "no restart": ("chroma", lambda p: p.with_name("run_restart_120.xml").unlink(),
                   "expected run_restart_120.xml beside it"),
    "restart of another": ("chroma", _xml(lambda t: t.replace(">120<", ">119<")),
                           "StartUpdateNum: expected 120, found 119"),
    "restart with another file": ("chroma", _xml(lambda t: t.replace("run_cfg_120", "run_cfg_1")),
                                  "cfg_file: expected run_cfg_120.lime, found ./run_cfg_1.lime"),
    "restart twice": ("chroma", _xml(lambda t: t.replace(
        "</RNG>", "</RNG><StartUpdateNum>120</StartUpdateNum>")), "expected one <StartUpdateNum>"),
    "broken restart": ("chroma", _xml(lambda t: t[:-12]), "expected well-formed XML"),
    "entities": ("chroma", _xml(lambda t: '<!DOCTYPE a [<!ENTITY b "c">]>' + t), "DOCTYPE"),
    "no seed": ("chroma", _xml(lambda t: t.replace("Seed", "Sed")), "expected the <Seed>"),
    "log goes on": ("openqcd", _log("Configuration no 8\nTrajectory no 40\n"),
                    "expected it to end with configuration 8, found trajectory 40 last"),
    "log of another": ("openqcd", _log("Configuration no 7\n"), "found configuration 7 last"),
    "empty log": ("openqcd", _log(""), "found none last"),
    "no log": ("openqcd", lambda p: p.with_name("Snoopy137.log").unlink(),
               "expected Snoopy137.log with it"),
    "rng of another": ("openqcd", lambda p: p.with_name("Snoopy137.rng").write_bytes(
        struct.pack("<9i", 7, 1, 1, 1, 1, 4, 2, 6, 2)), "expected configuration 8 of T,X,Y,Z"),
    "rng of another lattice": ("openqcd", lambda p: p.with_name("Snoopy137.rng").write_bytes(
        struct.pack("<9i", 8, 1, 1, 1, 1, 4, 4, 6, 2)), "found 8 of 4,4,6,2"),
    "short rng": ("openqcd", lambda p: p.with_name("Snoopy137.rng").write_bytes(b"1234"),
                  "expected openQCD's .rng file"),
    "quarks in Chroma": ("chroma", _xml(lambda t: t.replace(
        "<HMCTrj>", "<HMCTrj><Monomials><elem><Name>TWO_FLAVOR_EOPREC_CONSTDET_FERM_MONOMIAL</Name>"
        "</elem></Monomials>")), "tells of quarks (TWO_FLAVOR_EOPREC_CONSTDET_FERM_MONOMIAL)"),
    "boundaries in Chroma": ("chroma", _xml(lambda t: t.replace(
        "<HMCTrj>", "<HMCTrj><GaugeBC><Name>SCHROEDINGER_NONPERT_GAUGEBC</Name></GaugeBC>")),
                             "found boundary SCHROEDINGER_NONPERT_GAUGEBC"),
    "anisotropy in Chroma": ("chroma", _xml(lambda t: t.replace(
        "<HMCTrj>", "<HMCTrj><AnisoParam><anisoP>true</anisoP></AnisoParam>")),
                             "expected a field of an isotropic, periodic gauge action"),
    "quarks in openQCD": ("openqcd", _log("Simulation of QCD with Wilson quarks\n"),
                          "tells of quarks (Simulation of QCD with Wilson quarks)"),
    "boundaries in openQCD": ("openqcd", _log("Open-SF boundary conditions\n"),
                              "found Open-SF boundary conditions"),
    "another beta in Chroma": ("chroma", _xml(lambda t: t.replace("<HMCTrj>", GAUGE.format(
        "WILSON_GAUGEACT", "5.8"))), "expected beta 5.7, which is sampled here (--beta), found "
        "beta 5.8"),
    "no number in Chroma": ("chroma", _xml(lambda t: t.replace("<HMCTrj>", GAUGE.format(
        "WILSON_GAUGEACT", "5.7.1"))), "action WILSON_GAUGEACT with couplings that are not ours"),
    "another action in Chroma": ("chroma", _xml(lambda t: t.replace("<HMCTrj>", GAUGE.format(
        "LW_1LOOP_GAUGEACT", "5.7"))), "found action LW_1LOOP_GAUGEACT"),
    "another beta in openQCD": ("openqcd", _log("beta = 5.70001\nc0 = 1.0, c1 = 0.0\n\n"
                                                "Configuration no 8\n"),
                                "expected beta 5.7, which is sampled here (--beta), found beta "
                                "5.70001"),
    "another beta in HiRep's name": ("hirep", _renamed("b5.700000", "b5.710000"),
                                     "expected beta 5.7, which is sampled here (--beta), found "
                                     "beta 5.71"),
    "anisotropy in HiRep's name": ("hirep", _renamed("an1.0", "an2.0"), "found anisotropy 2"),
    "quarks in HiRep's name": ("hirep", _renamed("b5.700000an1.0", "rFUNnf2b5.700000m0.1"),
                               "tells of quarks (nf = 2 (FUN), m = 0.1)"),
    "record without rows": ("gpt", lambda p: p.with_name(host_log.NAME).write_text(
        '{"stream":"ckpoint_lat.N","options":{},"kernel":{},"action":{},"lattice":[],"factor":1.0,'
        '"rows":[{}]}\n'), "line 1: expected an entry of this package"),
    "damaged record": ("gpt", lambda p: p.with_name(host_log.NAME).write_text("{}\n"),
                       "line 1: expected an entry of this package"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(case, tmp_path, capsys):
    kind, spoil, told = BAD[case]
    path = leave(tmp_path, kind)
    result = spoil(path)
    path = result if hasattr(result, "is_file") else path
    refused(tmp_path, capsys, lambda: go_on(path), told)


@pytest.mark.parametrize("kind, spoil", [
    ("chroma", _xml(lambda t: t.replace("<HMCTrj>", GAUGE.format("WILSON_GAUGEACT", " 5.70 ")))),
    ("chroma", _xml(lambda t: t.replace("<HMCTrj>", GAUGE.format(
        "LW_TREE_GAUGEACT", "9.5</beta><u0>1</u0><beta>")))),  # 9.5 times 0.6
    ("openqcd", _log("beta = 5.700000\nConfiguration no 8\n")),
])
def test_a_beta_that_is_the_same_or_counted_otherwise_is_no_reason_to_refuse(kind, spoil, tmp_path):
    path = leave(tmp_path, kind)
    spoil(path)
    assert go_on(path) == 0


def _anti_periodic(links):
    links[:, 0, -1] *= -1


def _open(links):
    links[:, 0, -1] = 0


def _fixed(links):
    links[:, 1:, 0] = torch.diag(torch.exp(1j * torch.tensor([0.1, 0.2, -0.3]).double()))


@pytest.mark.parametrize("spoil, told", [
    (_anti_periodic, "anti-periodic fermion boundaries"), (_open, "found open boundaries"),
    (_fixed, "found Schroedinger-functional boundaries"),
])
def test_boundaries_in_the_links_are_named(spoil, told, tmp_path, capsys):
    links = rough_links(torch.Generator().manual_seed(2), (4, 2, 6, 2))
    spoil(links)
    path = tmp_path / "cfg_7.npy"
    np.save(path, links[0, [1, 2, 3, 0]].permute(0, 1, 4, 3, 2, 5, 6).numpy())
    refused(tmp_path, capsys, lambda: go_on(path), told)


def test_grids_scidac_files_are_refused_by_name(tmp_path, capsys):
    path = tmp_path / "ckpoint_lat.7"
    path.write_bytes(reference_file("grid_l4x6x8x10.scidac").read_bytes())
    refused(tmp_path, capsys, lambda: go_on(path), "ScidacHmcCheckpointer")


@pytest.mark.parametrize("extents", [(8, 2, 6, 2), (4, 4, 2, 6)])
def test_lyncs_arrays_are_not_pyquda_streams(extents, tmp_path, capsys):
    """By the shape, or, where that is no help, by the plaquette."""
    path = tmp_path / "cfg_7.npy"
    links = samples.smooth_links(extents=extents)[0].numpy()
    np.save(path, links.transpose(1, 4, 3, 2, 0, 5, 6)[:, :, :, :, [1, 2, 3, 0]].copy())
    refused(tmp_path, capsys, lambda: go_on(path), "expected PyQUDA's array (4,T,Z,Y,X,3,3)")


@pytest.mark.parametrize("words, told", [
    (("--in", "x"), "--in"), (("--out", "x"), "--out"), (("--resume",), "--resume"),
    (("--lattice", "4,4,4,4"), "--lattice"), (("--chains", 2), "--chains"),
    (("--save-every", 2), "--save-every"), (("--max-seconds", 5), "--max-seconds"),
])
def test_options_of_our_own_streams_do_not_go_with_it(words, told, tmp_path, capsys):
    assert go_on(leave(tmp_path, "gpt"), *words) == 2
    assert f"{told}: does not go with --continue" in capsys.readouterr().err


def test_side_files_belong_to_continue(tmp_path, capsys):
    assert sample("--in", "x", "--out", "y", "-n", 1, "--side-files", tmp_path) == 2
    assert "--side-files: belongs to --continue" in capsys.readouterr().err


def test_a_host_that_wrote_meanwhile_is_not_overwritten(tmp_path, capsys, monkeypatch):
    path = leave(tmp_path, "grid")
    real = host_sides.plan

    def plan_and_let_the_host_write(*words):
        (tmp_path / "ckpoint_lat.121").write_bytes(b"theirs")
        return real(*words)

    monkeypatch.setattr(host_sides, "plan", plan_and_let_the_host_write)
    assert go_on(path) == 1
    assert "expected ckpoint_lat.120 to be the last" in capsys.readouterr().err
    assert (tmp_path / "ckpoint_lat.121").read_bytes() == b"theirs"
    assert names(tmp_path) == {"ckpoint_lat.120", "ckpoint_rng.120", "ckpoint_lat.121"}
