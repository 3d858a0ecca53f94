"""Damaged and forged files of this package for the fuzz tests: bundles, states, logs, TOML.

Each kind lies whole in a folder of its own; `spoil(folder, rng)` replaces a file there by a damaged
one, half of the time with digests that fit, as a forger would, and `read(folder)` does all that a
verb does with it before any long work.
"""

import functools
import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch

from l2hmc_bridge import models
from l2hmc_bridge.adapters.logs.table import read_log
from l2hmc_bridge.adapters.public.host_options import ContinueOptions
from l2hmc_bridge.adapters.records import host_log
from l2hmc_bridge.bundle import file as bundle, store
from l2hmc_bridge.gate import expected
from l2hmc_bridge.recorded import rows, state as checkpoint
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.stream import run as stream
from l2hmc_bridge.training import start as training_start
from l2hmc_bridge.training.read import read as read_training
from tests.support import mutations, streams
from tests.support.fields import rough_links
from tests.support.places import ROOT

BIG, DEEP = "@whole number of 5000 digits@", "@list in 5000 lists@"
VALUES = (None, True, False, 0, -1, 1, 2, 3, 0.5, -0.5, 1e9, 10**9, 2**31, 2**63, -(2**63), 10**40,
          1e308, 1e-320, float("nan"), float("inf"), "", "x", "x" * 3000, "nan", "\0", "\ud800",
          "wilson", "hmc", "F64", [], {}, [[]], {"a": {}}, [0] * 2000, [1, 2, 3, 4], ["t"], BIG,
          DEEP)


class Kind(NamedTuple):
    """What `make` puts into a folder, how it is spoiled and how it is read."""

    make: Callable[[Path], None]
    spoil: Callable[[Path, random.Random], None]
    read: Callable[[Path], None]


def text_of(value: Any) -> bytes:
    """JSON, also of what Python's own writer refuses."""
    text = json.dumps(value)
    return (text.replace(json.dumps(BIG), "9" * 5000)
            .replace(json.dumps(DEEP), "[" * 5000 + "]" * 5000)).encode()


def changed(value: Any, rng: random.Random) -> Any:
    """A copy with one entry, somewhere, replaced, removed, renamed or put elsewhere."""
    copy = json.loads(json.dumps(value))
    places: list[tuple[Any, Any]] = []

    def walk(one: Any) -> None:
        for key, inner in one.items() if isinstance(one, dict) else enumerate(one):
            places.append((one, key))
            if isinstance(inner, dict | list):
                walk(inner)

    if not isinstance(copy, dict | list) or not copy:
        return rng.choice(VALUES)
    walk(copy)
    holder, key = rng.choice(places)
    what = rng.random()
    if what < 0.7:
        holder[key] = rng.choice(VALUES)
    elif what < 0.8:
        del holder[key]
    elif what < 0.9 and isinstance(holder, dict):
        holder[rng.choice(("", "x", "gate", "kind", str(key) * 2))] = holder.pop(key)
    else:
        other, name = rng.choice(places)
        holder[key] = json.loads(json.dumps(other[name])) if other is not holder else 7
    return copy


def changed_tensors(tensors: Mapping[str, torch.Tensor], rng: random.Random) -> dict:
    """One tensor with other numbers, another shape, dtype or name, or none of it."""
    found = dict(tensors)
    name = rng.choice(sorted(found))
    one = found[name].clone()
    ways: tuple[Callable[[], torch.Tensor], ...] = (
        lambda: one * float("nan"), lambda: one * 0, lambda: one * 1e300, lambda: one + 1e-3,
        lambda: one.flatten(), lambda: one.to(torch.float32), lambda: one.to(torch.int64),
        lambda: one[:0] if one.dim() else one.reshape(1, 1),
        lambda: torch.cat([one, one]) if one.dim() else one + 1, lambda: one.to(torch.complex64),
        lambda: one.unsqueeze(0), lambda: one.to(torch.float16))
    if rng.random() < 0.1:
        del found[name]
    else:
        found[name if rng.random() < 0.9 else f"{name}.x"] = rng.choice(ways)().contiguous()
    return found


def forge(path: Path, rng: random.Random, inner: tuple[str, ...]) -> None:
    """A safetensors file with spoiled texts or tensors; JSON in the texts `inner`."""
    if rng.random() < 0.25:
        path.write_bytes(mutations.mutate(path.read_bytes(), rng))
        return
    with safetensors.safe_open(str(path), framework="pt") as file:
        tensors, meta = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    what = rng.random()
    if what < 0.3:
        tensors = changed_tensors(tensors, rng)
    elif what < 0.85:
        name = rng.choice(inner)
        meta[name] = text_of(changed(json.loads(meta[name] or "{}"), rng)).decode()
    else:
        name = rng.choice(sorted(meta))
        meta[name] = rng.choice(("", "0", "-1", "{}", "[]", "9" * 5000, "nan", "null", "x"))
    if rng.random() < 0.8:
        if "hash" in meta:
            meta["hash"] = store.digest(tensors, meta)
        if meta.get("gate") and rng.random() < 0.8:
            meta["gate"] = _signed(meta["gate"], meta["hash"])
    raw = safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}, meta)
    if rng.random() < 0.15:  # the head of the file itself
        length = int.from_bytes(raw[:8], "little")
        head = text_of(changed(json.loads(raw[8:8 + length]), rng))
        raw = len(head).to_bytes(8, "little") + head + raw[8 + length:]
    path.write_bytes(raw)


def _signed(text: str, bundle_hash: str) -> str:
    """A gate report with a digest of its own, of this bundle."""
    try:
        report = json.loads(text)
        report.pop("digest", None)
        report["hash"] = bundle_hash
        return store.json_text({**report, "digest": store._gate_digest(report)})
    except (ValueError, AttributeError, TypeError, RecursionError):
        return text


@functools.cache
def _links() -> torch.Tensor:
    return rough_links(torch.Generator().manual_seed(5), (4, 4, 4, 4))


def make_bundle(folder: Path) -> None:
    shutil.copy(models.default(), folder / "b.safetensors")


def read_bundle(folder: Path) -> None:
    loaded = bundle.load(folder / "b.safetensors", 6.0)
    expected.require(loaded)
    if loaded.kernel.action.group == "su3":
        state = loaded.kernel.init(_links())
        markov.propose(loaded.kernel, state, markov.trajectory_generator(1, 0, 1))


def make_state(folder: Path) -> None:
    streams.complete(streams.begin(folder, streams.define(check_reversibility=2), 4))


def spoil_state(folder: Path, rng: random.Random) -> None:
    forge(folder / checkpoint.NAME, rng, ("definition",))


def spoil_log(folder: Path, rng: random.Random) -> None:
    """A log with other rows whose digest and length the state knows, or damage."""
    path = folder / "log.jsonl"
    if rng.random() < 0.3:
        path.write_bytes(mutations.mutate(path.read_bytes(), rng))
        return
    lines = [json.loads(line.partition(b" ")[2]) for line in path.read_bytes().splitlines()]
    number = rng.randrange(len(lines))
    lines[number] = changed(lines[number], rng)
    raw = b"".join(_line(one) for one in lines)
    path.write_bytes(raw)
    if rng.random() < 0.8:
        point = checkpoint.load(folder)
        from hashlib import sha256

        checkpoint.save(folder, checkpoint.Checkpoint(
            point.definition, point.state, point.count, point.target, len(raw),
            sha256(raw).hexdigest()))


def _line(row: Any) -> bytes:
    from zlib import crc32

    text = text_of(row)
    return b"%08x %s\n" % (crc32(text), text)


def read_stream(folder: Path) -> None:
    made = stream.reopen(folder, streams.Raw)
    with made:
        made.save_history()


def make_host_log(folder: Path) -> None:
    row = json.loads(rows.encode({
        "trajectory": [8], "accepted": [1], "force_evaluations": 5, "reversibility": None,
        "files": None, "reunitarised": 0, **{name: [0.5] for name in rows.COLUMNS
                                             if name not in ("trajectory", "accepted")},
    }).partition(b" ")[2])
    host_log.append(folder, {
        "stream": "conf", "options": {"kind": "hmc", "seed": 1}, "kernel": streams.HMC_KERNEL,
        "action": {"name": "wilson", "beta": 6.0}, "lattice": [4, 4, 4, 4], "factor": 1.0,
        "rows": [row], "from": "conf.0007", "to": "conf.0008", "seed": 1, "files": []})


def spoil_host_log(folder: Path, rng: random.Random) -> None:
    path = folder / host_log.NAME
    if rng.random() < 0.2:
        path.write_bytes(mutations.mutate(path.read_bytes(), rng))
    else:
        path.write_bytes(text_of(changed(json.loads(path.read_bytes()), rng)) + b"\n")


def read_host_log(folder: Path) -> None:
    from l2hmc_bridge.adapters.records.history import read_history

    entry = host_log.last(folder, "conf")
    ContinueOptions(path=folder / "conf.0007").after(entry)
    read_history(folder / host_log.NAME)


def make_toml(folder: Path) -> None:
    for path in (ROOT / "examples" / "train").glob("*.toml"):
        shutil.copy(path, folder)


TOML = ("1e9", "9" * 5000, "nan", "inf", "-1", "0", "1.5", "true", "[]", "{}", '""', '"x"',
        "[" * 3000 + "]" * 3000, "[0]", '["x"]', "1979-05-27", "[4, 4, 4, 4]", "1000000000", "4",
        "[1e308]", '"wilson"', '"u1"', '"mixture"')


def spoil_toml(folder: Path, rng: random.Random) -> None:
    path = rng.choice(sorted(folder.glob("*.toml")))
    lines = path.read_text().splitlines()
    if rng.random() < 0.2:
        raw = mutations.mutate(path.read_bytes(), rng)
    else:
        at = rng.randrange(len(lines))
        name = lines[at].partition("=")[0].strip() or "x"
        new = (f"{name} = {rng.choice(TOML)}", "", lines[at] * 2, "a." * 4000 + "b = 1",
               "[[stage]]", f"[{name}]", "[[stage]]\n" * 200_000, lines[rng.randrange(len(lines))])
        lines[at] = rng.choice((new[0],) * 8 + new[1:])
        raw = "\n".join(lines).encode()
    (folder / "spoiled").write_bytes(raw)


def read_toml(folder: Path) -> None:
    from l2hmc_bridge.training.nested.config import parse
    from l2hmc_bridge.training.read import table_of

    table = table_of(folder / "spoiled")
    if "host" in table:
        parse(table)
    else:
        training_start.start(read_training(folder / "spoiled"))


GRID = """Grid : Message : 0.1 s : Computed Plaquette[ 7 ]: 0.587
Grid : Message : Smeared Plaquette: 7 0.5
"""


def make_logs(folder: Path) -> None:
    shutil.copy(ROOT / "tests" / "data" / "gpt_measure.log", folder / "gpt.log")
    xml = ("<?xml version='1.0'?><chroma><Input/><ObservedMeas><Observables><Plaquette><w_plaq>"
           "0.587</w_plaq><link>0.01</link></Plaquette></Observables></ObservedMeas></chroma>")
    (folder / "chroma.xml").write_text(xml)
    (folder / "grid.log").write_text(GRID)
    (folder / "milc.log").write_text("MILC application\nnx 4\nny 4\nnz 4\nnt 8\n"
                                     "GMES 0 0 0 1.76 1.75\nPLAQ: 1.76 1.75\n")
    (folder / "output.data").write_text(
        "00000000 0.587003384418 0.1 9.0e-01 10 20 1 1.0e+00\n" * 3)
    (folder / "gauge_obs").write_text("0 0 0.587003384418 0.3\n1 0 0.59 0.3\n")
    (folder / "table.json").write_text(json.dumps(
        [{"path": "a", "trajectory": 1, "plaquette": 0.5, "lattice": [4, 4, 4, 8],
          "flow": [{"t": 0.1, "plaquette": 0.9}], "polyakov_loops": {"t": [0.1, 0.2]}}]))
    (folder / "table.csv").write_text("trajectory,plaquette,flow_0.1_plaquette\n1,0.5,0.9\n")
    (folder / "run.ms.dat").write_bytes(bytes(range(200)))


def spoil_logs(folder: Path, rng: random.Random) -> None:
    path = rng.choice(sorted(one for one in folder.iterdir() if not one.name.startswith("spoiled")))
    if path.suffix == ".json" and rng.random() < 0.7:
        raw = text_of(changed(json.loads(path.read_text()), rng))
    else:
        raw = mutations.mutate(path.read_bytes(), rng)
    for old in folder.glob("spoiled_*"):
        old.unlink()
    (folder / f"spoiled_{path.name}").write_bytes(raw)


def read_logs(folder: Path) -> None:
    (path,) = folder.glob("spoiled_*")
    read_log(path, (4, 4, 4, 8))


KINDS = {
    "bundle": Kind(make_bundle, lambda folder, rng: forge(folder / "b.safetensors", rng, (
        "architecture", "action", "provenance", "fingerprint", "gate")), read_bundle),
    "state": Kind(make_state, spoil_state, read_stream),
    "log": Kind(make_state, spoil_log, read_stream),
    "host log": Kind(make_host_log, spoil_host_log, read_host_log),
    "toml": Kind(make_toml, spoil_toml, read_toml),
    "logs of other codes": Kind(make_logs, spoil_logs, read_logs),
}
