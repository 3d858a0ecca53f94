"""The file under a bundle: safetensors with checked metadata and a hash over everything."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from l2hmc_bridge import models
from l2hmc_bridge.errors import QUARKS_PAGE, BundleError
from l2hmc_bridge.storage import atomic, parsing, regular, tensors as safetensors

FORMAT, VERSION = "l2hmc-bridge bundle", "1"
KEYS = ("format", "version", "architecture", "action", "group", "dtype", "axes", "provenance",
        "fingerprint", "hash", "gate")
NESTED = "l2hmc-bridge nested bundle"  # see nested.py
FORMS = {FORMAT: KEYS, NESTED: (*KEYS, "levels", "host")}


def form_of(path: Path) -> str:
    """Which of FORMS the file says it is; BundleError for none."""
    _require_file(path)
    return _form(path, safetensors.head(path, BundleError, named="bundle").meta)


def read_file(path: Path, form: str = FORMAT) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a bundle of this form, verified by its hash. Raises BundleError."""
    _require_file(path)
    tensors, meta = safetensors.load(path, BundleError, named="bundle")
    found = _form(path, meta)
    if found != form:
        way_out = {NESTED: f": its levels need the terms of a host ({QUARKS_PAGE})",
                   FORMAT: ": it has no levels"}
        raise BundleError(f"{path}: expected {form!r}, found {found!r}{way_out[found]}")
    if meta.get("version") != VERSION:
        raise BundleError(f"{path}: expected version {VERSION}, found "
                          f"{parsing.shown(meta.get('version'))}")
    missing = sorted(set(FORMS[form]) - set(meta))
    if missing or "fingerprint.links" not in tensors:
        raise BundleError(f"{path}: expected keys {FORMS[form]}, found none of "
                          f"{missing or 'fingerprint'}")
    found = digest(tensors, meta)
    if found != meta["hash"]:
        raise BundleError(f"{path}: expected hash {meta['hash'][:64]}, found {found}: it was "
                          "altered")
    return tensors, meta


def _require_file(path: Path) -> None:
    if regular.kind(path, links=True) is None:
        raise BundleError(f"{path}: expected a bundle, or the name of one that ships "
                          f"({', '.join(models.names())}), found no such file")


def _form(path: Path, meta: Mapping[str, str]) -> str:
    found = meta.get("format")
    if found not in FORMS:
        raise BundleError(f"{path}: expected {FORMAT!r}, found {parsing.shown(found)}")
    return found


def write_gate(path: Path, report: Mapping[str, Any], form: str = FORMAT) -> None:
    """Store a gate report in the bundle; its hash must be the bundle's. Raises BundleError."""
    tensors, meta = read_file(path, form)
    if report.get("hash") != meta["hash"]:
        raise BundleError(f"{path}: expected a report for {meta['hash']}, found another hash")
    meta["gate"] = json_text({**report, "digest": _gate_digest(report)})
    write_file(path, tensors, meta)


def read_gate(path: Path, meta: Mapping[str, str]) -> dict[str, Any] | None:
    """The stored report, None without one; whether it proves anything, `gate.expected` says.

    Raises BundleError for one that does not have the digest that it states.
    """
    if not meta["gate"]:
        return None
    report = dict(parsing.json_table(meta["gate"], f"{path}: gate report", BundleError).values)
    stated = report.pop("digest", None)
    if stated is None or stated != _gate_digest(report):
        raise BundleError(f"{path}: expected a gate report with digest {parsing.shown(stated)}, "
                          "found another: it was altered")
    return report


def _gate_digest(report: Mapping[str, Any]) -> str:
    return hashlib.sha256(json_text(report).encode()).hexdigest()


def digest(tensors: Mapping[str, Tensor], meta: Mapping[str, str]) -> str:
    """SHA-256 over every tensor (name, dtype, shape, bytes) and metadata but `hash`, `gate`."""
    contents = []
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous().numpy()
        contents.append(Content(name, array.dtype.str, array.shape,
                                (array.reshape(-1).view(np.uint8).data,)))
    return digest_of_contents(contents, meta)


class Content(NamedTuple):
    """A tensor as `digest` sees it: its bytes may come in pieces."""

    name: str
    dtype: str  # as numpy spells it
    shape: tuple[int, ...]
    pieces: Iterable[bytes | memoryview]


def digest_of_contents(contents: Iterable[Content], meta: Mapping[str, str]) -> str:
    """`digest` of tensors in the order of their names, piece by piece."""
    sha = hashlib.sha256()
    for one in contents:
        sha.update(f"{one.name}|{one.dtype}|{one.shape}|".encode())
        for piece in one.pieces:
            sha.update(piece)
    for key in sorted(set(meta) - {"hash", "gate"}):
        sha.update(f"{key}|{meta[key]}|".encode())
    return sha.hexdigest()


def write_file(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, str]) -> None:
    """One safetensors file, written under a temporary name, synced and renamed."""
    with atomic.replacing(Path(path), force=True) as file:
        file.write(safetensors.save(tensors, meta))


def json_text(value: Any) -> str:
    """A value as JSON, the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
