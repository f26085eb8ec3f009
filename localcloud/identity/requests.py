"""Reads requests: tenant, parameters and forms, each parameter at most once (RFC 6749 §3.1)."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from localcloud.identity import directory
from localcloud.identity.directory import Tenant
from localcloud.identity.errors import OAuthError
from localcloud.identity.site import body_of


def tenant_of(request: Request) -> Tenant:
    """The tenant that the path names. OAuthError for one that does not exist."""
    named = request.path_params["tenant"]
    tenant = directory.TENANTS.get(named)
    if tenant is None:
        raise OAuthError(400, "invalid_tenant", 90002, f"Tenant '{named[:64]}' not found.")
    return tenant


def query_of(request: Request) -> list[tuple[str, str]]:
    """The parameters of the address, in their order. OAuthError unless they are UTF-8."""
    return _pairs(request.scope["query_string"], "query")


async def form_of(request: Request) -> dict[str, str]:
    """The parameters of a form post. OAuthError for anything else, or for a repeated one."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise _invalid(
            "The request body must be a form (application/x-www-form-urlencoded) and contain the"
            " following parameter: 'grant_type'."
        )
    pairs = _pairs(await body_of(request), "form")
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _invalid("The form contains a parameter more than once.")
    return form


def _pairs(encoded: bytes, what: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded.decode(), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise _invalid(f"The {what} is not valid UTF-8.") from None


def _invalid(message: str) -> OAuthError:
    return OAuthError(400, "invalid_request", 900144, message)
