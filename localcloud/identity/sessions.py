"""Who is signed in, and what was granted to applications meanwhile: codes and refresh tokens.

Cookies, codes and refresh tokens are random and kept as digests: whoever reads the file cannot
use them.
"""

import hashlib
import logging
import secrets
import sqlite3
import time
import uuid
from dataclasses import dataclass
from typing import Final

from localcloud.identity.directory import Application, Tenant
from localcloud.identity.store import Store
from localcloud.identity.tokens import SignedIn

SESSION_S: Final = 86_400
CODE_S: Final = 600
REFRESH_S: Final = 86_400
"""Of a single-page application; a refreshed token ends when the first would have.

Source: https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime
"""

_BEGIN: Final = """
    INSERT INTO sessions (sid, tenant, oid, auth_time, cookie, expires_at)
    VALUES (:sid, :tenant, :oid, :auth_time, :cookie, :expires_at)
"""
_BY_COOKIE: Final = """
    SELECT sid, oid, auth_time
    FROM sessions
    WHERE tenant = :tenant AND cookie = :cookie AND expires_at > :now
"""
_END: Final = (
    "DELETE FROM refresh_tokens WHERE grant_id IN (SELECT id FROM grants WHERE sid = :sid)",
    "DELETE FROM codes WHERE grant_id IN (SELECT id FROM grants WHERE sid = :sid)",
    "DELETE FROM grants WHERE sid = :sid",
    "DELETE FROM sessions WHERE sid = :sid",
)
_GRANT: Final = """
    INSERT INTO grants (id, tenant, client_id, oid, sid, auth_time, scope, expires_at)
    VALUES (:id, :tenant, :client_id, :oid, :sid, :auth_time, :scope, :expires_at)
"""
_ADD_CODE: Final = """
    INSERT INTO codes (code, grant_id, redirect_uri, challenge, nonce, expires_at)
    VALUES (:code, :grant_id, :redirect_uri, :challenge, :nonce, :expires_at)
"""
_CODE: Final = """
    SELECT c.redirect_uri, c.challenge, c.nonce, c.redeemed, g.*
    FROM codes AS c
    JOIN grants AS g ON g.id = c.grant_id
    WHERE c.code = :code AND g.tenant = :tenant AND g.client_id = :client_id
      AND c.expires_at > :now
"""
_REDEEM: Final = "UPDATE codes SET redeemed = 1 WHERE code = :code"
_ADD_REFRESH: Final = """
    INSERT INTO refresh_tokens (token, grant_id, expires_at)
    VALUES (:token, :grant_id, :expires_at)
"""
_REFRESH: Final = """
    SELECT r.used, g.*
    FROM refresh_tokens AS r
    JOIN grants AS g ON g.id = r.grant_id
    WHERE r.token = :token AND g.tenant = :tenant AND g.client_id = :client_id
      AND r.expires_at > :now
"""
_USE: Final = "UPDATE refresh_tokens SET used = 1 WHERE token = :token"
_REVOKE: Final = "DELETE FROM refresh_tokens WHERE grant_id = :grant_id"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """A browser in which somebody is signed in."""

    oid: str
    signed_in: SignedIn


@dataclass(frozen=True)
class Grant:
    """What a person let an application do, at one sign-in."""

    id: str
    oid: str
    scope: str
    signed_in: SignedIn
    expires_at: float


@dataclass(frozen=True)
class Code:
    """An authorization code that was presented, with what it is bound to."""

    grant: Grant
    redirect_uri: str
    challenge: str
    nonce: str | None
    redeemed: bool


class Sessions:
    """Everything that begins with a sign-in and ends with a sign-out."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.forget_expired(time.time())

    def begin(self, tenant: Tenant, oid: str) -> tuple[Session, str]:
        """A new session, and the cookie by which its browser is known again."""
        now = time.time()
        self._store.forget_expired(now)
        session, cookie = Session(oid, SignedIn()), secrets.token_urlsafe(32)
        row = {
            "sid": session.signed_in.sid,
            "tenant": tenant.kind,
            "oid": oid,
            "auth_time": session.signed_in.auth_time,
            "cookie": _kept(cookie),
            "expires_at": now + SESSION_S,
        }
        with self._store.transaction() as tx:
            tx.execute(_BEGIN, row)
        log.info("session %s of %s began", session.signed_in.sid, oid)
        return session, cookie

    def of(self, tenant: Tenant, cookie: str) -> Session | None:
        """The session of the browser that sent `cookie`, if it has one."""
        row = self._store.row(_BY_COOKIE, tenant=tenant.kind, cookie=_kept(cookie), now=time.time())
        if row is None:
            return None
        return Session(row["oid"], SignedIn(row["sid"], row["auth_time"]))

    def end(self, sid: str) -> None:
        """Nobody is signed in any more, and no application can refresh its tokens."""
        with self._store.transaction() as tx:
            for statement in _END:
                tx.execute(statement, {"sid": sid})
        log.info("session %s ended", sid)

    def granted(
        self, tenant: Tenant, client: Application, oid: str, scope: str, signed_in: SignedIn
    ) -> Grant:
        """A new grant; tokens and codes hang on it."""
        grant = Grant(str(uuid.uuid4()), oid, scope, signed_in, time.time() + REFRESH_S)
        row = {
            "id": grant.id,
            "tenant": tenant.kind,
            "client_id": client.client_id,
            "oid": oid,
            "sid": signed_in.sid,
            "auth_time": signed_in.auth_time,
            "scope": scope,
            "expires_at": grant.expires_at,
        }
        with self._store.transaction() as tx:
            tx.execute(_GRANT, row)
        return grant

    def issue_code(self, grant: Grant, redirect_uri: str, challenge: str, nonce: str | None) -> str:
        """A code that is good once, for ten minutes, for who knows the verifier."""
        code = secrets.token_urlsafe(32)
        row = {
            "code": _kept(code),
            "grant_id": grant.id,
            "redirect_uri": redirect_uri,
            "challenge": challenge,
            "nonce": nonce,
            "expires_at": time.time() + CODE_S,
        }
        with self._store.transaction() as tx:
            tx.execute(_ADD_CODE, row)
        return code

    def code(self, tenant: Tenant, client: Application, presented: str) -> Code | None:
        """What a code of that application is bound to; None when there is none, or no more."""
        row = self._store.row(_CODE, **self._lookup(tenant, client), code=_kept(presented))
        if row is None:
            return None
        bound = (row["redirect_uri"], row["challenge"], row["nonce"], bool(row["redeemed"]))
        return Code(_grant(row), *bound)

    def redeem(self, presented: str) -> None:
        """The code is used up."""
        with self._store.transaction() as tx:
            tx.execute(_REDEEM, {"code": _kept(presented)})

    def issue_refresh(self, grant: Grant, *, instead_of: str | None = None) -> str:
        """A refresh token of that grant; the one that it replaces is used up."""
        token = secrets.token_urlsafe(48)
        row = {"token": _kept(token), "grant_id": grant.id, "expires_at": grant.expires_at}
        with self._store.transaction() as tx:
            if instead_of is not None:
                tx.execute(_USE, {"token": _kept(instead_of)})
            tx.execute(_ADD_REFRESH, row)
        return token

    def refresh(
        self, tenant: Tenant, client: Application, presented: str
    ) -> tuple[Grant, bool] | None:
        """The grant of a refresh token, and whether the token was used before."""
        row = self._store.row(_REFRESH, **self._lookup(tenant, client), token=_kept(presented))
        return (_grant(row), bool(row["used"])) if row else None

    def revoke(self, grant: Grant) -> None:
        """No refresh token of the grant is good any more."""
        with self._store.transaction() as tx:
            tx.execute(_REVOKE, {"grant_id": grant.id})
        log.warning("grant %s of session %s is revoked", grant.id, grant.signed_in.sid)

    def _lookup(self, tenant: Tenant, client: Application) -> dict[str, object]:
        return {"tenant": tenant.kind, "client_id": client.client_id, "now": time.time()}


def _kept(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _grant(row: sqlite3.Row) -> Grant:
    signed_in = SignedIn(row["sid"], row["auth_time"])
    return Grant(row["id"], row["oid"], row["scope"], signed_in, row["expires_at"])
