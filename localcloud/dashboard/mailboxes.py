"""Asks the broker how many messages lie where, by the public administration API of Service Bus."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus, urlsplit
from xml.etree import ElementTree as ET

KEY_NAME: Final = "RootManageSharedAccessKey"
TIMEOUT_S: Final = 2.0
_PAGE: Final = 100
_TOKEN_S: Final = 300
_ATOM: Final = "{http://www.w3.org/2005/Atom}"
_COUNTS: Final = "{http://schemas.microsoft.com/netservices/2011/06/servicebus}"
_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A queue, or a subscription as `topic/name`, with the numbers of its messages."""

    name: str
    active: int
    scheduled: int
    dead_letters: int
    transfer_dead_letters: int = 0
    in_sessions: bool = False
    forward_to: str | None = None
    status: str = "Active"

    @property
    def path(self) -> str:
        """Its address, to which `/$DeadLetterQueue` may be added."""
        topic, _, subscription = self.name.partition("/")
        return f"{topic}/Subscriptions/{subscription}" if subscription else topic


@dataclass(frozen=True, slots=True)
class Broker:
    """The administration API of a broker; `certificate` is what to trust."""

    host: str
    port: int
    key: str
    certificate: Path

    def mailboxes(self) -> list[Mailbox]:
        """Every queue, then the subscriptions of every topic. OSError when it does not answer."""
        with self._connected() as connection:
            found = [
                _mailbox("", entry) for entry in self._entries(connection, "$Resources/queues")
            ]
            for topic in list(self._entries(connection, "$Resources/topics")):
                name = _title(topic)
                path = f"{quote(name)}/Subscriptions"
                found += [_mailbox(f"{name}/", each) for each in self._entries(connection, path)]
        return found

    def scheduled(self) -> Mapping[str, int]:
        """How many messages wait for their time in each topic that has any. OSError as above."""
        with self._connected() as connection:
            topics = [
                _mailbox("", entry) for entry in self._entries(connection, "$Resources/topics")
            ]
        return {topic.name: topic.scheduled for topic in topics if topic.scheduled}

    def filters(self, subscriptions: Sequence[str]) -> Mapping[str, str]:
        """In words, which messages each of the subscriptions `topic/name` takes. OSError as above.

        A subscription that is gone meanwhile takes none.
        """
        with self._connected() as connection:
            return {
                name: in_words(
                    [*self._entries(connection, f"{quote(_path(name))}/Rules", may_be_gone=True)]
                )
                for name in subscriptions
            }

    @contextlib.contextmanager
    def _connected(self) -> Iterator[http.client.HTTPSConnection]:
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=TIMEOUT_S, context=context
        )
        try:
            yield connection
        except (http.client.HTTPException, ET.ParseError, ValueError) as broken:
            raise OSError(f"no answer of the administration API: {broken}") from broken
        finally:
            connection.close()

    def _entries(
        self, connection: http.client.HTTPSConnection, path: str, *, may_be_gone: bool = False
    ) -> Iterator[ET.Element]:
        """The entries of a feed, from all of its pages."""
        skip = 0
        while True:
            query = f"api-version=2021-05&$skip={skip}&$top={_PAGE}"
            connection.request("GET", f"/{path}?{query}", headers={"Authorization": self._token()})
            answer = connection.getresponse()
            body = answer.read()
            if may_be_gone and answer.status == http.HTTPStatus.NOT_FOUND:
                return
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

    def told(name: str) -> str:
        return entry.findtext(f".//{{*}}{name}") or ""

    target = urlsplit(told("ForwardTo")).path.strip("/")
    return Mailbox(
        prefix + _title(entry),
        count("Active"),
        count("Scheduled"),
        count("DeadLetter"),
        count("TransferDeadLetter"),
        told("RequiresSession") == "true",
        target or None,
        told("Status") or "Active",
    )


def _path(subscription: str) -> str:
    topic, _, name = subscription.partition("/")
    return f"{topic}/Subscriptions/{name}"


def in_words(rules: Sequence[ET.Element]) -> str:
    """What the rules of a subscription let through: any of them is enough."""
    conditions = [_condition(rule) for rule in rules]
    if not conditions:
        return "nothing"
    if "everything" in conditions:
        return "everything"
    subjects = {condition.partition(" is ")[0] for condition in conditions}
    if len(subjects) == 1 and not any(" and " in each or "; " in each for each in conditions):
        values = [condition.partition(" is ")[2] for condition in conditions]
        if all(values):
            return f"{subjects.pop()} is {_either(values)}"
    return _either(conditions)


def _either(values: Sequence[str]) -> str:
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last


def _condition(rule: ET.Element) -> str:
    chosen = rule.find(".//{*}Filter")
    kind = "" if chosen is None else (chosen.get(_TYPE) or "").rpartition(":")[2]
    if chosen is None or kind == "TrueFilter":
        words = "everything"
    elif kind == "FalseFilter":
        words = "nothing"
    elif kind == "CorrelationFilter":
        words = " and ".join(f"{name} is {value}" for name, value in _pairs(chosen))
    else:
        words = chosen.findtext("{*}SqlExpression") or "?"
    action = rule.findtext(".//{*}Action/{*}SqlExpression")
    return f"{words}; {action}" if action else words


def _pairs(correlation: ET.Element) -> Iterator[tuple[str, str]]:
    for child in correlation:
        name = child.tag.rpartition("}")[2]
        if name != "Properties" and child.text:
            yield name, child.text
    for pair in correlation.iterfind(".//{*}KeyValueOfstringanyType"):
        yield pair.findtext("{*}Key") or "", pair.findtext("{*}Value") or ""
