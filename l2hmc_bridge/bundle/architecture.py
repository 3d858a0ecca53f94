"""A kernel from a plain description and back: what a bundle stores beside the weights."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from l2hmc_bridge.bundle.options import check_network, check_shape, check_transformation
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, MomentumMixing, Steps
from l2hmc_bridge.networks.dense import DenseDrift, DenseKick
from l2hmc_bridge.networks.elementwise import ElementwiseDrift, ElementwiseKick
from l2hmc_bridge.networks.layered import KIND, LayeredDrift, LayeredKick
from l2hmc_bridge.networks.parts import Part
from l2hmc_bridge.networks.smeared import KIND as SMEARED, SmearedDrift
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.sampling.integrators import Schedule, schedule
from l2hmc_bridge.storage.parsing import shown
from l2hmc_bridge.systems.actions import Action

# The rules of DriftNetwork.order and of ElementwiseDrift.first_half, the only ones there are.
MASKS = {"su3": "direction x parity", "u1": "checkerboard", "vector": "checkerboard"}
NETWORKS: dict[str, dict[str, Callable[..., Any]]] = {
    "covariant": {"kick": KickNetwork, "drift": DriftNetwork},
    SMEARED: {"drift": SmearedDrift},
    "dense": {"kick": DenseKick, "drift": DenseDrift},
    "layered": {"kick": LayeredKick, "drift": LayeredDrift},
    "elementwise": {"kick": ElementwiseKick, "drift": ElementwiseDrift},
}
WORDS = {"kick_network": "kick network", "drift_network": "drift network",
         "transformation": "field transformation"}
KEYS = ("composition", "repeats", "masks", "displaced", "kick_network", "drift_network", "mixing")


def describe(kernel: L2HMC) -> dict[str, Any]:
    """JSON-ready description from which `build` makes the same kernel, weights apart."""
    described = {name: part.description() for name, part in networks(kernel).items()}
    kick, drift = described.get("kick_network"), described.get("drift_network")
    around = described.get("transformation")
    return {
        "composition": kernel.composition,
        "repeats": kernel.repeats,
        "masks": _masks(kernel.action.group, drift),
        "displaced": list(kernel.steps.displaced),
        "kick_network": kick,
        "drift_network": drift,
        "mixing": kernel.mixing is not None,
        **({} if around is None else {"transformation": around}),
    }


def build(description: Mapping[str, Any], action: Action) -> L2HMC:
    """The kernel of `describe`, its weights still to be loaded.

    Raises ConfigError if a key is missing or unknown, or the mask rule is not the group's.
    """
    if sorted(set(description) | {"transformation"}) != sorted({*KEYS, "transformation"}):
        raise ConfigError(f"architecture: expected keys {KEYS}, found "
                          f"{', '.join(map(str, description))[:200]}")
    check_shape(description)
    masks = _masks(action.group, description["drift_network"])
    if description["masks"] != masks:
        raise ConfigError(f"masks: expected the rule {masks!r}, found "
                          f"{shown(description['masks'])}")
    displaced = description["displaced"]
    kicks, drifts = len(displaced), len(displaced) - 1
    plan = Schedule((1.0 / kicks,) * kicks, (1.0 / drifts,) * drifts,
                    tuple(float(flag) for flag in displaced))
    kick = _dated(action.group, description["kick_network"], activation="tanh")
    drift = _dated(action.group, description["drift_network"], activation="tanh",
                   outputs=["q", "t"])
    return L2HMC(
        action,
        Steps(plan),
        _network("kick", kicks, action.group, kick),
        _network("drift", drifts, action.group, drift),
        MomentumMixing() if description["mixing"] else None,
        description["composition"],
        repeats=description["repeats"],
        transformation=_transformation(action.group, description.get("transformation")),
    )


def _dated(group: str, network: Mapping | None, **before) -> Mapping | None:
    """A network as stored, with what bundles took for granted before they said it."""
    if network and group == "su3" and "kind" not in network:
        return {**before, **network}
    return network


def untrained(action: Action, integrator: str, step_size: float, steps: int,
              composition: str = "palindrome", kick_network: Mapping | None = None,
              drift_network: Mapping | None = None, mixing: bool = False,
              repeats: int = 1, shape: tuple[int, ...] = (),
              transformation: Mapping | None = None) -> L2HMC:
    """The starting point of training: a known integrator, all networks zero.

    `steps` and `step_size` belong to one pass Phi; a palindrome makes two. `shape` is that of one
    field, for networks that fit one lattice. Raises ConfigError.
    """
    plan = schedule(integrator, step_size, steps)
    try:
        return L2HMC(
            action,
            Steps(plan),
            _network("kick", len(plan.kicks), action.group, kick_network, shape),
            _network("drift", len(plan.drifts), action.group, drift_network, shape),
            MomentumMixing() if mixing else None,
            composition,
            repeats=repeats,
            transformation=_transformation(action.group, transformation),
        )
    except TypeError as error:
        raise ConfigError(f"network: {error}") from error


def _masks(group: str, drift: Mapping | None) -> str:
    """The rule of the link halves: dense networks on SU(3) use a checkerboard of links, layered
    ones list theirs."""
    if drift and drift.get("kind") == KIND:
        return "listed"
    return MASKS["u1"] if drift and drift.get("kind") == "dense" else MASKS[group]


def _network(part: str, steps: int, group: str, given: Mapping | None,
             shape: tuple[int, ...] = ()) -> Any:
    """The kick or drift network of a description; None for none."""
    if not given:
        return None
    arguments: tuple[Any, ...] = (steps,) if group == "su3" else (steps, group)
    if group == "su3" and given.get("kind") == SMEARED:
        return _smeared(part, steps, given)
    if group == "su3" and given.get("kind", "covariant") == "covariant":
        name, given = "covariant", {key: v for key, v in given.items() if key != "kind"}
    else:
        layered = given.get("kind") == KIND and group != "su3"
        name = "dense" if group == "su3" else "layered" if layered else "elementwise"
        given = {"shape": shape, **given}
    kind = NETWORKS[name][part]
    known = list(inspect.signature(kind).parameters)[len(arguments):]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigError(f"{part}_network.{unknown[0][:40]}: unknown key, expected some of "
                          f"{known}")
    check_network(part, given)
    return kind(*arguments, **given)


def _smeared(part: str, steps: int, given: Mapping) -> SmearedDrift:
    """s_U in the drifts of a description."""
    if part not in NETWORKS[SMEARED]:
        raise ConfigError(f"{part}_network.kind: expected another than {SMEARED!r}, which is a "
                          "drift network")
    check_transformation(given, f"{part}_network", ("kind", "hidden", "bound", "activation"))
    return SmearedDrift(steps, **given)


def _transformation(group: str, given: Mapping | None) -> FieldTransformation | None:
    """The field transformation of a description; None for none."""
    if given is None:
        return None
    if group != "su3":
        raise ConfigError(f"transformation: expected none on {group}, found {shown(given)}")
    check_transformation(given)
    return FieldTransformation(**given)


def modules(kernel: L2HMC) -> dict[str, Any]:
    """The trainable parts by name: steps, the two networks, mixing, transformation."""
    parts = {
        "steps": kernel.steps,
        "kick_network": kernel.kick_network,
        "drift_network": kernel.drift_network,
        "mixing": kernel.mixing,
        "transformation": kernel.transformation,
    }
    return {name: part for name, part in parts.items() if part is not None}


def networks(kernel: L2HMC) -> dict[str, Part]:
    """The networks of a kernel by name: kick_network, drift_network, transformation."""
    parts = {"kick_network": kernel.kick_network, "drift_network": kernel.drift_network,
             "transformation": kernel.transformation}
    return {name: part for name, part in parts.items() if part is not None}


def nature(kernel: L2HMC) -> str:
    """"tuned integrator" if no network or mixing has any effect, else what has."""
    alive = [WORDS[name] for name, network in networks(kernel).items()
             if bool(network.weight.any() or network.bias.any())]
    if kernel.mixing is not None and float(kernel.mixing.coefficient.detach()) != 0:
        alive.append("momentum mixing")
    return "trained steps, " + ", ".join(alive) if alive else "tuned integrator"


def tensors(kernel: L2HMC) -> dict[str, Any]:
    """All weights as `part.name` tensors, detached clones."""
    return {
        f"{part}.{name}": value.detach().clone().contiguous()
        for part, module in modules(kernel).items()
        for name, value in module.state_dict().items()
    }


def require_weights(kernel: L2HMC, values: Mapping[str, Any]) -> None:
    """ConfigError names what of `tensors` is missing, left over or of another shape or dtype."""
    expected = tensors(kernel)
    if sorted(expected) != sorted(values):
        odd = ", ".join(sorted(set(expected) ^ set(values)))[:200]
        raise ConfigError(f"weights: expected {sorted(expected)}, differing in {odd}")
    for name, value in expected.items():
        if values[name].shape != value.shape or values[name].dtype != value.dtype:
            raise ConfigError(
                f"weight {name}: expected {value.dtype} {list(value.shape)}, "
                f"found {values[name].dtype} {list(values[name].shape)}"
            )


def load_tensors(kernel: L2HMC, values: Mapping[str, Any]) -> None:
    """Put `tensors` back; ConfigError as `require_weights`."""
    require_weights(kernel, values)
    for part, module in modules(kernel).items():
        prefix = part + "."
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
        )
