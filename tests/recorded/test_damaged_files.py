"""A modest number of what `make fuzz` does to this package's own files a hundred thousand times."""

import random

import pytest

from tests.fuzz.own import examine
from tests.support.own_files import KINDS, changed


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with whole files of each kind, made once."""
    made = {}

    def of(kind):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("good")
            KINDS[kind].make(made[kind])
        return made[kind]

    return of


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_and_forged_files_are_refused_or_harmless(kind, good, tmp_path):
    verdicts = [examine(kind, good(kind), tmp_path / "spoiled", number) for number in range(40)]
    assert "refused" in verdicts


@pytest.mark.parametrize("kind", ["bundle", "state"])
def test_whole_files_are_accepted(kind, good):
    KINDS[kind].read(good(kind))


def test_changes_change_something():
    """Negative control: spoiling that leaves a value as it was would prove nothing."""
    value = {"a": [1, 2, {"b": "c"}], "d": 0.5}
    rng = random.Random(1)
    assert sum(changed(value, rng) != value for _ in range(100)) > 90
