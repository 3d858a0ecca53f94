"""The XML of gauge files: flat lists of tags and texts, parsed without entities or recursion."""

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from l2hmc_bridge.errors import FormatError

DEEPEST = 64
TAG = re.compile(r"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)(?:\s[^<>]*)?>([^<>]*)</")


@dataclass
class Fields:
    """Texts by local tag name, in document order; `broken`: the XML was not well formed."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    broken: bool = False

    def first(self, name: str) -> str | None:
        """The text of the only tag of this name, or of several that agree; None where absent."""
        found = self.texts.get(name, [])
        if len(set(found)) > 1:
            raise FormatError(f"expected one <{name}>, found {len(found)} that differ")
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        return self.texts.get(name, [])


def parse(raw: bytes) -> Fields:
    """Tags of `raw`; what is not well formed is searched for plain tags and marked broken.

    Raises FormatError on a DOCTYPE or an entity declaration, and on nesting beyond 64 levels.
    """
    if re.search(rb"<!\s*(DOCTYPE|ENTITY)", raw, re.IGNORECASE):
        raise FormatError("expected XML without DOCTYPE and ENTITY, found one")
    collected = _Collector()
    parser = expat.ParserCreate()
    parser.StartElementHandler = collected.start
    parser.EndElementHandler = collected.end
    parser.CharacterDataHandler = collected.data
    parser.StartDoctypeDeclHandler = collected.doctype
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, ValueError, LookupError):  # the last two: an encoding it lacks
        return _search(raw)
    return Fields(collected.texts)


class _Collector:
    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.stack: list[list[str]] = []

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        if len(self.stack) >= DEEPEST:
            raise FormatError(f"expected XML of at most {DEEPEST} levels, found more")
        self.stack.append([])

    def data(self, text: str) -> None:
        self.stack[-1].append(text)

    def end(self, name: str) -> None:
        text = "".join(self.stack.pop()).strip()
        self.texts.setdefault(name.rpartition(":")[2], []).append(text)

    def doctype(self, *_: object) -> None:
        raise FormatError("expected XML without DOCTYPE, found one")


def _search(raw: bytes) -> Fields:
    texts: dict[str, list[str]] = {}
    for name, text in TAG.findall(raw.decode("utf-8", "replace")):
        texts.setdefault(name, []).append(text.strip())
    return Fields(texts, broken=True)
