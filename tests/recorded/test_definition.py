"""What a definition may hold, and that history.h5 can hold all of it."""

import json

import h5py
import pytest

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.recorded import definition, history
from tests.support.streams import DEFINITION


def restored(record):
    entries = json.loads(DEFINITION.text())
    return definition.restored(json.dumps({**entries, "record": record}), "here")


@pytest.mark.parametrize("record, found", [
    ({"": 0.4}, "''"),
    ({"a\0b": 1}, r"'a\\x00b'"),
    ({"a" * 201: 1}, "'aaa"),
    ({"provenance": {"": "x"}}, "''"),
    ({"provenance": "a text"}, "expected a table"),
    ({"lattice": 4}, "expected a list"),
    ({"lattice": [4, "4"]}, "expected a whole number"),
])
def test_a_record_that_no_history_can_hold_is_refused(record, found):
    with pytest.raises(StreamError, match=f"^here: record.*{found}"):
        restored(record)


def test_a_history_holds_every_other_record(tmp_path):
    told = restored({"\ud800 of a name": "\ud800 of a file", "start": "a\0b", "md_length": 0.4,
                     "lattice": [2, 2, 4, 4], "provenance": {"command": "sample"}})
    with h5py.File(tmp_path / "history.h5", "w") as file:
        file.attrs.update(history.attributes(told))
        assert file.attrs["start"] == "a b" and file.attrs["lattice"] == "2,2,4,4"
        assert file.attrs["command"] == "sample"
        assert file.attrs[r"\ud800 of a name"] == r"\ud800 of a file"
