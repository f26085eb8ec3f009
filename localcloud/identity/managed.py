"""The App Service endpoint at which a workload gets tokens for its managed identity.

Source: https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

import hmac
import time
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from localcloud.identity import directory, tokens
from localcloud.identity.directory import Workload
from localcloud.identity.site import NO_STORE, Site, only_from_here

API_VERSION: Final = "2019-08-01"
LIFETIME_S: Final = 86_400
"""A managed identity's tokens live for a day."""

_NAMES: Final = frozenset({"client_id", "object_id", "principal_id", "mi_res_id"})


class ManagedIdentities:
    """Hands tokens to workloads; each knows the header of its own identity."""

    def __init__(self, site: Site, lifetime_s: int = LIFETIME_S) -> None:
        self._site = site
        self.lifetime_s = lifetime_s

    async def token(self, request: Request) -> Response:
        """A token of the identity whose header the request bears, for one resource."""
        only_from_here(request)
        query = request.query_params
        workload = _workload(request.headers.get("x-identity-header", ""))
        if workload is None:
            return _refused(401, "X-IDENTITY-HEADER is missing or is nobody's.")
        if query.get("api-version") != API_VERSION:
            return _refused(400, f"The api-version must be {API_VERSION}.")
        if any(query[name] not in _names(workload) for name in _NAMES & query.keys()):
            return _refused(
                400,
                "No User Assigned or Delegated Managed Identity found for specified"
                " ClientId/ResourceId/PrincipalId.",
            )
        resource = query.get("resource", "")
        if directory.resource(resource) is None:
            return _refused(
                400,
                f"AADSTS500011: The resource principal named {resource[:128]} was not found in"
                f" the tenant named {directory.EMPLOYEES.id}.",
            )
        return self._answer(request, workload, resource)

    def _answer(self, request: Request, workload: Workload, resource: str) -> Response:
        claims = tokens.envelope(
            self._site.base(request), directory.EMPLOYEES, expires_in=self.lifetime_s
        )
        claims |= tokens.for_workload(workload, resource)
        return JSONResponse(
            {
                "access_token": tokens.sign(claims, self._site.keys.of("employees")),
                "client_id": workload.client_id,
                "expires_on": str(int(time.time()) + self.lifetime_s),
                "resource": resource,
                "token_type": "Bearer",
            },
            headers=NO_STORE,
        )


def _workload(header: str) -> Workload | None:
    for workload in directory.WORKLOADS.values():
        if hmac.compare_digest(workload.header.encode(), header.encode()):
            return workload
    return None


def _names(workload: Workload) -> tuple[str, ...]:
    """By which a workload may ask for the one identity that it has."""
    resource_id = tokens.for_workload(workload, "")["xms_mirid"]
    return (workload.client_id, workload.object_id, resource_id)


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"statusCode": status, "message": message}, status, NO_STORE)
