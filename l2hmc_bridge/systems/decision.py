"""Which gauge action and coupling are sampled: what files state against what the caller asks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from l2hmc_bridge.errors import QUARKS_PAGE, ActionError
from l2hmc_bridge.systems.coefficients import RECTANGLE_COEFFICIENTS, coefficient, name_of
from l2hmc_bridge.systems.theory import PRINTED, Theory

OURS = f"{', '.join(RECTANGLE_COEFFICIENTS)} or another plaquette + rectangle action"


@dataclass(frozen=True)
class Decision:
    """What is sampled: c1 (None: neither file nor option says) and beta, and what to say of it.

    said: sentences for a person, that about quarks first. record: for the stream. foreign: another
    theory than that of the files is sampled.
    """

    c1: float | None
    beta: float
    said: tuple[str, ...]
    warnings: tuple[str, ...]
    record: Mapping[str, Any]
    foreign: bool = False

    @property
    def action(self) -> str | None:
        """The name of the gauge action."""
        return None if self.c1 is None else name_of(self.c1)


def decide(
    stated: Mapping[str, Theory], action: str | None = None, beta: float | None = None,
    quenched: bool = False, accepted: bool = False, option: str = "--action",
) -> Decision:
    """The gauge action and coupling to sample, from what files state (by name) and options.

    option: how messages call what names `action`.

    Raises ActionError if an option or another file contradicts a file's action, if a file belongs
    to none of ours (`accepted` goes on with `action`), if one tells of quarks without `quenched`,
    and if nobody states beta.
    """
    asked = None if action is None else coefficient(action)
    for name, theory in stated.items():
        _refuse_other(name, theory, asked, accepted, option)
    c1, warnings = _coefficient(stated, asked, accepted, option)
    said = [_quarks(name, theory, quenched) for name, theory in stated.items() if theory.quarks]
    coupling, different = _coupling(stated, beta, option.replace("action", "beta"))
    warnings += different
    foreign = bool(warnings) or any(theory.quarks for theory in stated.values())
    record: dict[str, Any] = {"theory": {name: theory.sentence() for name, theory in stated.items()
                                         if theory}}
    if said:
        record["quenched"] = True
    first = next(iter(stated.items()), None)
    if first is not None and first[1].action and asked is None:
        said.append(f"{first[0]}: states the {first[1].action} action"
                    f"{f' ({first[1].named})' if first[1].named else ''}: it is sampled")
    return Decision(c1, coupling, tuple(said), tuple(warnings), record, foreign)


def _refuse_other(
    name: str, theory: Theory, asked: float | None, accepted: bool, option: str
) -> None:
    if theory.other and not ((accepted or theory.hinted) and asked is not None):
        raise ActionError(
            f"{name}: expected a field of an isotropic, periodic gauge action ({OURS}), found "
            f"{theory.other} (--accept theory with {option} samples another one all the same)")


def _coefficient(
    stated: Mapping[str, Theory], asked: float | None, accepted: bool, option: str
) -> tuple[float | None, list[str]]:
    """(c1, warnings); an option and the files must agree unless `accepted`."""
    known = [(name, theory, theory.c1) for name, theory in stated.items() if theory.c1 is not None]
    if asked is not None:
        warnings = []
        for name, theory in stated.items():
            warnings += _contradicted(name, theory, asked, accepted, option)
        return asked, warnings
    for name, theory, c1 in known:
        first, other, expected = known[0]
        if abs(c1 - expected) > PRINTED:
            raise ActionError(f"{name}: expected the {other.action} action as {first}, found "
                              f"{theory.action}")
    return (known[0][2] if known else None), []


def _contradicted(
    name: str, theory: Theory, asked: float, accepted: bool, option: str
) -> list[str]:
    """A warning if the option is sampled against what a file says; ActionError if it may not."""
    differs = theory.c1 is not None and abs(theory.c1 - asked) > PRINTED
    if (differs or theory.other) and (accepted or theory.hinted):
        verb, why = ("hints at", "") if theory.hinted else ("states", " (--accept theory)")
        return [f"{name} {verb} {theory.sentence()}; {option} {name_of(asked)} is sampled{why}"]
    if differs:
        raise ActionError(
            f"{name}: expected the {theory.action} action, which the file states "
            f"({theory.named or theory.source}), found {option} {name_of(asked)} (--accept theory "
            "goes on all the same)")
    return []


def _quarks(name: str, theory: Theory, quenched: bool) -> str:
    told = ", ".join(theory.quarks or ())
    if not quenched:
        raise ActionError(f"{name}: tells of quarks ({told}), which are not sampled here "
                          "(--quenched samples the gauge action alone; nested steps go with "
                          f"quarks: {QUARKS_PAGE})")
    return f"{name}: tells of quarks ({told}): the gauge action alone is sampled (--quenched)"


def _coupling(
    stated: Mapping[str, Theory], asked: float | None, option: str
) -> tuple[float, list[str]]:
    """(beta, warnings); if files differ an option decides."""
    known = {name: theory.beta for name, theory in stated.items() if theory.beta is not None}
    if asked is None:
        silent = [name for name in stated if name not in known]
        first = next(iter(stated), "start")
        if not known:
            raise ActionError(f"{first}: expected beta in the file, found none (--beta states it)")
        if silent:
            raise ActionError(f"{silent[0]}: expected beta {next(iter(known.values()))} as "
                              f"{next(iter(known))}, found None (--beta decides)")
        for name, beta in known.items():
            if abs(beta - known[first]) > PRINTED:
                raise ActionError(f"{name}: expected beta {known[first]} as {first}, found {beta} "
                                  "(--beta decides)")
        return float(known[first]), []
    return float(asked), [f"{name} says beta {beta:g}; {option} {asked:g} is used"
                          for name, beta in known.items() if abs(beta - asked) > 1e-9]
