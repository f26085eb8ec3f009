"""Which application asks for a token, and how it proves that."""

import base64
import binascii
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_plus

import jwt

from localcloud.identity import directory, tokens
from localcloud.identity.client_secrets import ClientSecrets
from localcloud.identity.directory import TOKEN_EXCHANGE, Application, Tenant
from localcloud.identity.errors import OAuthError, missing, not_in_directory
from localcloud.identity.keys import KeyRing

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def authenticated(
    form: Mapping[str, str],
    basic: str | None,
    *,
    tenant: Tenant,
    base: str,
    keys: KeyRing,
    secrets: ClientSecrets,
) -> Application:
    """The application that asks, proven unless it is a public one (RFC 6749 §2.3).

    It proves itself by its secret, in the form or in the header `basic`, or by an assertion.
    Raises OAuthError with Entra's code when it is unknown or the proof is missing or wrong.
    """
    secret: str | None
    if basic is not None:
        if "client_secret" in form or "client_assertion" in form:
            raise OAuthError(
                400, "invalid_request", 900023, "The client authenticated in two ways at once."
            )
        client_id, secret = _basic_credentials(basic)
    else:
        client_id, secret = form.get("client_id", ""), form.get("client_secret")
        if not client_id:
            raise missing("client_id")
    client = directory.application(tenant.kind, client_id)
    if client is None:
        status, error = (401, "invalid_client") if basic else (400, "unauthorized_client")
        raise not_in_directory(client_id, tenant.id, status=status, error=error)
    assertion = form.get("client_assertion")
    if client.secret is None:
        if secret or assertion:
            raise OAuthError(
                401,
                "invalid_client",
                700025,
                "Client is public so neither 'client_assertion' nor 'client_secret' should be"
                " presented.",
            )
    elif assertion:
        _check_assertion(client, form, tenant, base, keys)
    else:
        _check_secret(client, secret, secrets)
    return client


def secret_missing() -> OAuthError:
    """The application has to prove itself, and did not."""
    return OAuthError(
        401,
        "invalid_client",
        7000218,
        "The request body must contain the following parameter: 'client_assertion' or"
        " 'client_secret'.",
    )


def _check_secret(client: Application, secret: str | None, secrets: ClientSecrets) -> None:
    if not secret:
        raise secret_missing()
    if not secrets.prove(client, secret):
        raise OAuthError(
            401,
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the"
            " client secret value, not the client secret ID.",
        )


def _check_assertion(
    client: Application, form: Mapping[str, str], tenant: Tenant, base: str, keys: KeyRing
) -> None:
    """A token of a managed identity that the application trusts, in place of a secret.

    Source: https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
    """
    if form.get("client_secret") or form.get("client_assertion_type") != ASSERTION_TYPE:
        raise OAuthError(
            400,
            "invalid_request",
            900023,
            f"The 'client_assertion_type' must be '{ASSERTION_TYPE}', without a secret beside it.",
        )
    try:
        claims = tokens.read(
            form["client_assertion"], keys, base=base, tenant=tenant, audience=TOKEN_EXCHANGE
        )
    except jwt.PyJWTError as error:
        raise OAuthError(
            401,
            "invalid_client",
            700027,
            f"The certificate used to sign the client assertion is not valid"
            f" ({type(error).__name__}).",
        ) from None
    if claims.get("sub") not in client.federated:
        raise OAuthError(
            401,
            "invalid_client",
            700213,
            "No matching federated identity record found for presented assertion subject"
            f" '{str(claims.get('sub'))[:64]}'.",
        )


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
