"""Which record of a LIME file is the gauge field, and what the records around it say of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from l2hmc_bridge.errors import FormatError

from . import container, markup

DATA = ("ildg-binary-data", "scidac-binary-data")
PRIVATE = "scidac-private-record-xml"
PRIVATE_FILE = "scidac-private-file-xml"
XML = {
    PRIVATE_FILE, "scidac-file-xml", PRIVATE, "scidac-record-xml", "ildg-format",
    "scidac-checksum", "grid-format", "FieldNormMetaData",
}
# lyncs-io-info is a Python pickle: it is listed, and never opened.
TEXT = XML | {"ildg-data-lfn", "xlf-info", "bqcd-plaquette", "bqcd-cksum", "gpt-format",
              "MD_traj", "InputPars"}
# What tmLQCD and nissa write around propagators and sources.
PROPAGATOR = ("propagator-type", "etmc-propagator-format", "source-type", "etmc-source-format")
STRICT = {"ildg-format", PRIVATE, PRIVATE_FILE, "scidac-checksum", "bqcd-cksum"}


@dataclass
class Lime:
    """A LIME file around one gauge field: its records, the data record, and texts by type."""

    path: Path
    records: list[container.Record]
    data: container.Record
    texts: dict[str, bytes]
    warnings: list[str]
    parsed: dict[str, markup.Fields] = field(default_factory=dict)

    def fields(self, kind: str) -> markup.Fields:
        """The parsed XML of a record type, empty if the file has none."""
        if kind not in self.parsed:
            try:
                parsed = markup.parse(self.texts[kind]) if kind in self.texts else markup.Fields()
            except FormatError as error:
                raise FormatError(f"{self.path}: record {kind!r}: {error}") from None
            # Free text is common where only a person reads; it is not worth a warning.
            if parsed.broken and (parsed.texts or kind in STRICT):
                self.warnings.append(f"broken XML in record {kind!r}: tags searched as text")
            self.parsed[kind] = parsed
        return self.parsed[kind]

    def tag(self, kind: str, name: str) -> str | None:
        """One tag of a record; FormatError if it stands twice and differs."""
        try:
            return self.fields(kind).first(name)
        except FormatError as error:
            raise FormatError(f"{self.path}: record {kind!r}: {error}") from None

    def text(self, kind: str) -> str | None:
        raw = self.texts.get(kind)
        return None if raw is None else raw.decode("utf-8", "replace")


def open_lime(path: Path) -> Lime:
    """Scan the file, choose the gauge field, collect its texts. Raises FormatError."""
    records, warnings = container.scan(path)
    for record in records:
        if record.kind in PROPAGATOR:
            raise FormatError(f"{path}: holds a propagator or a source (record {record.kind!r}), "
                              "expected a gauge field")
    data = _choose(path, records)
    texts = _texts(path, records, data)
    return Lime(path, records, data, texts, warnings)


def _choose(path: Path, records: Sequence[container.Record]) -> container.Record:
    candidates = [record for record in records if record.kind in DATA]
    if not candidates:
        kinds = ", ".join(dict.fromkeys(record.kind for record in records)) or "none"
        raise FormatError(f"{path}: expected a record {' or '.join(DATA)}, found only: "
                          f"{kinds[:300]}")
    if len(candidates) > 1:
        fields = [record for record in candidates if _is_gauge(path, records, record)]
        if len(fields) != 1:
            raise FormatError(f"{path}: expected one gauge field, found {len(candidates)} binary "
                              f"records, {len(fields)} of them gauge fields")
        candidates = fields
    return candidates[0]


def _is_gauge(path: Path, records: Sequence[container.Record], data: container.Record) -> bool:
    """Whether the data record's own message describes four colour matrices a site."""
    for record in records:
        if record.message == data.message and record.kind == "ildg-format":
            return True
        if record.message == data.message and record.kind == PRIVATE:
            fields = markup.parse(container.text_of(path, record))
            return fields.first("datacount") == "4" and fields.first("typesize") in ("72", "144")
    return False


def _texts(
    path: Path, records: Sequence[container.Record], data: container.Record
) -> dict[str, bytes]:
    """Texts of the data record's message, then of messages that hold no data themselves."""
    taken = {record.message for record in records if record.kind in DATA} - {data.message}
    texts: dict[str, bytes] = {}
    for own in (True, False):
        here: dict[str, bytes] = {}
        for record in records:
            if record.kind not in TEXT or record.kind in texts or record.message in taken:
                continue
            if (record.message == data.message) is own:
                raw = container.text_of(path, record)
                if record.kind in STRICT and here.get(record.kind, raw) != raw:
                    raise FormatError(f"{path}: expected one record {record.kind!r}, found two "
                                      "that differ")
                here.setdefault(record.kind, raw)
        texts |= here
    return texts
