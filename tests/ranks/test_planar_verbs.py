"""Verbs on Triton kernels, in their interpreter: on ranks the words and files of one process."""

import json

import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.fields.configuration import Configuration
from tests.ranks.test_continue import contents, places
from tests.ranks.test_planar_streams import in_the_interpreter
from tests.support import ranks
from tests.support.fields import rough_links
from tests.support.interpreter import needs_triton

pytestmark = [needs_triton, pytest.mark.slow]
DEVICE = ("--device", "cuda")  # which stands for the interpreter


def said(folder, size, *commands):
    """[(status, output, errors)] of command lines: what the first of so many processes says."""
    path = folder / f"commands of {size}.json"
    path.write_text(json.dumps([list(map(str, words)) for words in commands]))
    told = ranks.ended(ranks.start(size, "tests.support.planar_verbs_worker", path,
                                   told=in_the_interpreter), 900)
    assert [status for status, *_ in told] == [0] * size, told
    first, *others = ([tuple(json.loads(line)) for line in text.splitlines()]
                      for _, text, _ in told)
    assert all(one[1:] == ("", "") for other in others for one in other)
    assert all([one[0] for one in other] == [one[0] for one in first] for other in others)
    return first


def test_the_next_configuration_of_a_host_is_that_of_one_process(tmp_path):
    how = ("--kernel", "hmc", "--beta", 5.7, "--steps", 1, "--tune", 1, "--seed", 5, "--threads", 1,
           *DEVICE)
    one, two = places(tmp_path, "gpt")
    found = [*said(tmp_path, 1, ("sample", "--continue", one, *how)),
             *said(tmp_path, 2, ("sample", "--continue", two, *how, "--ranks", "1,1,1,2"))]
    assert [status for status, *_ in found] == [0, 0], found
    assert "tuned on a copy" in found[1][2] and contents(one.parent) == contents(two.parent)


def test_measurements_are_those_of_one_process(tmp_path):
    """Flows and smeared links are those of test_planar_flows.py."""
    path = tmp_path / "cfg.nersc"
    links = rough_links(torch.Generator().manual_seed(1), (2, 6, 1, 2), width=0.45)
    files.write(path, Configuration(links, {}), "nersc")
    words = ("measure", path, "--json", *DEVICE, "--wilson-loops", 4)
    (alone,), (together,) = (said(tmp_path, size, (*words, *more)) for size, more in (
        (1, ()), (2, ("--ranks", "2,1,1,1"))))
    assert alone[0] == together[0] == 0, (alone, together)
    assert alone[1] == together[1] and '"topological_charge_5li"' in alone[1]
