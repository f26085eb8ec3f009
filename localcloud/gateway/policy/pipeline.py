"""Runs a request through its policies: inbound, backend, outbound, and on-error when refused."""

import json
import logging

from localcloud.gateway.policy.building import Returned
from localcloud.gateway.policy.context import Context, Response
from localcloud.gateway.policy.documents import Sections
from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.policy.headers import Headers

_log = logging.getLogger(__name__)


class Pipeline:
    """The policies of one operation; holds nothing of any request."""

    def __init__(self, sections: Sections) -> None:
        self._sections = sections

    async def run(self, context: Context) -> Response:
        """The answer to the request; a refusal or a failure of a policy is an answer, too.

        Cancelled only from outside; what a backend had answered by then is let go of.
        """
        try:
            for block in (self._sections.inbound, self._sections.backend, self._sections.outbound):
                waiting = block.start(context)
                if waiting is not None:
                    await waiting
        except Returned:
            pass
        except Refusal as refusal:
            return await self.fail(context, refusal)
        except BaseException:
            if context.response is not None:
                await context.response.discard()
            raise
        return _finished(context)

    async def fail(self, context: Context, error: Refusal) -> Response:
        """The answer to a request that was refused, as the on-error section writes it."""
        before = context.response
        context.last_error, context.answer = error, None
        context.response = _plain(error)
        try:
            if before is not None:
                await before.discard()
            await self._sections.on_error.run(context)
        except Returned:
            pass
        except Refusal as second:
            _log.error("on-error failed after %s: %s", error.reason, second.reason)
            context.response = _plain(Refusal(source="on-error", reason="InternalError"))
        return _finished(context)

    async def preflight(self, context: Context) -> Response:
        """The answer to a CORS preflight request: of the policies only `cors` is evaluated.

        The first `cors` that knows the origin answers, so that a narrower one may stand before a
        wider one; with none, an empty 200. Source:
        https://learn.microsoft.com/azure/api-management/cors-policy#usage-notes
        """
        origin = context.request.headers.get("Origin") or ""
        for policy in self._sections.cors:
            if policy.allows(origin) or policy.terminate:
                return policy.preflight(context)
        return Response(200, Headers.of([("Vary", "Origin")]))


def _plain(error: Refusal) -> Response:
    """API Management's own answer to an error that no policy describes."""
    document = {"statusCode": error.status, "message": error.message}
    headers = Headers.of([("Content-Type", "application/json"), *error.headers.items()])
    return Response(error.status, headers, json.dumps(document).encode())


def _finished(context: Context) -> Response:
    answer = context.response or Response(200, Headers())
    for name, value in context.stamps:
        answer.headers.set(name, value)
    if context.varies and "origin" not in (answer.headers.get("Vary") or "").lower():
        answer.headers.add("Vary", "Origin")
    return answer
