"""What every verb that reads does with the same file: names, options, drift, accepted checks."""

import json

import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.files.ensemble import open_ensemble
from l2hmc_bridge.cli import main
from l2hmc_bridge.fields import su3
from tests.adapters.payload import test_phases as phases
from tests.support import dialects, samples, verbs
from tests.support.verbs import VERBS, XYZT, run

NAME = "conf.0007"  # as tmLQCD numbers them: `sample --continue` knows what to do with it
BETA = ("--beta", "5.8")


def beta_for(verb):
    return BETA if verb.startswith("sample") else ()


FAULTS = {"open": phases.opened(0), "antiperiodic": phases.last(0),
          "staggered": phases.staggered(*phases.STANDARD), "fixed": phases.fixed,
          "phase": phases.times(1j), "zeros": phases.zeros}
WORDS = {"open": "open boundaries (time links 0 on the last slice)",
         "antiperiodic": "anti-periodic fermion boundaries", "staggered": "staggered phases",
         "fixed": "Schroedinger-functional boundaries", "phase": "phases of U(1)",
         "zeros": "zero for 1 of"}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", VERBS)
def test_boundaries_and_phases_are_named(verb, fault, tmp_path, capsys):
    links = verbs.links()
    FAULTS[fault](links)
    found = run(verb, verbs.ildg(tmp_path / NAME, links), capsys, *beta_for(verb))
    assert WORDS[fault] in found.said
    reads = fault == "fixed" and verb in ("info", "convert", "measure", "validate")
    assert found.status == (0 if reads else 1)  # such links are in SU(3), and may be looked at


@pytest.mark.parametrize("verb", VERBS)
def test_centre_phases_are_named(verb, tmp_path, capsys):
    links = samples.smooth_links(extents=(4, 4, 2, 4))
    phases.slab(links)
    found = run(verb, verbs.ildg(tmp_path / NAME, links), capsys, *beta_for(verb), xyzt="4,2,4,4")
    assert "centre phases (Z3)" in found.said
    assert found.status == (1 if verb in ("sample", "sample --continue", "train") else 0)


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_extents_may_be_given(verb, tmp_path, capsys):
    path = dialects.lime(tmp_path / NAME,
                         dialects.record("ildg-binary-data", samples.payload(verbs.links())))
    found = run(verb, path, capsys, *beta_for(verb))
    if verb == "sample --continue":  # whose file must say what it is
        assert found.status == 1 and "--lattice" in found.said
        return
    assert found.status == 1 and "(give lattice X,Y,Z,T: --lattice)" in found.said
    found = run(verb, path, capsys, *beta_for(verb), "--lattice", XYZT)
    assert found.status == 0, found.said


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "sample --continue"])
def test_guessed_extents_are_doubted(verb, tmp_path, capsys):
    data = samples.payload(samples.smooth_links(extents=(8, 4, 4, 4)))
    path = dialects.lime(tmp_path / NAME, dialects.record("ildg-binary-data", data))
    words = (*beta_for(verb), "--lattice")
    found = run(verb, path, capsys, *words, "8,4,4,4", xyzt="8,4,4,4")
    assert found.status == 0
    assert "as of random links: is the lattice 8,4,4,4 right? The size also fits 4,4,4,8; " in (
        found.said)
    assert "as of random links" not in run(verb, path, capsys, *words, "4,4,4,8",
                                           xyzt="4,4,4,8").said


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "sample --continue"])
def test_extents_that_contradict_the_file_are_refused(verb, tmp_path, capsys):
    path = tmp_path / "a.nersc"
    files.write(path, samples.configuration(extents=verbs.EXTENTS))
    found = run(verb, path, capsys, *beta_for(verb), "--lattice", "4,2,2,4")
    assert found.status == 1 and "expected the lattice 4,2,2,4 (--lattice), found 2,4,2,4" in (
        found.said)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "sample --continue"])
@pytest.mark.parametrize("option", ["--from", "--format"])
def test_headerless_files(verb, option, tmp_path, capsys):
    path = tmp_path / "field.bin"
    path.write_bytes(samples.payload(verbs.links()))
    words = (*beta_for(verb), option, "raw")
    assert run(verb, path, capsys, *words).status == 1
    found = run(verb, path, capsys, *words, "--lattice", XYZT)
    assert found.status == 0, found.said


def test_headerless_files_as_an_ensemble(tmp_path):
    for number in (1, 2, 10):
        field = samples.smooth_links(number, verbs.EXTENTS)
        (tmp_path / f"cfg_{number}.bin").write_bytes(samples.payload(field))
    (tmp_path / "notes.txt").write_text("no field")
    found = open_ensemble(tmp_path, "raw", lattice=(2, 4, 2, 4))
    assert [one.path.name for one in found.sources] == ["cfg_1.bin", "cfg_2.bin", "cfg_10.bin"]
    assert torch.equal(found[2].links, samples.smooth_links(10, verbs.EXTENTS))


def drifted(scale: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    links = verbs.links()
    noise = torch.randn(links.shape, dtype=torch.float64, generator=generator)
    return links + scale * noise


@pytest.mark.parametrize("verb", VERBS)
def test_drift_is_mended_or_the_way_to_mend_it_is_named(verb, tmp_path, capsys):
    links = drifted(1e-4)
    path = verbs.ildg(tmp_path / NAME, links)
    words = (*beta_for(verb), *(("--reunitarize",) if verb == "convert" else ()))
    found = run(verb, path, capsys, *words)
    if verb in ("convert", "sample", "sample --continue", "train"):
        assert found.status == 0, found.said
        assert "drifted links projected to SU(3), max|UU^+ - 1|, max|det U - 1| was" in found.said
    else:
        assert found.status == 1 and "unitarity" in found.said
    if verb == "measure":
        assert "(drift alone: `convert --reunitarize` mends it)" in found.said
    if verb == "convert":
        written = files.read(found.out / "x.ildg")
        assert written.meta["reunitarized"].startswith("projected to SU(3)")
        assert (written.links - su3.project_group(links)).abs().max() < 1e-14
    if verb == "sample --continue":
        assert "reunitarized" in files.header(tmp_path / "conf.0008")


@pytest.mark.parametrize("verb", ["convert", "sample", "sample --continue", "train"])
def test_more_than_drift_is_not_mended(verb, tmp_path, capsys):
    path = verbs.ildg(tmp_path / NAME, drifted(5e-3))
    words = (*beta_for(verb), *(("--reunitarize",) if verb == "convert" else ()))
    found = run(verb, path, capsys, *words)
    assert found.status == 1 and "unitarity: expected at most 2e-05, found 0.0" in found.said
    assert "drift alone" not in found.said


def test_a_broken_file_is_not_mended_even_if_it_drifted(tmp_path, capsys):
    path = verbs.ildg(tmp_path / NAME, drifted(1e-4))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"<suma>", b"<suma>1", 1))
    assert "checksum" in run("convert", path, capsys, "--reunitarize").said


def wrong(tmp_path, check):
    """A file in which one stated number is wrong."""
    path = tmp_path / "a.nersc"
    changes = {"plaquette": {"PLAQUETTE": "0.5000000000"}, "checksum": {"CHECKSUM": "deadbeef"},
               "link_trace": {"LINK_TRACE": "0.9000000000"}}[check]
    return dialects.nersc(path, verbs.links(), **changes)


@pytest.mark.parametrize("check", ["plaquette", "checksum", "link_trace"])
@pytest.mark.parametrize("verb", ["convert", "measure", "validate", "sample", "train"])
def test_a_named_check_can_be_accepted_and_is_recorded(verb, check, tmp_path, capsys):
    path = wrong(tmp_path, check)
    found = run(verb, path, capsys, *beta_for(verb))
    assert found.status == 1 and check in found.said
    if verb != "validate":  # which shows a table
        assert f"(--accept {check} goes on all the same)" in found.said
    other = "checksum" if check == "plaquette" else "plaquette"
    assert run(verb, path, capsys, *beta_for(verb), "--accept", other).status == 1
    found = run(verb, path, capsys, *beta_for(verb), "--accept", check)
    assert found.status == 0, found.said
    assert f"{check}: expected" in found.said and f"accepted (--accept {check})" in found.said
    _recorded(verb, found.out, check)


def _recorded(verb, out, check):
    if verb == "convert":
        assert files.header(out / "x.ildg")["accepted"].startswith(f"{check}: expected")
    if verb == "sample":
        written = next((out / "stream").glob("cfg_*"))
        assert files.header(written)["accepted"].startswith(f"{check}: expected")
        summary = json.loads((out / "stream" / "summary.json").read_text())
        assert any(f"--accept {check}" in sentence for sentence in summary["warnings"])
    if verb == "measure":
        assert json.loads((out / "x.json").read_text())[0]["accepted"].startswith(check)
    if verb == "validate":
        assert any(f"--accept {check}" in note
                   for note in json.loads((out / "x.json").read_text())["notes"])


def test_what_cannot_be_accepted_is_wrong_usage(tmp_path, capsys):
    path = tmp_path / "a.nersc"
    files.write(path, samples.configuration(extents=verbs.EXTENTS))
    found = run("convert", path, capsys, "--accept", "unitarity")
    assert found.status == 2 and "--accept" in found.said


def test_warnings_of_the_reader_survive_into_the_output(tmp_path, capsys):
    path = dialects.nersc(tmp_path / "a.nersc", verbs.links(), floating=None, CHECKSUM=None)
    found = run("convert", path, capsys)
    assert found.status == 0
    assert "warning: no checksum in the header" in found.said
    assert main(["convert", str(path), str(tmp_path / "e.h5")]) == 0
    assert "warning: no checksum in the header" in capsys.readouterr().out
