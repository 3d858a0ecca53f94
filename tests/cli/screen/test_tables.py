"""Tables: whole numbers at every width, a list where there is no room, text as it is."""

import re

import pytest
from rich.text import Text

from l2hmc_bridge.cli.screen import tables
from tests.support.places import ROOT
from tests.support.terminal import in_pipe, on_terminal

COLUMNS = ("check", "ours", "source")
ROWS = [("mean plaquette of a stream", "0.593412345678", "difference of means"),
        ("x[/y]", "-1.2e-16", "a [red]source[/red] of seventeen words that has to be wrapped if "
         "the terminal is narrow, as terminals are")]
MILC = ROOT / "examples" / "data" / "milc_l4x6x8x10_b6.0.ildg"


def shown(capsys, monkeypatch, columns, rows=ROWS, **more):
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", str(columns))
    tables.present(COLUMNS, rows, prose=("check", "source"), **more)
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [None, 30, 45, 60, 80, 120, 200])
def test_no_number_is_ever_broken(capsys, monkeypatch, columns):
    out = shown(capsys, monkeypatch, columns)
    assert "0.593412345678" in out and "-1.2e-16" in out
    words = " ".join(re.sub(r"[┃│┏┓┡┩└┘━─╇┳┴]", " ", out).split())
    assert "x[/y]" in words and "[red]source[/red]" in words


def test_a_table_becomes_a_list(capsys, monkeypatch):
    wide, narrow = shown(capsys, monkeypatch, 80), shown(capsys, monkeypatch, 50)
    assert max(map(len, wide.splitlines())) <= 80 and "│" in wide
    assert "│" not in narrow
    assert narrow.splitlines()[:2] == ["mean plaquette of a stream", "  ours    0.593412345678"]


def test_a_pipe_has_as_many_columns_as_it_needs(capsys, monkeypatch):
    out = shown(capsys, monkeypatch, None)
    assert len(out.splitlines()) == 6 and max(map(len, out.splitlines())) > 120


def test_nothing_is_shown_of_nothing(capsys, monkeypatch):
    assert shown(capsys, monkeypatch, 80, [], title="heading") == ""


def test_titles_and_names_are_no_markup(capsys, monkeypatch):
    rows = [("a\udcff", Text("[b]1[/b]", "red"), "")]
    out = shown(capsys, monkeypatch, 80, rows, title="stream x[/y]")
    assert "stream x[/y]" in out and "[b]1[/b]" in out and "a\\xff" in out


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("words", [["info", MILC], ["measure", MILC, "--flow-time", "0.1"],
                                   ["validate", MILC]])
def test_verbs_on_a_terminal(columns, words):
    status, lines = on_terminal(columns, *words)
    assert status == 0
    if columns >= 80:
        assert max(map(len, lines)) <= columns
    assert not any("…" in line for line in lines)


@pytest.mark.slow
def test_columns_are_obeyed_in_a_pipe():
    words = ("measure", MILC, "--wilson-loops", "4")
    _, wide, _ = in_pipe(*words)
    _, narrow, _ = in_pipe(*words, COLUMNS="80")
    assert max(map(len, wide.splitlines())) > 130
    assert max(map(len, narrow.splitlines())) <= 80
    numbers = re.findall(r"\d\.\d{8}", wide)
    assert len(numbers) > 20 and numbers == re.findall(r"\d\.\d{8}", narrow)
