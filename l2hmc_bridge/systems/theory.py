"""What theory a file says it belongs to, in our normalisation; `adapters.theory` reads it.

No torch is needed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.systems.coefficients import coefficient, name_of

PRINTED = 5e-7  # codes print couplings with six digits after the point


@dataclass(frozen=True)
class Theory:
    """What a source states of the distribution of its field; None if it is silent.

    named: the gauge action in the source's words. c1, beta: ours, S = -(beta/3) sum [c0 P + c1 R].
    other: what makes it none of ours (anisotropy, a boundary, a loop that we lack), by name.
    quarks: what tells of quarks, () if the source says that there are none.
    hinted: the action is read from free text or a name; an option overrules it.
    """

    source: str = ""
    named: str | None = None
    c1: float | None = None
    beta: float | None = None
    other: str | None = None
    quarks: tuple[str, ...] | None = None
    hinted: bool = False

    @property
    def action(self) -> str | None:
        """The name of the gauge action if it is one of ours: "iwasaki", "c1=-0.2"."""
        return None if self.c1 is None or self.other else name_of(self.c1)

    def __bool__(self) -> bool:
        """Whether anything at all is stated."""
        return (self.c1, self.beta, self.other, self.quarks) != (None, None, None, None)

    def sentence(self) -> str:
        """One line: "iwasaki (c2_rec = -0.331), beta 2.1; quarks: kappa = 0.1373"."""
        words = []
        if self.other:
            words.append(f"{self.other}: none of ours")
        elif self.action:
            spelled = self.named and self.named.lower() != self.action
            words.append(self.action + (f" ({self.named})" if spelled else ""))
        if self.beta is not None:
            words.append(f"beta {self.beta:.10g}")
        told = [", ".join(words)] if words else []
        if self.quarks is not None:
            told.append(f"quarks: {', '.join(self.quarks)}" if self.quarks else "no quarks")
        return "; ".join(told)

    def carried(self) -> dict[str, str]:
        """What our own files write of it: gauge_action and quarks; `of_carried` reads it back."""
        written = {}
        if self.other or self.action:
            written["gauge_action"] = f"other: {self.other}" if self.other else str(self.action)
        if self.quarks is not None:
            written["quarks"] = ", ".join(self.quarks) or "none"
        return written


def of_carried(keys: Mapping[str, Any], source: str) -> Theory | None:
    """The theory that `Theory.carried` wrote (with beta), None if there is none."""
    name, quarks = (str(keys[key]) if key in keys else None for key in ("gauge_action", "quarks"))
    if name is None and quarks is None:
        return None
    other, c1 = None, None
    if name is not None and name.startswith("other: "):
        other = name.removeprefix("other: ")
    elif name is not None:
        try:
            c1 = coefficient(name)
        except ActionError:
            other = name
    told = None if quarks is None else () if quarks == "none" else (quarks,)
    return Theory(source, name, c1, None, other, told)


def combined(theories: Iterable[Theory]) -> Theory:
    """What several sources state together, the first one's words if they agree.

    If they contradict each other that is what `other` says: such a field is none of ours.
    """
    whole = Theory()
    for theory in theories:
        silent = whole.c1 is None and whole.other is None
        whole = Theory(
            ", ".join(filter(None, (whole.source, theory.source))),
            theory.named if silent else whole.named,
            theory.c1 if whole.c1 is None else whole.c1,
            theory.beta if whole.beta is None else whole.beta,
            whole.other or theory.other or _contradiction(whole, theory),
            _added(whole.quarks, theory.quarks),
            theory.hinted if silent else whole.hinted,
        )
    return whole


def _contradiction(one: Theory, other: Theory) -> str | None:
    pairs = (("c1", one.c1, other.c1), ("beta", one.beta, other.beta))
    for name, mine, theirs in pairs:
        if mine is not None and theirs is not None and abs(mine - theirs) > PRINTED:
            return (f"a contradiction: {name} {mine:.10g} ({one.source}) and {theirs:.10g} "
                    f"({other.source})")
    return None


def _added(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(dict.fromkeys((*one, *other)))
