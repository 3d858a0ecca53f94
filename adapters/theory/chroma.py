"""The theory in Chroma's XML: the record of a configuration, a restart file, the log of a run.

The monomials of HMC (mainprogs/main/hmc.cc) or the gauge action of a heat bath (purgaug.cc). In
S = -(p/3) sum P - (r/3) sum R the actions of lib/actions/gauge/gaugeacts have
WILSON p = beta; RBC p = beta (1 - 8 c1), r = beta c1; RG p = beta, r = beta c1; LW_TREE p = beta,
r = -beta / (20 u0^2); PLAQ p = coeffs; RECT r = coeff. Monomials add; ours is beta = p + 8 r.
"""

from collections.abc import Callable, Iterator

from l2hmc_bridge.adapters.format.checks import parse_number
from l2hmc_bridge.adapters.formats.lime.markup import Element, tree
from l2hmc_bridge.systems.coefficients import printed_coefficient
from l2hmc_bridge.systems.theory import Theory

MEASURED = "InlineMeasurements"  # speaks of other actions than that of the run
PERIODIC = "PERIODIC_GAUGEBC"
PLAIN_STATES = ("SIMPLE_GAUGE_STATE", "PERIODIC_GAUGE_STATE")


def states(text: str) -> bool:
    """Whether this is XML in which Chroma tells of its theory."""
    return "_GAUGEACT" in text or "_MONOMIAL" in text or "_GAUGEBC" in text


def read(text: str, source: str) -> Theory:
    """What the XML states; of broken XML, what stands before the break."""
    root, _ = tree(text.encode())
    actions = list(_actions(root))
    quarks = tuple(dict.fromkeys(
        name for one in root.walk(MEASURED) if one.name == "Name"
        and "FERM" in (name := one.text) and "MONOMIAL" in name))
    other = next(filter(None, (_other(one) for one in root.walk(MEASURED))), None)
    named = " + ".join(dict.fromkeys(one.word("Name") or "nameless" for one in actions)) or None
    told = quarks if quarks or actions else None
    if other is not None or not actions:
        return Theory(source, named, None, None, other, told)
    plaquette = rectangle = 0.0
    for action in actions:
        found = _coefficients(action)
        if isinstance(found, str):
            return Theory(source, named, None, None, found, told)
        plaquette, rectangle = plaquette + found[0], rectangle + found[1]
    beta = plaquette + 8 * rectangle
    if beta == 0:
        return Theory(source, named, None, None, f"{named} with coupling 0", told)
    return Theory(source, named, printed_coefficient(rectangle / beta), beta, None, told)


def _actions(root: Element) -> Iterator[Element]:
    """The gauge actions that the Hamiltonian adds up."""
    used = {elem.text for one in root.walk(MEASURED) if one.name == "Hamiltonian"
            for ids in one.children if ids.name == "monomial_ids" for elem in ids.children}
    inside: set[int] = set()
    for one in root.walk(MEASURED):
        if one.name != "Monomials":
            continue
        for monomial in one.children:
            inside.update(id(below) for below in monomial.walk())
            action = monomial.child("GaugeAction")
            label = monomial.word("NamedObject", "monomial_id")
            if action is not None and (not used or label is None or label in used):
                yield action
    for one in root.walk(MEASURED):
        if one.name == "GaugeAction" and id(one) not in inside:
            yield one


def _other(one: Element) -> str | None:
    """What in an element makes an action none of ours: anisotropy, boundary, smeared links."""
    if one.name == "AnisoParam" and one.word("anisoP") == "true":
        ratio = one.word("xi_0")
        return None if parse_number(ratio) == 1 else f"anisotropy (xi_0 = {ratio})"
    if one.name == "GaugeBC":
        name, boundary = one.word("Name") or "", (one.word("boundary") or "1").split()
        plain = name == PERIODIC or name == "SIMPLE_GAUGEBC" and all(
            parse_number(word) == 1 for word in boundary)
        return None if plain else f"boundary {name or 'without a name'}"
    if one.name == "GaugeAction":
        state = one.word("GaugeState", "Name")
        return f"action of smeared links ({state})" if state not in (None, *PLAIN_STATES) else None
    monomial = one.name == "Name" and one.text.endswith("MONOMIAL") and "GAUGE" in one.text
    if monomial and "FERM" not in one.text and one.text != "GAUGE_MONOMIAL":
        return f"monomial {one.text}"
    return None


def _coefficients(action: Element) -> tuple[float, float] | str:
    """(p, r) of a gauge action, or its name if it is none of ours."""
    name = action.word("Name") or "nameless"
    formula = FORMULAS.get(name)
    if formula is None:
        return f"action {name}"
    return formula(action) or f"action {name} with couplings that are not ours"


def _number(action: Element, *path: str) -> float:
    """The number at a path; NaN if there is none."""
    number = parse_number(action.word(*path))
    return float("nan") if number is None else number


def _finite(plaquette: float, rectangle: float) -> tuple[float, float] | None:
    return (plaquette, rectangle) if plaquette - plaquette == rectangle - rectangle == 0 else None


def _wilson(action: Element) -> tuple[float, float] | None:
    return _finite(_number(action, "beta"), 0.0)


def _rbc(action: Element) -> tuple[float, float] | None:
    beta, c1 = _number(action, "beta"), _number(action, "c1")
    return _finite(beta * (1 - 8 * c1), beta * c1)


def _rg(action: Element) -> tuple[float, float] | None:
    beta = _number(action, "beta")
    return _finite(beta, beta * _number(action, "c1"))


def _lw_tree(action: Element) -> tuple[float, float] | None:
    beta, tadpole = _number(action, "beta"), _number(action, "u0")
    return _finite(beta, -beta / (20 * tadpole**2)) if tadpole else None


def _plaquette(action: Element) -> tuple[float, float] | None:
    """One coefficient for all planes, as `beta` or as the 4 x 4 table `coeffs`."""
    table = action.child("coeffs")
    if table is None:
        return _wilson(action)
    rows = [[parse_number(word) for word in row.text.split()] for row in table.children]
    if [len(row) for row in rows] != [4] * 4:
        return None
    off = {rows[mu][nu] for mu in range(4) for nu in range(4) if mu != nu}
    value = off.pop()
    return None if off or value is None else (value, 0.0)


def _rectangle(action: Element) -> tuple[float, float] | None:
    whole = action.word("no_temporal_2link") in (None, "false")
    return _finite(0.0, _number(action, "coeff")) if whole else None


FORMULAS: dict[str, Callable[[Element], tuple[float, float] | None]] = {
    "WILSON_GAUGEACT": _wilson, "PLAQ_GAUGEACT": _plaquette, "RECT_GAUGEACT": _rectangle,
    "RBC_GAUGEACT": _rbc, "RG_GAUGEACT": _rg, "LW_TREE_GAUGEACT": _lw_tree,
}
