"""What the free text and XML around a payload tell: parameters of a run, and whose it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from l2hmc_bridge.adapters.format import metadata

from . import markup
from .fields import Lime


def parameters(opened: Lime) -> dict[str, str]:
    """`key = value` parameters in the file's free text (MILC, tmLQCD, our own)."""
    found = dict(xlf_info(opened))
    texts = []
    for kind in ("scidac-record-xml", "scidac-file-xml"):
        fields = opened.fields(kind)
        texts += fields.all("info") if fields.texts else [opened.text(kind) or ""]
    for text in texts:
        for key, value in metadata.parameters(text).items():
            found.setdefault(key, value)
    return found


def xlf_info(opened: Lime) -> dict[str, str]:
    """tmLQCD's parameters, in either of its spellings: lines or XML."""
    text = opened.text("xlf-info") or ""
    if not text.startswith("<"):
        return metadata.parameters(text)
    return {name: texts[0] for name, texts in markup.parse(text.encode()).texts.items() if texts[0]}


def identity(
    opened: Lime, info: Mapping[str, str], name: str, lattice: Sequence[int]
) -> dict[str, Any]:
    """beta, trajectory, lfn, ensemble_id, ensemble_label, reunitarized as far as they are told."""
    lfn = opened.text("ildg-data-lfn") or None
    user = [opened.fields(kind) for kind in ("scidac-record-xml", "scidac-file-xml")]
    tags: dict[str, list[str]] = {}
    for fields in user:
        for key, texts in fields.texts.items():
            tags.setdefault(key, []).extend(texts)
    grid = opened.fields("grid-format").texts
    stated = [info.get("trajectory"), info.get("trajectory nr"), opened.text("MD_traj"),
              *tags.get("StartUpdateNum", []), *grid.get("sequence_number", [])]
    numbers = [metadata.integer(text) for text in stated if text is not None]
    told = next((number for number in numbers if number), None)
    if info.get("trajectory") is not None:
        trajectory = numbers[0]
    else:
        trajectory = (told or metadata.trajectory_of(lfn, name, lattice=lattice)
                      or next(iter(numbers), None))
    found = {
        "beta": metadata.beta_of(info, tags),
        "trajectory": trajectory,
        "lfn": lfn,
        "ensemble_id": info.get("ensemble_id") or next(iter(grid.get("ensemble_id", [])), None),
        "ensemble_label": info.get("ensemble_label")
        or next(iter(grid.get("ensemble_label", [])), None),
    }
    found |= metadata.own(info)
    return {key: value or (None if value == "" else value) for key, value in found.items()}
