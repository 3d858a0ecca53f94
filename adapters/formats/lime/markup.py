"""The XML of gauge files and logs, parsed without entities or recursion.

`parse` gives flat lists of tags and texts, `tree` the elements in their order, as far as they go.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from l2hmc_bridge.errors import FormatError

DEEPEST = 64
MOST_ELEMENTS = 1 << 20
DECLARATION = re.compile(rb"<\?xml\b[^<>]*\?>")  # which Chroma leaves inside records, too
FORBIDDEN = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
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
    _refuse_entities(raw)
    collected = _Collector()
    parser = expat.ParserCreate()
    parser.StartElementHandler = collected.start
    parser.EndElementHandler = collected.end
    parser.CharacterDataHandler = collected.data
    parser.StartDoctypeDeclHandler = _doctype
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


def _refuse_entities(raw: bytes) -> None:
    if FORBIDDEN.search(raw):
        raise FormatError("expected XML without DOCTYPE and ENTITY, found one")


def _doctype(*_: object) -> None:
    raise FormatError("expected XML without DOCTYPE, found one")


def _search(raw: bytes) -> Fields:
    texts: dict[str, list[str]] = {}
    for name, text in TAG.findall(raw.decode("utf-8", "replace")):
        texts.setdefault(name, []).append(text.strip())
    return Fields(texts, broken=True)


@dataclass
class Element:
    """One element: its local name, the text in it (stripped) and its children in order."""

    name: str
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def child(self, *names: str) -> "Element | None":
        """The first element at the end of this path of children, None if there is none."""
        here = self
        for name in names:
            found = next((one for one in here.children if one.name == name), None)
            if found is None:
                return None
            here = found
        return here

    def word(self, *names: str) -> str | None:
        """The text of the first element at the end of this path, None if there is none."""
        found = self.child(*names)
        return None if found is None else found.text

    def walk(self, without: str | None = None) -> Iterator["Element"]:
        """This element and all below it, in order, but for those inside elements `without`."""
        if self.name != without:
            yield self
            for one in self.children:
                yield from one.walk(without)


def tree(raw: bytes) -> tuple[Element, str | None]:
    """(a nameless element around the document, where the XML broke or None).

    Declarations are taken out wherever they stand; what comes before a break is kept.
    Raises FormatError on entities, a DOCTYPE, too many levels or elements.
    """
    _refuse_entities(raw)
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _doctype
    broken = None
    try:
        parser.Parse(DECLARATION.sub(_blank, raw), True)
    except expat.ExpatError as error:
        inside = f", inside <{builder.stack[-1].name}>" if len(builder.stack) > 1 else ""
        broken = (f"line {error.lineno}, column {error.offset + 1}: "
                  f"{expat.ErrorString(error.code)}{inside}")
    except (ValueError, LookupError) as error:  # an encoding it lacks
        broken = str(error)
    for unfinished in builder.stack[1:]:
        unfinished.text = ""  # which may be the half of a number
    return builder.stack[0], broken


def _blank(found: re.Match[bytes]) -> bytes:
    """As many characters and lines, so that positions stay true."""
    return re.sub(rb"[^\n]", b" ", found[0])


class _Builder:
    def __init__(self) -> None:
        self.stack = [Element("")]
        self.count = 0

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self.count += 1
        if len(self.stack) > DEEPEST or self.count > MOST_ELEMENTS:
            raise FormatError(f"expected XML of at most {DEEPEST} levels and {MOST_ELEMENTS} "
                              "elements, found more")
        one = Element(name.rpartition(":")[2])
        self.stack[-1].children.append(one)
        self.stack.append(one)

    def data(self, text: str) -> None:
        self.stack[-1].text += text

    def end(self, _name: str) -> None:
        done = self.stack.pop()
        done.text = done.text.strip()
