"""measure, info, convert and validate on several ranks: the words and files of one process."""

import json
import shutil

import pytest

from l2hmc_bridge.fast.cpu import library
from tests.support import ranks
from tests.support.places import ROOT
from tests.support.verbs_worker import said

pytestmark = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
DATA = ROOT / "examples" / "data" / "milc_l4x6x8x10_b6.0.ildg"
NERSC = ROOT / "tests" / "data" / "milc_l4x6x8x10_b6.0.nersc"


def together(folder, grid, commands):
    """[(status, output, errors)] of each command on a grid of ranks."""
    return ranks.commands(folder, [[*words, "--ranks", grid] for words in commands])


@pytest.mark.slow
@pytest.mark.parametrize("grid", ["1,1,1,2", "1,1,2,1"])
def test_verbs_on_ranks_say_and_write_what_one_process_does(grid, tmp_path):
    damaged, wrong = tmp_path / "damaged.ildg", tmp_path / "cut.ildg"
    content = bytearray(DATA.read_bytes())
    wrong.write_bytes(content[:-5000])
    content[-2000] ^= 1
    damaged.write_bytes(content)
    shutil.copy(DATA, tmp_path / "cfg.ildg")
    flow = ["--flow-time", 0.2, "--flow-step", 0.05]
    commands = [
        ["info", DATA, NERSC], ["info", "--json", damaged, wrong], ["info", "--header", DATA],
        ["measure", DATA, *flow, "--json"], ["measure", NERSC, "--convention", "gpt", *flow,
                                             "--flow-kernel", "symanzik", "--csv"],
        ["validate", DATA, NERSC], ["validate", damaged, "--json"],
        ["measure", damaged, "--json"],
    ]
    alone = [said(list(map(str, words))) for words in commands]
    assert together(tmp_path, grid, commands) == alone
    assert [status for status, *_ in alone] == [0, 1, 0, 0, 0, 0, 1, 1]
    assert '"topological_charge_5li"' in alone[3][1] and "checksum" in alone[7][2]


@pytest.mark.slow
@pytest.mark.parametrize("grid", ["1,1,1,2", "1,1,2,1"])
def test_loops_beyond_a_part_smeared_links_and_flows_that_look_far(grid, tmp_path):
    """Wilson loops of six links on parts of five and four; steps that adapt."""
    flow = ["--flow-time", 0.4]
    commands = [["measure", DATA, "--json", *words] for words in (
        ["--wilson-loops", 6, "--smear", "ape", "--smear-parameter", 0.5, "--smear-steps", 2],
        ["--smear", "stout", "--smear-steps", 3, *flow, "--flow-tolerance", 1e-4],
        [*flow, "--flow-tolerance", 1e-5, "--flow-step", 0.06, "--flow-kernel", "zeuthen"],
        [*flow, "--flow-step", 0.05, "--flow-kernel", "zeuthen"])]
    alone = [said(list(map(str, words))) for words in commands]
    assert together(tmp_path, grid, commands) == alone
    assert all(status == 0 for status, *_ in alone)
    assert "found an extent of 4: as long ones and longer wind around" in alone[0][2]
    assert not any(errors for *_, errors in alone[1:])
    loops = json.loads(alone[0][1])[0]["wilson_loops"]
    assert len(loops) == 6 and loops[0][0] > loops[2][2] > 0


@pytest.mark.slow
def test_files_converted_on_ranks_and_what_is_refused(tmp_path):
    outputs = {"ildg": [], "nersc": ["--rows", 2, "--precision", 32], "scidac": [], "milc": []}
    commands = [["convert", NERSC, tmp_path / f"two.{name}", *options, "--reunitarize"]
                for name, options in outputs.items()]
    refused = [["convert", NERSC, tmp_path / "two.ildg"], ["info", tmp_path / "none.ildg"],
               ["measure", DATA, "--jobs", 2]]
    told = together(tmp_path, "1,2,1,1", [*commands, *refused])
    assert [status for status, *_ in told] == [0] * 4 + [1] * 2 + [2]
    for name, options in outputs.items():
        words = ["convert", NERSC, tmp_path / f"one.{name}", *options, "--reunitarize"]
        assert said(list(map(str, words)))[0] == 0
        one, two = ((tmp_path / f"{who}.{name}").read_bytes() for who in ("one", "two"))
        assert len(one) == len(two) and sum(a != b for a, b in zip(one, two, strict=True)) < 30
    for message, (_, output, errors) in zip(("expected no file here, found one", "none"),
                                            told[4:6], strict=True):
        assert message in errors and errors.count("\n") == 1 and output == ""
