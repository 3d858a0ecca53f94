"""Marks that tests share."""

from collections.abc import Sequence
from typing import Any

import pytest


def rest_slow(cases: Sequence[Any]) -> list[Any]:
    """The cases for `parametrize`: `make quick` runs the first alone."""
    return [cases[0], *(pytest.param(case, marks=pytest.mark.slow) for case in cases[1:])]
