"""Who may call what, for the API's documents: sign-in, scopes, roles."""

from dataclasses import dataclass
from typing import Self

from shared.auth.caller import EMPLOYEE_SCOPE
from shared.http.api import Operation
from shared.http.openapi_schemas import Json

SCOPES = {
    "customers.readwrite": "Your own customer record.",
    "notifications.readwrite": "Your own notifications and what you want to be told.",
    "orders.readwrite": "Your own orders.",
    "payments.readwrite": "The payments of your own orders.",
    "products.read": "The catalogue.",
    EMPLOYEE_SCOPE: "Act as an employee; what you may do depends on your role.",
}
"""What a person agrees to, by scope."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """Where people sign in: the OAuth 2.0 addresses of each tenant, without `/authorize`."""

    clients: str
    employees: str

    @classmethod
    def of_issuers(cls, clients: str, employees: str) -> Self:
        """By the issuers of the tokens, as Entra ID and External ID name both."""
        return cls(*(f"{i.removesuffix('/v2.0')}/oauth2/v2.0" for i in (clients, employees)))


def schemes(proxy: str | None, sign_in: SignIn) -> Json:
    """The security schemes of a document."""
    clients = {name: words for name, words in SCOPES.items() if name != EMPLOYEE_SCOPE}
    found = {
        "clients": _authorization_code("Customers", sign_in.clients, clients),
        "employees": _authorization_code(
            "Employees", sign_in.employees, {EMPLOYEE_SCOPE: SCOPES[EMPLOYEE_SCOPE]}
        ),
    }
    match proxy:
        case "external":
            return {"clients": found["clients"]}
        case "internal":
            return {"employees": found["employees"]}
        case "partners":
            return {"signature": _SIGNATURE}
        case _:
            return found


def requirements(proxy: str | None, operation: Operation) -> Json:
    """What an operation asks of its callers; `x-` members say what OpenAPI has no words for."""
    access = operation.access
    if access.anyone:
        return {"security": []}
    if access.partner:
        return {"security": [{"signature": []}]} if proxy == "partners" else {"security": []}
    found: Json = {"security": []}
    if access.client_scope is not None and proxy != "internal":
        found["security"].append({"clients": [access.client_scope]})
        found["x-scope"] = access.client_scope
    if access.employee_roles is not None and proxy != "external":
        found["security"].append({"employees": [EMPLOYEE_SCOPE]})
        found["x-roles"] = sorted(access.employee_roles)
    if operation.recent_sign_in:
        found["x-recent-sign-in"] = True
    return found


def who(proxy: str | None, operation: Operation) -> str:
    """Who may call an operation, in a sentence; nothing where anyone may."""
    access, may = operation.access, []
    if access.client_scope is not None and proxy != "internal":
        may.append(f"customers with the scope `{access.client_scope}`")
    if access.employee_roles is not None and proxy != "external":
        roles = " or ".join(f"`{role}`" for role in sorted(access.employee_roles))
        may.append(f"employees with the role {roles}")
    recent = " A recent sign-in is asked for." if operation.recent_sign_in else ""
    return f"For {', and '.join(may)}.{recent}" if may else ""


def _authorization_code(who_signs_in: str, base: str, scopes: dict[str, str]) -> Json:
    return {
        "type": "oauth2",
        "description": f"{who_signs_in} sign in with authorization code and PKCE (S256).",
        "flows": {
            "authorizationCode": {
                "authorizationUrl": f"{base}/authorize",
                "tokenUrl": f"{base}/token",
                "refreshUrl": f"{base}/token",
                "scopes": scopes,
            }
        },
    }


_SIGNATURE = {
    "type": "apiKey",
    "in": "header",
    "name": "Webhook-Signature",
    "description": (
        "`t=<seconds since 1970>,v1=<hexadecimal HMAC-SHA256 of t, a dot and the body as sent>`, "
        "not older than five minutes."
    ),
}
