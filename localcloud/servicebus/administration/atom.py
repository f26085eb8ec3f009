"""Atom and XML: what a request body says, and how entries, feeds and errors are written."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from lxml import etree

from localcloud.servicebus.rule_entries import moment_text

ATOM: Final = "http://www.w3.org/2005/Atom"
SERVICE_BUS: Final = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
COUNTS: Final = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
SCHEMA: Final = "http://www.w3.org/2001/XMLSchema"


# The type stubs of lxml do not know that the default namespace has no prefix.
_FEED: Final[Any] = {None: ATOM}
_DESCRIPTION: Final[Any] = {None: SERVICE_BUS, "i": INSTANCE}


class Malformed(Exception):
    """The body is not what the request needs; the text says what is wrong."""


class Entry(NamedTuple):
    """One entity as an entry: its address, its name, its times, and its description."""

    address: str
    title: str
    created_at_ms: int
    updated_at_ms: int
    description: etree._Element


def read_description(body: bytes) -> etree._Element:
    """The description inside an Atom entry. Raises Malformed."""
    # No entities, no document type, nothing fetched: the body may come from anybody.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True
    )
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise Malformed(f"The body is not XML: {error.msg}.") from error
    tree: Any = root.getroottree()
    if tree.docinfo.doctype:
        raise Malformed("The body must not have a document type.")
    content = root.find(f"{{{ATOM}}}content")
    if content is None or len(content) != 1:
        raise Malformed("The body is not an Atom entry with one description as its content.")
    return content[0]


def local_name(element: etree._Element) -> str:
    """The name of an element without its namespace."""
    return etree.QName(element).localname


def children(element: etree._Element) -> dict[str, etree._Element]:
    """The elements inside an element, by their names without namespace."""
    return {local_name(child): child for child in element}


def description(kind: str) -> etree._Element:
    """An empty description. Its prefixes are Azure's: an SDK looks for them by name."""
    return etree.Element(f"{{{SERVICE_BUS}}}{kind}", nsmap=_DESCRIPTION)


def add(parent: etree._Element, name: str, value: object) -> etree._Element:
    """Add an element with a value as XML Schema writes it."""
    element = etree.SubElement(parent, f"{{{SERVICE_BUS}}}{name}")
    element.text = str(value).lower() if isinstance(value, bool) else str(value)
    return element


def add_counts(parent: etree._Element, counts: Mapping[str, int]) -> None:
    """Add the numbers of messages, in the namespace that belongs to them."""
    details = etree.SubElement(parent, f"{{{SERVICE_BUS}}}CountDetails", nsmap={"d2p1": COUNTS})
    for name, count in counts.items():
        etree.SubElement(details, f"{{{COUNTS}}}{name}").text = str(count)


def entry_document(entry: Entry) -> bytes:
    """The document of one entity."""
    return _written(_entry(entry))


def feed_document(
    address: str, title: str, entries: Iterable[Entry], following: str | None = None
) -> bytes:
    """The document of a list of entities, with the address of its next page."""
    feed = etree.Element(f"{{{ATOM}}}feed", nsmap=_FEED)
    _texts(feed, (("title", title), ("id", address)))
    _link(feed, "self", address)
    if following is not None:
        _link(feed, "next", following)
    feed.extend([_entry(entry) for entry in entries])
    return _written(feed)


def error_document(status: int, detail: str) -> bytes:
    """What a client reads the reason of a refusal from."""
    error = etree.Element("Error")
    for name, text in (("Code", str(status)), ("Detail", detail)):
        etree.SubElement(error, name).text = text
    return _written(error)


def _entry(entry: Entry) -> etree._Element:
    element = etree.Element(f"{{{ATOM}}}entry", nsmap=_FEED)
    created, updated = moment_text(entry.created_at_ms), moment_text(entry.updated_at_ms)
    _texts(
        element,
        (
            ("id", entry.address),
            ("title", entry.title),
            ("published", created),
            ("updated", updated),
        ),
    )
    _link(element, "self", entry.address)
    content = etree.SubElement(element, f"{{{ATOM}}}content", type="application/xml")
    content.append(entry.description)
    return element


def _texts(parent: etree._Element, texts: Sequence[tuple[str, str]]) -> None:
    for name, text in texts:
        etree.SubElement(parent, f"{{{ATOM}}}{name}").text = text


def _link(parent: etree._Element, relation: str, address: str) -> None:
    etree.SubElement(parent, f"{{{ATOM}}}link", rel=relation, href=address)


def _written(root: etree._Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")
