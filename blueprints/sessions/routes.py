"""HTTP of sessions: everybody the own ones."""

import azure.functions as func

from blueprints.sessions.models import SessionList
from blueprints.sessions.service import SessionService
from shared.auth import EMPLOYEES, access
from shared.http import Api, Call
from shared.problem import NotFound

OWNERS = access(clients="customers.readwrite", employees=EMPLOYEES)


def blueprint(api: Api, sessions: SessionService) -> func.Blueprint:
    """The HTTP functions of sessions."""
    bp = func.Blueprint()

    @bp.route(route="v1/sessions", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(access=OWNERS, returns=SessionList)
    async def list_sessions(call: Call[None, None]) -> SessionList:
        """List where you are signed in.

        What was used in the last 24 hours, latest first.
        """
        return await sessions.list(call.caller)

    @bp.route(route="v1/sessions", methods=["DELETE"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(access=OWNERS, status=204)
    async def end_all_sessions(call: Call[None, None]) -> None:
        """Sign out everywhere, here included.

        From now on no access token from before is accepted, and live connections end.
        """
        await sessions.end_all(call.caller)

    @bp.route(
        route="v1/sessions/{session_id:guid}",
        methods=["DELETE"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(access=OWNERS, status=204, raises=(NotFound,))
    async def end_session(call: Call[None, None]) -> None:
        """Sign out of one session.

        Its access tokens are refused from now on, and its live connections end. Repeating it
        changes nothing.
        """
        await sessions.end(call.caller, call.uuid("session_id"))

    return bp
