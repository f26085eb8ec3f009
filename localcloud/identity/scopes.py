"""What a request for tokens asks for: scopes of OpenID Connect, and scopes of one API."""

from dataclasses import dataclass

from localcloud.identity import directory
from localcloud.identity.directory import GRAPH, Api, Application, Tenant
from localcloud.identity.errors import OAuthError

DEFAULT_SCOPE = ".default"
STANDARD = frozenset({"openid", "profile", "email", "offline_access"})
"""Scopes that OpenID Connect defines; they name no API."""


@dataclass(frozen=True)
class Scopes:
    """An understood request: one API with its scopes, sorted, and the standard scopes beside it."""

    api: Api
    names: tuple[str, ...]
    standard: frozenset[str] = frozenset()
    asked_default: bool = False

    def full(self) -> str:
        """All of it as a client writes it, which asks for the same again."""
        own = [f"{self.api.identifier}/{name}" for name in self.names]
        return " ".join([*sorted(self.standard), *own])

    def claim(self) -> str:
        """What the `scp` of an access token says: the API's scopes, or the standard ones."""
        return " ".join(self.names or sorted(self.standard - {"offline_access"}))

    def within(self, other: "Scopes") -> bool:
        """Whether this asks for nothing that `other` does not hold (RFC 6749 §6)."""
        return (
            self.standard <= other.standard
            and (not self.names or self.api == other.api)
            and set(self.names) <= set(other.names)
        )


def understood(requested: str, tenant: Tenant) -> Scopes:
    """The scopes that a request names. OAuthError when they are unknown or of several APIs.

    With nothing but standard scopes the token is for Microsoft Graph, where Entra keeps what
    OpenID Connect calls the UserInfo endpoint.
    """
    apis: dict[str, Api] = {}
    names: set[str] = set()
    asked = requested.split()
    standard = frozenset(asked) & STANDARD
    for scope in asked:
        if scope not in STANDARD:
            api, name = _of_an_api(scope, tenant)
            apis[api.identifier] = api
            names.add(name)
    if not apis and standard:
        return Scopes(GRAPH, (), standard)
    if len(apis) != 1:
        raise OAuthError(
            400,
            "invalid_scope",
            28000,
            "Provided value for the input parameter scope is not valid because it must name"
            " exactly one resource.",
        )
    (api,) = apis.values()
    if DEFAULT_SCOPE not in names:
        return Scopes(api, tuple(sorted(names)), standard)
    if len(names) > 1:
        raise OAuthError(
            400,
            "invalid_scope",
            70011,
            ".default scope can't be combined with resource-specific scopes.",
        )
    return Scopes(api, tuple(sorted(api.scopes)), standard, asked_default=True)


def _of_an_api(scope: str, tenant: Tenant) -> tuple[Api, str]:
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
    return api, name


def check_consent(client: Application, scopes: Scopes) -> None:
    """OAuthError unless the application may act for people at that API."""
    if scopes.api != GRAPH and scopes.api.identifier not in client.delegated:
        raise OAuthError(
            400,
            "invalid_grant",
            65001,
            "The user or administrator has not consented to use the application with ID"
            f" '{client.client_id}'.",
        )
