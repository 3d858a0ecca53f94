"""What is sampled from a file: its own action, unless an option contradicts it; quarks by consent.
"""

import pytest

from docs.making import mounted
from l2hmc_bridge.errors import QUARKS_PAGE, ActionError
from l2hmc_bridge.systems.coefficients import (
    RECTANGLE_COEFFICIENTS,
    coefficient,
    name_of,
    printed_coefficient,
)
from l2hmc_bridge.systems.decision import decide
from l2hmc_bridge.systems.theory import Theory, combined, of_carried
from tests.support.places import ROOT

IWASAKI = Theory("xlf-info", "c2_rec = -0.331", -0.331, 2.1, None, ())
SILENT = Theory()
QUARKS = Theory("xlf-info", "c2_rec = -0.331", -0.331, 2.1, None, ("kappa = 0.1373", "mu = 0.006"))


@pytest.mark.parametrize("c1", [*RECTANGLE_COEFFICIENTS.values(), -0.2, 1e-7, -1.5e-3])
def test_every_coefficient_has_a_name_that_leads_back(c1):
    assert coefficient(name_of(c1)) == c1
    assert coefficient(name_of(c1).replace("=", " : ")) == c1  # as a NERSC header holds it


@pytest.mark.parametrize("text", ["c1=", "c1=x", "c1=1e999", "c1=.", "wilso", "c1=nan", ""])
def test_what_is_no_action_is_refused(text):
    with pytest.raises(ActionError, match="expected one of wilson, symanzik, iwasaki, dbw2"):
        coefficient(text)


def test_six_digits_name_an_action_and_no_more_than_that():
    assert printed_coefficient(-0.083333) == -1 / 12
    assert printed_coefficient(-0.33) == -0.33


def test_the_file_decides():
    decision = decide({"a": IWASAKI})
    assert (decision.c1, decision.action, decision.beta) == (-0.331, "iwasaki", 2.1)
    assert decision.said == ("a: states the iwasaki action (c2_rec = -0.331): it is sampled",)
    assert decision.record == {"theory": {"a": "iwasaki (c2_rec = -0.331), beta 2.1; no quarks"}}


def test_an_option_that_says_the_same_is_no_contradiction():
    decision = decide({"a": IWASAKI}, action="iwasaki")
    assert (decision.action, decision.warnings) == ("iwasaki", ())


def test_an_option_that_contradicts_is_an_error_unless_accepted():
    with pytest.raises(ActionError, match="a: expected the iwasaki action, which the file states "
                                          r"\(c2_rec = -0.331\), found --action wilson"):
        decide({"a": IWASAKI}, action="wilson")
    decision = decide({"a": IWASAKI}, action="wilson", accepted=True)
    assert decision.c1 == 0 and "--accept theory" in decision.warnings[0]


def test_files_must_agree():
    with pytest.raises(ActionError, match="b: expected the iwasaki action as a, found symanzik"):
        decide({"a": IWASAKI, "b": Theory("", None, -1 / 12, 2.1)})
    with pytest.raises(ActionError, match="b: expected beta 2.1 as a, found 2.2"):
        decide({"a": IWASAKI, "b": Theory("", None, -0.331, 2.2)})
    assert decide({"a": IWASAKI, "b": Theory("", None, -0.331, 2.2)}, beta=2.2).beta == 2.2


def test_a_silent_file_leaves_action_and_beta_to_the_options():
    with pytest.raises(ActionError, match=r"a: expected beta in the file, found none \(--beta"):
        decide({"a": SILENT})
    decision = decide({"a": SILENT}, beta=5.9)
    assert (decision.c1, decision.beta, decision.said) == (None, 5.9, ())
    assert decision.record == {"theory": {}}


def test_another_beta_is_said():
    decision = decide({"a": IWASAKI}, beta=2.3)
    assert decision.beta == 2.3
    assert decision.warnings == ("a says beta 2.1; --beta 2.3 is used",)
    assert decision.foreign and not decide({"a": IWASAKI}, beta=2.1).foreign


def test_quarks_need_consent_and_come_first():
    with pytest.raises(ActionError, match=r"a: tells of quarks \(kappa = 0.1373, mu = 0.006\).*"
                                          r"\(--quenched samples"):
        decide({"a": QUARKS})
    with pytest.raises(ActionError) as refused:
        decide({"a": QUARKS})
    assert QUARKS_PAGE in str(refused.value) and "  " not in str(refused.value)
    decision = decide({"a": QUARKS}, quenched=True)
    assert decision.said[0].startswith("a: tells of quarks (kappa = 0.1373, mu = 0.006)")
    assert decision.record["quenched"] is True and decision.action == "iwasaki"


def test_the_page_on_quarks_is_where_messages_say():
    page, = (page for page, source in mounted.MOUNTED.items() if source in QUARKS_PAGE)
    assert page.removesuffix(".md") in QUARKS_PAGE
    title = (ROOT / mounted.MOUNTED[page]).read_text().splitlines()[0]
    assert f'"{title.removeprefix("# ")}"' in QUARKS_PAGE


@pytest.mark.parametrize("quenched", [False, True])
def test_what_is_none_of_ours_is_refused_by_name(quenched):
    other = Theory("record", "X", None, 5.5, "anisotropy (xi_0 = 3.5)", ())
    for action in (None, "wilson"):
        with pytest.raises(ActionError, match=r"a: expected .*found anisotropy \(xi_0 = 3.5\)"):
            decide({"a": other}, action=action, quenched=quenched)
    with pytest.raises(ActionError, match="anisotropy"):  # accepting says nothing of what to run
        decide({"a": other}, accepted=True)
    assert decide({"a": other}, "wilson", accepted=True).warnings


def test_a_hint_is_overruled_by_an_option_alone():
    hint = Theory("name", "name 'x'", -0.331, None, None, None, hinted=True)
    assert decide({"a": hint}, beta=2.6).action == "iwasaki"
    decision = decide({"a": hint}, action="wilson", beta=6.0)
    assert decision.c1 == 0 and "hints at iwasaki" in decision.warnings[0]


def test_sources_add_up_and_contradictions_are_refused():
    whole = combined([Theory("a", "x", -0.331), Theory("b", beta=2.1, quarks=()), SILENT])
    assert (whole.source, whole.named, whole.c1, whole.beta, whole.quarks) == (
        "a, b", "x", -0.331, 2.1, ())
    split = combined([Theory("a", c1=-0.331), Theory("b", c1=0.0)])
    assert split.other == "a contradiction: c1 -0.331 (a) and 0 (b)" and split.action is None
    assert combined([Theory("a", beta=6.0), Theory("b", beta=5.9)]).other.startswith("a contr")


@pytest.mark.parametrize("stated", [
    IWASAKI, QUARKS, Theory("r", "X", None, 5.5, "boundary SF", None), Theory("r", None, -0.2, 4.0),
])
def test_what_our_files_carry_leads_back_to_the_same_decision(stated):
    again = of_carried(stated.carried(), "own")
    assert (again.c1, again.other, bool(again.quarks)) == (
        stated.c1 if not stated.other else None, stated.other, bool(stated.quarks))
    assert of_carried({}, "own") is None


def test_one_line_says_all():
    assert QUARKS.sentence() == ("iwasaki (c2_rec = -0.331), beta 2.1; quarks: kappa = 0.1373, "
                                 "mu = 0.006")
    assert Theory("r", "X", None, None, "boundary SF").sentence() == "boundary SF: none of ours"
    assert Theory().sentence() == ""
