"""SOAP 1.1, document/literal: envelopes in, envelopes and faults out."""

from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Literal

from lxml import etree

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
NAMESPACE = "urn:example:erp:catalogue:v1"
WSDL = "http://schemas.xmlsoap.org/wsdl/"
WSDL_SOAP = "http://schemas.xmlsoap.org/wsdl/soap/"
MEDIA_TYPE = "text/xml"

Fields = Mapping[str, str]
"""The children of an element, in order, by local name."""


class Fault(Exception):
    """A refusal in SOAP's terms: `Client` if the caller should change something."""

    def __init__(
        self,
        code: Literal["Client", "Server", "VersionMismatch", "MustUnderstand"],
        message: str,
        *,
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.reason = code, message, reason


def _resource(name: str) -> bytes:
    return resources.files(__package__ or "").joinpath(name).read_bytes()


SCHEMA = _resource("catalogue.xsd")
_VALID = etree.XMLSchema(etree.fromstring(SCHEMA))


def wsdl(location: str) -> bytes:
    """The service description with the schema inside: careful clients fetch nothing further.

    `location` is the address under which the caller reached us.
    """
    parser = etree.XMLParser(remove_comments=True)
    description = etree.fromstring(_resource("catalogue.wsdl"), parser)
    types = description.find(f"{{{WSDL}}}types")
    address = description.find(f".//{{{WSDL_SOAP}}}address")
    assert types is not None, "the WSDL has a place for types"
    assert address is not None, "the WSDL has a place for the address"
    types.append(etree.fromstring(SCHEMA))
    address.set("location", location)
    return etree.tostring(description, xml_declaration=True, encoding="utf-8")


def payload(document: bytes) -> etree._Element:
    """The one element in the body of an envelope, valid by the published schema.

    Raises Fault for whatever is not that. Nothing outside the document is ever read: entities
    are not resolved, and a document type, which SOAP 1.1 §3 forbids, is refused.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        envelope = etree.fromstring(document, parser)
    except (etree.XMLSyntaxError, ValueError) as broken:
        raise Fault("Client", f"not well-formed XML: {broken}") from None
    if envelope.getroottree().docinfo.internalDTD is not None:
        raise Fault("Client", "a SOAP message must not have a document type declaration")
    if etree.QName(envelope).localname != "Envelope":
        raise Fault("Client", "not a SOAP envelope")
    if etree.QName(envelope).namespace != ENVELOPE:
        raise Fault("VersionMismatch", "only SOAP 1.1 is spoken here")
    for header in envelope.iterfind(f"{{{ENVELOPE}}}Header/*"):
        if header.get(f"{{{ENVELOPE}}}mustUnderstand") == "1":
            raise Fault("MustUnderstand", f"header {etree.QName(header).localname} means nothing")
    parts = [
        part
        for part in envelope.iterfind(f"{{{ENVELOPE}}}Body/*")
        if isinstance(part.tag, str)  # not a comment or processing instruction
    ]
    if len(parts) != 1:
        raise Fault("Client", "the body must hold exactly one element")
    (part,) = parts
    try:
        _VALID.assertValid(part)
    except etree.DocumentInvalid as invalid:
        raise Fault("Client", str(invalid), reason="InvalidRequest") from None
    return part


def operation(part: etree._Element) -> str:
    """The name of what is asked for."""
    return etree.QName(part).localname


def texts(part: etree._Element, name: str) -> list[str]:
    """The text of each child of that name."""
    return [(child.text or "").strip() for child in part.iterfind(f"{{{NAMESPACE}}}{name}")]


def response(name: str, repeated: str, items: Iterable[Fields], tail: Fields) -> bytes:
    """An envelope with element `name`: first each item as an element `repeated`, then `tail`."""
    envelope = etree.Element(f"{{{ENVELOPE}}}Envelope", nsmap={"soap": ENVELOPE, "erp": NAMESPACE})
    body = etree.SubElement(envelope, f"{{{ENVELOPE}}}Body")
    answer = etree.SubElement(body, f"{{{NAMESPACE}}}{name}")
    for item in items:
        element = etree.SubElement(answer, f"{{{NAMESPACE}}}{repeated}")
        _fill(element, item)
    _fill(answer, tail)
    return etree.tostring(envelope, xml_declaration=True, encoding="utf-8")


def _fill(element: etree._Element, fields: Fields) -> None:
    for name, text in fields.items():
        etree.SubElement(element, f"{{{NAMESPACE}}}{name}").text = text


def fault(refusal: Fault) -> bytes:
    """The envelope of a fault; its children have no namespace (SOAP 1.1 §4.4)."""
    envelope = etree.Element(f"{{{ENVELOPE}}}Envelope", nsmap={"soap": ENVELOPE})
    body = etree.SubElement(envelope, f"{{{ENVELOPE}}}Body")
    element = etree.SubElement(body, f"{{{ENVELOPE}}}Fault")
    etree.SubElement(element, "faultcode").text = f"soap:{refusal.code}"
    etree.SubElement(element, "faultstring").text = refusal.message
    if refusal.reason:
        detail = etree.SubElement(element, "detail")
        etree.SubElement(detail, f"{{{NAMESPACE}}}Reason").text = refusal.reason
    return etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
