"""Health of the platform, and the answer where nothing is."""

import azure.functions as func

from blueprints.admin.models import Liveness, Readiness
from blueprints.admin.service import Health
from shared.auth import ANYONE
from shared.http import Api, Call, Reply

ANONYMOUS = func.AuthLevel.ANONYMOUS
EVERY_METHOD = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


def blueprint(api: Api, health: Health) -> func.Blueprint:
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

    # The host tries routes in the order of their functions' names: this one must come last.
    @bp.route(route="{*path}", methods=EVERY_METHOD, auth_level=ANONYMOUS)
    async def zz_unmatched_path(req: func.HttpRequest) -> func.HttpResponse:
        """Nothing is here: 405 if the path has other methods, else 404."""
        return api.unmatched(req, req.route_params.get("path", ""))

    return bp
