"""Asks the broker how many messages lie where, by the public administration API of Service Bus."""

import base64
import hashlib
import hmac
import http.client
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus
from xml.etree import ElementTree as ET

KEY_NAME: Final = "RootManageSharedAccessKey"
TIMEOUT_S: Final = 2.0
_PAGE: Final = 100
_TOKEN_S: Final = 300
_ATOM: Final = "{http://www.w3.org/2005/Atom}"
_COUNTS: Final = "{http://schemas.microsoft.com/netservices/2011/06/servicebus}"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A queue, or a subscription as `topic/name`, with the numbers of its messages."""

    name: str
    active: int
    scheduled: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class Broker:
    """The administration API of a broker; `certificate` is what to trust."""

    host: str
    port: int
    key: str
    certificate: Path

    def mailboxes(self) -> list[Mailbox]:
        """Every queue, then the subscriptions of every topic. OSError when it does not answer."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=TIMEOUT_S, context=context
        )
        try:
            found = [
                _mailbox("", entry) for entry in self._entries(connection, "$Resources/queues")
            ]
            for topic in list(self._entries(connection, "$Resources/topics")):
                name = _title(topic)
                path = f"{quote(name)}/Subscriptions"
                found += [_mailbox(f"{name}/", each) for each in self._entries(connection, path)]
        except (http.client.HTTPException, ET.ParseError, ValueError) as broken:
            raise OSError(f"no answer of the administration API: {broken}") from broken
        finally:
            connection.close()
        return found

    def _entries(self, connection: http.client.HTTPSConnection, path: str) -> Iterator[ET.Element]:
        """The entries of a feed, from all of its pages."""
        skip = 0
        while True:
            query = f"api-version=2021-05&$skip={skip}&$top={_PAGE}"
            connection.request("GET", f"/{path}?{query}", headers={"Authorization": self._token()})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise ValueError(f"GET /{path} answered {answer.status}")
            entries = ET.fromstring(body).findall(f"{_ATOM}entry")  # noqa: S314 - our own
            yield from entries
            skip += len(entries)
            if len(entries) < _PAGE:
                return

    def _token(self) -> str:
        """A shared access signature for everything."""
        scope = quote_plus(f"https://{self.host}:{self.port}/")
        expiry = int(time.time()) + _TOKEN_S
        signed = hmac.new(self.key.encode(), f"{scope}\n{expiry}".encode(), hashlib.sha256)
        signature = quote_plus(base64.b64encode(signed.digest()))
        return f"SharedAccessSignature sr={scope}&sig={signature}&se={expiry}&skn={KEY_NAME}"


def _title(entry: ET.Element) -> str:
    return entry.findtext(f"{_ATOM}title") or ""


def _mailbox(prefix: str, entry: ET.Element) -> Mailbox:
    def count(name: str) -> int:
        return int(entry.findtext(f".//{_COUNTS}{name}MessageCount") or 0)

    return Mailbox(prefix + _title(entry), count("Active"), count("Scheduled"), count("DeadLetter"))
