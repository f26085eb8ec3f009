"""Health of the platform, the API's documents, and the answer where nothing is."""

from functools import cache

import azure.functions as func

from blueprints.admin.models import Liveness, OpenApiDocument, Readiness
from blueprints.admin.service import Health
from shared.auth import ANYONE
from shared.http import Api, Call, Reply
from shared.http.openapi import Documents
from shared.http.openapi_security import SignIn
from shared.problem import NotFound

ANONYMOUS = func.AuthLevel.ANONYMOUS
EVERY_METHOD = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


def blueprint(api: Api, health: Health, sign_in: SignIn) -> func.Blueprint:
    """The functions of this slice."""
    bp = func.Blueprint()

    @bp.route(route="health/live", methods=["GET"], auth_level=ANONYMOUS)
    @api.operation(returns=Liveness, access=ANYONE)
    async def health_live(_call: Call[None, None]) -> Liveness:
        """Whether the process answers; nothing else is asked."""
        return Liveness()

    @bp.route(route="health/ready", methods=["GET"], auth_level=ANONYMOUS)
    @api.operation(returns=Readiness, access=ANYONE, also=(503,))
    async def health_ready(_call: Call[None, None]) -> Reply[Readiness]:
        """Whether requests can be served: 200 if so, 503 if not, with each dependency's state."""
        readiness = await health.readiness()
        return Reply(readiness, status=200 if readiness.status == "ready" else 503)

    _documents(bp, api, sign_in)

    # The host tries routes in the order of their functions' names: this one must come last.
    @bp.route(route="{*path}", methods=EVERY_METHOD, auth_level=ANONYMOUS)
    async def zz_unmatched_path(req: func.HttpRequest) -> func.HttpResponse:
        """Nothing is here: 405 if the path has other methods, else 404."""
        return api.unmatched(req, req.route_params.get("path", ""))

    return bp


def _documents(bp: func.Blueprint, api: Api, sign_in: SignIn) -> None:
    @cache
    def made() -> Documents:
        """Not before the first request: the API must serve all its routes, and it takes time."""
        return Documents(api, sign_in)

    @bp.route(route="v3/api-docs", methods=["GET"], auth_level=ANONYMOUS)
    @api.operation(returns=OpenApiDocument, access=ANYONE)
    async def get_api_docs(_call: Call[None, None]) -> OpenApiDocument:
        """What this app serves, as OpenAPI 3.0. The gateway shows less of it, by caller."""
        return OpenApiDocument(made().served())

    @bp.route(route="v3/api-docs/{name:maxlength(40)}", methods=["GET"], auth_level=ANONYMOUS)
    @api.operation(returns=OpenApiDocument, access=ANYONE, raises=(NotFound,))
    async def get_named_api_docs(call: Call[None, None]) -> OpenApiDocument:
        """What one part of this app serves, or the gateway shows, as OpenAPI 3.0."""
        try:
            return OpenApiDocument(made().named(call.path["name"].lower()))
        except KeyError as fault:
            known = ", ".join(made().names())
            raise NotFound(f"there is no such document; these are: {known}") from fault
