"""Who can sign in: the demo people, and clients who registered themselves."""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import sqlite3
import time
import unicodedata
import uuid
from typing import Final

from localcloud.identity import directory
from localcloud.identity.directory import CLIENTS, Kind, Person
from localcloud.identity.store import Store

PASSWORD_LENGTHS: Final = range(8, 129)
NAME_LENGTH: Final = 80
ADDRESS_LENGTH: Final = 254

_ADDRESS: Final = re.compile(
    r"[^\s@<>\"(),:;\\\[\]]+@[^\s@<>\"(),:;\\\[\]]+\.[^\s@.<>\"(),:;\\\[\]]{2,}"
)
_NOBODY: Final = "scrypt$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""The digest of no password; checking it takes as long as checking a real one."""

_BY_USERNAME: Final = """
    SELECT oid, tenant, name, username, password
    FROM people
    WHERE tenant = :tenant AND username = :username
"""
_BY_OID: Final = """
    SELECT oid, tenant, name, username
    FROM people
    WHERE tenant = :tenant AND oid = :oid
"""
_ADD: Final = """
    INSERT INTO people (oid, tenant, name, username, password, registered_at)
    VALUES (:oid, :tenant, :name, :username, :password, :registered_at)
"""


class NotRegistered(Exception):
    """A registration was refused; `field` is what has to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field, self.message = field, message


class People:
    """Everybody that one of the two tenants knows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def demo(self, tenant: Kind, name: str) -> Person | None:
        """The demo person of that tenant with that short name."""
        person = directory.person(name)
        return person if person is not None and person.tenant == tenant else None

    def by_oid(self, tenant: Kind, oid: str) -> Person | None:
        """The person with that object id."""
        for person in directory.PEOPLE:
            if person.oid == oid and person.tenant == tenant:
                return person
        row = self._store.row(_BY_OID, tenant=tenant, oid=oid)
        return _person(row) if row else None

    async def proven(self, tenant: Kind, username: str, password: str) -> Person | None:
        """The person whose address and password these are."""
        address = normalised(username)
        demo = directory.person(address) if "@" in address else None
        if demo is not None:
            right = hmac.compare_digest(password.encode(), directory.DEMO_PASSWORD.encode())
            return demo if right and demo.tenant == tenant else None
        row = self._store.row(_BY_USERNAME, tenant=tenant, username=address)
        kept = row["password"] if row else _NOBODY
        right = await asyncio.to_thread(_is_password, password, kept)
        return _person(row) if row and right else None

    async def register(self, name: str, username: str, password: str) -> Person:
        """A new client with an object id of its own. Raises NotRegistered."""
        name, address = " ".join(name.split()), normalised(username)
        if not name or len(name) > NAME_LENGTH or not _is_printable(name):
            raise NotRegistered("name", f"Enter your name, at most {NAME_LENGTH} characters.")
        if len(address) > ADDRESS_LENGTH or not _ADDRESS.fullmatch(address):
            raise NotRegistered("username", "Enter an e-mail address, such as name@example.com.")
        if len(password) not in PASSWORD_LENGTHS:
            raise NotRegistered(
                "password",
                f"Choose a password of {PASSWORD_LENGTHS.start} to {PASSWORD_LENGTHS.stop - 1}"
                " characters.",
            )
        taken = NotRegistered("username", "There is an account with this address already.")
        if directory.person(address) is not None:
            raise taken
        person = Person(address, name, address, str(uuid.uuid4()), CLIENTS.kind)
        row = {
            "oid": person.oid,
            "tenant": person.tenant,
            "name": person.name,
            "username": person.username,
            "password": await asyncio.to_thread(_digest, password),
            "registered_at": time.time(),
        }
        try:
            with self._store.transaction() as tx:
                tx.execute(_ADD, row)
        except sqlite3.IntegrityError:
            raise taken from None
        return person


def normalised(username: str) -> str:
    """An address as it is compared: case, and how its letters are composed, do not matter."""
    return unicodedata.normalize("NFC", username.strip()).casefold()


def _is_printable(name: str) -> bool:
    return all(character.isprintable() for character in name)


def _person(row: sqlite3.Row) -> Person:
    return Person(row["username"], row["name"], row["username"], row["oid"], row["tenant"])


def _digest(password: str, salt: bytes | None = None) -> str:
    salt = salt or secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
    return "$".join(["scrypt", *(base64.b64encode(part).decode() for part in (salt, digest))])


def _is_password(password: str, kept: str) -> bool:
    salt = base64.b64decode(kept.split("$")[1])
    # A longer one was never accepted, and need not be digested to be wrong.
    fits = password[: PASSWORD_LENGTHS.stop]
    return hmac.compare_digest(_digest(fits, salt).encode(), kept.encode())
