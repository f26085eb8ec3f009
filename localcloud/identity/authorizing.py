"""What an application asks of the authorization endpoint, and how it is answered by redirects."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlencode, urlsplit

from localcloud.identity import directory, scopes
from localcloud.identity.directory import Application, Tenant
from localcloud.identity.errors import OAuthError, not_in_directory
from localcloud.identity.redirects import SIGN_IN_PATHS, Redirects
from localcloud.identity.scopes import Scopes

type Mode = Literal["query", "fragment"]

PROMPTS: Final = ("login", "none", "select_account", "create", "consent")
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_ONCE: Final = "The request contains the parameter '{}' more than once."


@dataclass(frozen=True)
class Way:
    """The way back to an application, which was checked."""

    client: Application
    redirect_uri: str
    asked_uri: str
    """As the application wrote it, and has to write it again for the code."""
    mode: Mode
    state: str | None

    def back(self, **parameters: str) -> str:
        """The address that takes `parameters` to the application."""
        if self.state is not None:
            parameters["state"] = self.state
        encoded = urlencode(parameters)
        if self.mode == "fragment":
            return f"{self.redirect_uri}#{encoded}"
        separator = "&" if urlsplit(self.redirect_uri).query else "?"
        return f"{self.redirect_uri}{separator}{encoded}"


@dataclass(frozen=True)
class Wanted:
    """An understood authorization request."""

    way: Way
    scopes: Scopes
    challenge: str
    nonce: str | None
    prompt: str | None
    max_age_s: int | None
    login_hint: str


class Refused(Exception):
    """The application is told by a redirect that it gets no code."""

    def __init__(self, way: Way, refusal: OAuthError) -> None:
        super().__init__(refusal.message)
        body = refusal.body()
        self.location = way.back(error=refusal.error, error_description=body["error_description"])


def way_back(pairs: Sequence[tuple[str, str]], tenant: Tenant, redirects: Redirects) -> Way:
    """Which application asks, and where to send people back to.

    Raises OAuthError, to be shown to the person: without a trusted address there is nobody else.
    """
    query = dict(pairs)
    for name in ("client_id", "redirect_uri", "response_mode", "state"):
        if sum(name == given for given, _ in pairs) > 1:
            raise _invalid(_ONCE.format(name))
    client_id, uri = query.get("client_id", ""), query.get("redirect_uri", "")
    if not client_id:
        raise _invalid("The request must contain the following parameter: 'client_id'.")
    client = directory.application(tenant.kind, client_id)
    if client is None:
        raise not_in_directory(client_id, tenant.id, status=400, error="unauthorized_client")
    checked = redirects.sign_in(client, uri)
    if checked is None:
        raise OAuthError(
            400,
            "invalid_request",
            50011,
            f"The redirect URI '{uri[:256]}' specified in the request does not match the redirect"
            f" URIs configured for the application '{client_id}'. Configured are, on any port of"
            f" localhost and 127.0.0.1: {', '.join(SIGN_IN_PATHS)}",
        )
    mode = query.get("response_mode", "query")
    if mode not in ("query", "fragment"):
        raise OAuthError(
            400,
            "invalid_request",
            70007,
            f"'{mode[:32]}' is not a supported value of 'response_mode' when requesting a code.",
        )
    as_fragment: Mode = "fragment" if mode == "fragment" else "query"
    return Way(client, checked, uri, as_fragment, query.get("state"))


def wanted(pairs: Sequence[tuple[str, str]], way: Way, tenant: Tenant) -> Wanted:
    """The rest of the request. Raises Refused when the application has to be told."""
    try:
        return _wanted(pairs, way, tenant)
    except OAuthError as refusal:
        raise Refused(way, refusal) from refusal


def _wanted(pairs: Sequence[tuple[str, str]], way: Way, tenant: Tenant) -> Wanted:
    query = dict(pairs)
    if len(query) != len(pairs):
        names = [name for name, _ in pairs]
        raise _invalid(_ONCE.format(next(name for name in names if names.count(name) > 1)[:64]))
    if query.get("response_type") != "code":
        raise OAuthError(
            400,
            "unsupported_response_type",
            700054,
            f"response_type '{query.get('response_type', '')[:32]}' is not enabled: only 'code'.",
        )
    challenge = query.get("code_challenge", "")
    if query.get("code_challenge_method", "plain") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise OAuthError(
            400,
            "invalid_request",
            9002325,
            "Proof Key for Code Exchange is required: send a code_challenge with the"
            " code_challenge_method S256.",
        )
    asked = scopes.understood(query.get("scope", ""), tenant)
    scopes.check_consent(way.client, asked)
    return Wanted(
        way,
        asked,
        challenge,
        query.get("nonce"),
        _prompt(query, tenant),
        _max_age(query),
        query.get("login_hint", "").strip(),
    )


def _prompt(query: Mapping[str, str], tenant: Tenant) -> str | None:
    prompt = query.get("prompt") or None
    if prompt is not None and prompt not in PROMPTS:
        raise OAuthError(
            400, "invalid_request", 90023, f"Unsupported 'prompt' value '{prompt[:64]}'."
        )
    if prompt == "create" and tenant.kind != "clients":
        raise OAuthError(
            400, "invalid_request", 90023, "Unsupported 'prompt' value: nobody registers here."
        )
    return prompt


def _max_age(query: Mapping[str, str]) -> int | None:
    given = query.get("max_age")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 10):  # noqa: PLR2004 - 30 years
        raise _invalid(f"The 'max_age' must be a number of seconds, not '{given[:32]}'.")
    return int(given)


def _invalid(message: str) -> OAuthError:
    return OAuthError(400, "invalid_request", 900144, message)
