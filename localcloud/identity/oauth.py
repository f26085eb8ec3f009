"""The token endpoint: which grants are honoured, and how refusals look (RFC 6749 §5.2)."""

import base64
import binascii
import hmac
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from localcloud.identity import directory, tokens
from localcloud.identity.directory import Api, Application, Tenant
from localcloud.identity.keys import KeyRing

DEFAULT_SCOPE = ".default"


class OAuthError(Exception):
    """A refused token request: `error` is OAuth's word, `code` the AADSTS number."""

    def __init__(self, status: int, error: str, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.error, self.code, self.message = status, error, code, message

    def body(self) -> dict[str, Any]:
        """The JSON that Entra answers with."""
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        return {
            "error": self.error,
            "error_description": (
                f"AADSTS{self.code}: {self.message} Trace ID: {trace}"
                f" Correlation ID: {correlation} Timestamp: {stamp}"
            ),
            "error_codes": [self.code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
        }


@dataclass(frozen=True)
class _Grant:
    """An understood request for tokens of one API."""

    api: Api
    scopes: tuple[str, ...]
    asked_default: bool


def answer(
    form: Mapping[str, str], basic: str | None, *, tenant: Tenant, base: str, keys: KeyRing
) -> dict[str, Any]:
    """The token response to one form post.

    `basic` is the Authorization header, if there was one. Raises OAuthError with Entra's code
    when the client, the person, the grant or the scope is not known.
    """
    grant = _required(form, "grant_type")
    if grant not in ("password", "client_credentials"):
        raise OAuthError(
            400,
            "unsupported_grant_type",
            70003,
            f"The app requested an unsupported grant type '{grant[:64]}'.",
        )
    client = _client(form, basic, tenant)
    if grant == "password":
        return _password(form, client, tenant=tenant, base=base, keys=keys)
    return _client_credentials(form, client, tenant=tenant, base=base, keys=keys)


def _password(
    form: Mapping[str, str], client: Application, *, tenant: Tenant, base: str, keys: KeyRing
) -> dict[str, Any]:
    username, password = _required(form, "username"), _required(form, "password")
    grant = _scopes(_required(form, "scope"), tenant)
    person = directory.person(username) if "@" in username else None
    right = hmac.compare_digest(password.encode(), directory.DEMO_PASSWORD.encode())
    if person is None or person.tenant != tenant.kind or not right:
        # One answer for both, so that it does not tell which addresses exist.
        raise OAuthError(
            400,
            "invalid_grant",
            50126,
            "Error validating credentials due to invalid username or password.",
        )
    if grant.api.identifier not in client.delegated:
        raise OAuthError(
            400,
            "invalid_grant",
            65001,
            "The user or administrator has not consented to use the application with ID"
            f" '{client.client_id}'.",
        )
    claims = tokens.envelope(base, tenant) | tokens.for_person(
        person, client, grant.api, grant.scopes, tokens.SignedIn()
    )
    full_names = " ".join(f"{grant.api.identifier}/{scope}" for scope in grant.scopes)
    return _response(tokens.sign(claims, keys.of(tenant.kind))) | {"scope": full_names}


def _client_credentials(
    form: Mapping[str, str], client: Application, *, tenant: Tenant, base: str, keys: KeyRing
) -> dict[str, Any]:
    if client.secret is None:
        raise _secret_missing()
    grant = _scopes(_required(form, "scope"), tenant)
    if not grant.asked_default:
        raise OAuthError(
            400,
            "invalid_scope",
            1002012,
            "Client credential flows must have a scope value with /.default suffixed to the"
            " resource identifier (application ID URI).",
        )
    roles = client.app_roles.get(grant.api.identifier)
    if roles is None:
        raise OAuthError(
            400,
            "invalid_grant",
            501051,
            f"Application '{client.client_id}' is not assigned to a role for the application"
            f" '{grant.api.identifier}'.",
        )
    claims = tokens.envelope(base, tenant) | tokens.for_application(client, grant.api, roles)
    return _response(tokens.sign(claims, keys.of(tenant.kind)))


def _response(token: str) -> dict[str, Any]:
    lifetime = tokens.LIFETIME_S - 1  # as Entra: it never promises the second already begun
    return {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": token,
    }


def _required(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "")
    if not value:
        raise OAuthError(
            400,
            "invalid_request",
            900144,
            f"The request body must contain the following parameter: '{name}'.",
        )
    return value


def _secret_missing() -> OAuthError:
    return OAuthError(
        401,
        "invalid_client",
        7000218,
        "The request body must contain the following parameter: 'client_assertion' or"
        " 'client_secret'.",
    )


def _client(form: Mapping[str, str], basic: str | None, tenant: Tenant) -> Application:
    """The application that asks, proven by its secret if it has one (RFC 6749 §2.3.1)."""
    secret: str | None
    if basic is not None:
        if "client_secret" in form:
            raise OAuthError(
                400, "invalid_request", 900023, "The client authenticated in two ways at once."
            )
        client_id, secret = _basic_credentials(basic)
    else:
        client_id, secret = _required(form, "client_id"), form.get("client_secret")
    client = directory.application(tenant.kind, client_id)
    if client is None:
        raise OAuthError(
            401 if basic is not None else 400,
            "invalid_client" if basic is not None else "unauthorized_client",
            700016,
            f"Application with identifier '{client_id[:64]}' was not found in the directory"
            f" '{tenant.id}'.",
        )
    if client.secret is None:
        if secret:
            raise OAuthError(
                401,
                "invalid_client",
                700025,
                "Client is public so neither 'client_assertion' nor 'client_secret' should be"
                " presented.",
            )
        return client
    if not secret:
        raise _secret_missing()
    if not hmac.compare_digest(secret.encode(), client.secret.encode()):
        raise OAuthError(
            401,
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the"
            " client secret value, not the client secret ID.",
        )
    return client


def _basic_credentials(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    client_id, separator, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not separator:
        raise OAuthError(401, "invalid_client", 900023, "The Authorization header is not valid.")
    return unquote_plus(client_id), unquote_plus(secret)


def _scopes(requested: str, tenant: Tenant) -> _Grant:
    """The one API that the scopes name, and its scopes without their prefix, sorted."""
    apis: dict[str, Api] = {}
    names: set[str] = set()
    for scope in requested.split():
        identifier, _, name = scope.rpartition("/")
        api = directory.api(tenant.kind, identifier)
        if api is None and identifier.startswith("api://"):
            raise OAuthError(
                400,
                "invalid_resource",
                500011,
                f"The resource principal named {identifier[:128]} was not found in the tenant"
                f" named {tenant.id}.",
            )
        if api is None or (name != DEFAULT_SCOPE and name not in api.scopes):
            raise OAuthError(
                400,
                "invalid_scope",
                70011,
                "The provided request must include a 'scope' input parameter. The provided value"
                f" for the input parameter 'scope' is not valid. The scope {scope[:128]} does not"
                " exist.",
            )
        apis[identifier] = api
        names.add(name)
    if len(apis) != 1:
        raise OAuthError(
            400,
            "invalid_scope",
            28000,
            "Provided value for the input parameter scope is not valid because it must name"
            " exactly one resource.",
        )
    (api,) = apis.values()
    if DEFAULT_SCOPE in names:
        if len(names) > 1:
            raise OAuthError(
                400,
                "invalid_scope",
                70011,
                ".default scope can't be combined with resource-specific scopes.",
            )
        return _Grant(api, tuple(sorted(api.scopes)), asked_default=True)
    return _Grant(api, tuple(sorted(names)), asked_default=False)
