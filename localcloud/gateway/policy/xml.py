"""Reads policy files: plain XML with the line of every element, and nothing that expands.

API Management takes well-formed XML when a policy is deployed with `format: xml`; a document type,
an entity of one's own or a processing instruction has no meaning there and is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from localcloud.gateway.policy.faults import PolicyFault

_DEPTH = 40


@dataclass(slots=True)
class Element:
    """An element, its text without surrounding space, and where it starts."""

    tag: str
    attributes: Mapping[str, str]
    file: Path
    line: int
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def fault(self, message: str) -> PolicyFault:
        """A fault at this element."""
        return PolicyFault(self.file, self.line, message)

    def named(self, tag: str) -> Iterator["Element"]:
        """The children of that name, in order."""
        return (child for child in self.children if child.tag == tag)


def read(file: Path) -> Element:
    """The root of the document in `file`. Raises PolicyFault."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise PolicyFault(file, 1, f"cannot be read: {error.strerror}") from error
    return _Reader(file).read(content)


class _Reader:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._open: list[Element] = []
        self._root: Element | None = None
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.ProcessingInstructionHandler = self._refuse_instruction

    def read(self, content: bytes) -> Element:
        try:
            self._parser.Parse(content, True)
        except expat.ExpatError as error:
            raise PolicyFault(self._file, error.lineno, expat.ErrorString(error.code)) from error
        assert self._root is not None, "expat refuses a document without a root"
        return self._root

    def _fault(self, message: str) -> PolicyFault:
        return PolicyFault(self._file, self._parser.CurrentLineNumber, message)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) == _DEPTH:
            raise self._fault("elements are nested too deeply")
        element = Element(tag, attributes, self._file, self._parser.CurrentLineNumber)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, _tag: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()
        if element.text and element.children:
            raise element.fault(f"<{element.tag}> holds text beside its elements")

    def _text(self, text: str) -> None:
        self._open[-1].text += text

    def _refuse_doctype(self, *_: object) -> None:
        raise self._fault("a document type has no place in a policy")

    def _refuse_instruction(self, *_: object) -> None:
        raise self._fault("a processing instruction has no place in a policy")
