"""A U(1) checkpoint of l2hmc-qcd as a kernel of ours: the same forward map, the exact inverse.

What differs from dynamics/pytorch/dynamics.py (commit 1b951ef) and why:
- eps = sigmoid(log xeps) = xeps/(1 + xeps) is worked in, v likewise.
- The backward drift there, x' = 2 atan(e^{-e s} tan(x/2)) - e^{-e s} e (v e^{e q} + t), is not the
  inverse of the forward one, 2 atan(e^{e s} tan(x/2)) + e (v e^{e q} + t): its chains are biased.
  Ours is 2 atan(e^{-e s} tan((x' - c)/2)), so the proposal is another, and exact.
- Directions not merged: there the accept exponent has initial and proposed energies exchanged.
- Networks are in evaluation mode: no dropout, batch normalisation with its running averages. Both
  are worked into the last layers, as are the weights of s, t and q. Everything is float64.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor

from l2hmc_bridge.adapters.l2hmc_qcd.checkpoint import Checkpoint, Weights
from l2hmc_bridge.adapters.l2hmc_qcd.masks import Masks
from l2hmc_bridge.errors import BridgeError, ConfigError, FormatError
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import Steps
from l2hmc_bridge.networks.layered import Layered, LayeredDrift, LayeredKick
from l2hmc_bridge.networks.layers import Network
from l2hmc_bridge.networks.masks import packed
from l2hmc_bridge.sampling.integrators import Schedule
from l2hmc_bridge.systems.actions import U1Action

BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
BATCH_NORM_EPSILON = 1e-5
COMPOSITIONS = {
    True: "palindrome: forward, flip, backward",
    False: "direction: forward or backward by lot; l2hmc-qcd exchanges initial and proposed energy "
           "in its accept step there, this one does not",
}
EXACT = "the inverse of the forward one, as in l2hmc-qcd where angles are not scaled"
CORRECTED = ("the exact inverse of the forward one; l2hmc-qcd's is not, so its proposals and "
             "acceptance differ and its chains are biased")
DIRECT = {"field": "input_layer.xlayer", "other": "input_layer.vlayer"}  # ours: theirs


class Settings(NamedTuple):
    """What the configuration of the run said and the checkpoint does not."""

    lattice: tuple[int, int]  # Nt, Nx
    beta: float
    activation: str = "leaky_relu"
    kick_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of s, t, q
    drift_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    merge_directions: bool = True
    use_ncp: bool = True


def build(checkpoint: Checkpoint, settings: Settings, frozen: Tensor) -> L2HMC:
    """The kernel whose Phi is the forward map of `checkpoint` with these masks, bool [n, links].

    Raises FormatError or ConfigError for what does not fit or has no exact counterpart.
    """
    shape = (2, *settings.lattice)
    links = torch.Size(shape).numel()
    if checkpoint.links != links:
        raise FormatError(f"{checkpoint.path}: expected the networks of a lattice of {links} links "
                          f"(2 x {settings.lattice[1]} x {settings.lattice[0]}), found "
                          f"{checkpoint.links}")
    if not settings.use_ncp and settings.drift_weights[0] != 0:
        raise ConfigError("use_ncp: expected the update with the tangent, found a scaling of the "
                          "angle itself, x e^{e s} modulo 2 pi: several angles go to one, there is "
                          "no inverse and no exact step; exact only with a weight of s of 0")
    steps, halves = _steps(checkpoint)
    make = {"shape": shape, "activation": settings.activation}
    kick = _filled(checkpoint, checkpoint.kicks, settings.kick_weights, LayeredKick,
                   len(halves), make | {"halves": halves})
    drift = _filled(checkpoint, checkpoint.drifts, settings.drift_weights, LayeredDrift,
                    checkpoint.layers,
                    make | {"masks": tuple(packed(mask) for mask in frozen)})
    composition = "palindrome" if settings.merge_directions else "direction"
    return L2HMC(U1Action(settings.beta), steps, cast(LayeredKick, kick),
                 cast(LayeredDrift, drift), None, composition)


def described(checkpoint: Checkpoint, settings: Settings, masks: Masks, kernel: L2HMC) -> dict:
    """What was found, what was assumed and what differs from l2hmc-qcd, by name, JSON-ready."""
    drift = cast(LayeredDrift, kernel.drift_network)
    normalised = any(name.startswith("batch_norm.") for name in checkpoint.drifts[0])
    return {
        **checkpoint.counters,
        "layers": checkpoint.layers,
        "networks": f"{len(checkpoint.kicks)} for kicks, {len(checkpoint.drifts)} for drifts",
        "units": " ".join(map(str, drift.units)),
        "convolutions (features x size)": " ".join(f"{f}x{n}" for f, n in drift.filters) or "none",
        "batch normalisation": "running averages, worked in" if normalised else "none",
        "eps/(1 + eps) of the kicks": (checkpoint.veps / (1 + checkpoint.veps)).tolist(),
        "eps/(1 + eps) of the drifts": (checkpoint.xeps / (1 + checkpoint.xeps)).tolist(),
        "masks": f"{masks.source}; {masks.confirmed} of {masks.frozen.numel()} bits borne out by "
                 "the weights",
        "taken as said": f"lattice {settings.lattice[1]},{settings.lattice[0]}, beta "
                         f"{settings.beta:g}, {settings.activation}, weights of s, t, q "
                         f"{settings.drift_weights} (xnet) and {settings.kick_weights} (vnet)",
        "composition": COMPOSITIONS[settings.merge_directions],
        "forward map": "that of l2hmc-qcd, in float64 and without dropout",
        "backward map": EXACT if settings.drift_weights[0] == 0 else CORRECTED,
    }


def _steps(checkpoint: Checkpoint) -> tuple[Steps, tuple[tuple[float, float], ...]]:
    """Our step sizes, and what each half kick takes of the one it is part of.

    Kicks and drifts of one schedule sum to the same length; the shares make up for that.
    """
    drifts, kicks = (eps / (1 + eps) for eps in (checkpoint.xeps, checkpoint.veps))
    nothing = kicks.new_zeros(1)
    closing, opening = torch.cat([nothing, kicks / 2]), torch.cat([kicks / 2, nothing])
    merged = closing + opening
    steps = Steps(Schedule(tuple(merged.tolist()), tuple(drifts.tolist()), (0.0,) * len(merged)))
    acting = steps.effective()[0].detach()
    return steps, tuple(zip((closing / acting).tolist(), (opening / acting).tolist(), strict=True))


def _filled(checkpoint: Checkpoint, given: list[Weights], factors: tuple[float, float, float],
            kind: type[LayeredKick] | type[LayeredDrift], steps: int, make: dict) -> Layered:
    """Our networks with the weights of theirs."""
    part = "vnet" if kind is LayeredKick else "xnet"
    try:
        networks = kind(steps, "u1", units=_units(given[0]), filters=_filters(given[0]),
                        networks=len(given), **make)
    except (BridgeError, IndexError, KeyError, ValueError) as error:
        raise FormatError(f"{checkpoint.path}: {part}: expected networks of l2hmc-qcd, found "
                          f"{error}") from error
    for number, (network, weights) in enumerate(zip(networks.each(), given, strict=True)):
        where = f"{checkpoint.path}: {part}, network {number} of {len(given)}"
        network.load_state_dict(_converted(where, network, weights, factors))
    return networks


def _converted(where: str, network: Network, weights: Weights,
               factors: tuple[float, float, float]) -> Weights:
    """The state of our network; FormatError if a name is missing, unknown or misshapen."""
    names = DIRECT | {f"hidden.{n}": f"hidden_layers.{n}" for n in range(len(network.hidden))}
    if network.front is not None:
        places = _places(len(network.front.layers))
        names |= {f"front.layers.{n}": place for n, place in enumerate(places[:-1])}
        names["front.last"] = places[-1]
    ours = network.state_dict()
    links, last = network.last.weight.shape[0] // 3, network.last.weight.shape[1]
    expected = {f"{theirs}.{kind}": ours[f"{mine}.{kind}"].shape
                for mine, theirs in names.items() for kind in ("weight", "bias")}
    for layer in ("scale.layer", "transl", "transf.layer"):
        expected |= {f"{layer}.weight": (links, last), f"{layer}.bias": (links,)}
    expected |= {"scale.coeff": (1, links), "transf.coeff": (1, links)}
    if any(name.startswith("batch_norm.") for name in weights):
        expected |= {f"batch_norm.{kind}": (last,) for kind in BATCH_NORM}
    _check(where, weights, expected)
    state = {f"{mine}.{kind}": weights[f"{theirs}.{kind}"]
             for mine, theirs in names.items() for kind in ("weight", "bias")}
    return state | _last(weights, factors)


def _check(where: str, weights: Weights, expected: dict[str, tuple[int, ...]]) -> None:
    found = set(weights) - {"batch_norm.num_batches_tracked"}
    if missing := sorted(set(expected) - found):
        raise FormatError(f"{where}: expected {missing[0]}, found none")
    if unknown := sorted(found - set(expected)):
        raise FormatError(f"{where}: expected no other weights than l2hmc-qcd's, found "
                          f"{unknown[0]}")
    for name, shape in expected.items():
        if tuple(weights[name].shape) != tuple(shape):
            hint = " (pooling by 2 is expected)" if ".conv_stack." in name else ""
            raise FormatError(f"{where}: {name}: expected {list(shape)}{hint}, found "
                              f"{list(weights[name].shape)}")


def _last(weights: Weights, factors: tuple[float, float, float]) -> Weights:
    """Last layers of s, q, t and the amplitudes A, batch normalisation and factors worked in.

    W (a z + c) + b = (W a) z + (b + W c), a = w/sqrt(var + 1e-5), c = b' - a mean.
    """
    of_s, of_t, of_q = factors
    weight = torch.cat([weights["scale.layer.weight"], weights["transf.layer.weight"],
                        of_t * weights["transl.weight"]])
    bias = torch.cat([weights["scale.layer.bias"], weights["transf.layer.bias"],
                      of_t * weights["transl.bias"]])
    if "batch_norm.weight" in weights:
        factor, offset, mean, variance = (weights[f"batch_norm.{kind}"] for kind in BATCH_NORM)
        factor = factor / torch.sqrt(variance + BATCH_NORM_EPSILON)
        bias = bias + weight @ (offset - factor * mean)
        weight = weight * factor
    amplitude = torch.cat([of_s * weights["scale.coeff"][0].exp(),
                           of_q * weights["transf.coeff"][0].exp()])
    return {"last.weight": weight, "last.bias": bias, "amplitude": amplitude}


def _units(weights: Weights) -> tuple[int, ...]:
    """Units of each layer, from its weights."""
    units = [weights["input_layer.xlayer.weight"].shape[0]]
    while f"hidden_layers.{len(units) - 1}.weight" in weights:
        units.append(weights[f"hidden_layers.{len(units) - 1}.weight"].shape[0])
    return tuple(units)


def _filters(weights: Weights) -> tuple[tuple[int, int], ...]:
    """(features, size) of each convolution, from its weights."""
    shapes: list[torch.Size] = []
    while (name := f"{_places(len(shapes) + 1)[-2]}.weight") in weights and weights[name].ndim == 4:
        shapes.append(weights[name].shape)
    return tuple((shape[0], shape[-1]) for shape in shapes)


def _places(convolutions: int) -> list[str]:
    """Where the convolutions and the linear layer after them stand among the layers of the stack.

    padding, convolution; then padding, convolution, pooling for every second one, activation for
    each; at last flattening, the linear layer, an activation.
    """
    places, here = [1], 2
    for n in range(1, convolutions):
        places.append(here + 1)
        here += 3 + (n % 2 == 0)
    return [f"input_layer.conv_stack.layers.{place}" for place in (*places, here + 1)]
