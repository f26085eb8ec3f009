"""HTTP of the audit trail, for administrators, and for customer service to read."""

import azure.functions as func

from blueprints.audit.gateway import AnchorsAway
from blueprints.audit.models import (
    AuditRangeTooLong,
    DetailsTooLarge,
    LoggedEntry,
    LogQuery,
    RecordEntry,
    TrailQuery,
    Verification,
    VerifyQuery,
)
from blueprints.audit.service import AuditService, people
from blueprints.audit.verifying import Verifying
from shared.auth import ADMIN, CUSTOMER_SERVICE, access
from shared.http import Api, Call, Discloses, Page
from shared.problem import IdempotencyKeyReused, InvalidCursor

ADMINS = access(employees=(ADMIN,))
READERS = access(employees=(ADMIN, CUSTOMER_SERVICE))
REMARKS = Discloses(fields=("audit_details",), people=people)


def blueprint(api: Api, audit: AuditService, verifying: Verifying) -> func.Blueprint:
    """The HTTP functions of the audit trail."""
    bp = func.Blueprint()

    @bp.route(route="v1/audit/logs", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(
        access=ADMINS,
        body=RecordEntry,
        returns=LoggedEntry,
        status=201,
        idempotency_key=True,
        raises=(DetailsTooLarge, IdempotencyKeyReused),
    )
    async def record_audit_entry(call: Call[RecordEntry, None]) -> LoggedEntry:
        """Put something on record that the platform does not see by itself.

        The entry can never be changed. Its reason and details are erased when the customer is whom
        it names.
        """
        return await audit.record(call.caller, call.body, call.idempotency)

    @bp.route(route="v1/audit/logs", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(
        access=READERS,
        query=LogQuery,
        returns=Page[LoggedEntry],
        raises=(AuditRangeTooLong, InvalidCursor),
        discloses=REMARKS,
    )
    async def list_audit_entries(call: Call[None, LogQuery]) -> Page[LoggedEntry]:
        """List what happened, newest first: the last 30 days unless `from` and `to` say otherwise.

        By actor, subject, action and order. A query covers at most 366 days.
        """
        return await audit.list(call.query)

    @bp.route(
        route="v1/audit/gdpr/{customer_id:guid}",
        methods=["GET"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(
        access=READERS,
        query=TrailQuery,
        returns=Page[LoggedEntry],
        raises=(InvalidCursor,),
        discloses=REMARKS,
    )
    async def list_gdpr_trail(call: Call[None, TrailQuery]) -> Page[LoggedEntry]:
        """List what was done with a customer's data, and which employees saw them, newest first."""
        return await audit.of_customer(call.uuid("customer_id"), call.query)

    @bp.route(route="v1/audit/verify", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(access=ADMINS, query=VerifyQuery, returns=Verification, raises=(AnchorsAway,))
    async def verify_audit_trail(call: Call[None, VerifyQuery]) -> Verification:
        """Check that the audit trail is as it was written, or name what is not.

        At most 20,000 entries at a time; go on with `next_from`. Without `from` it starts with the
        day of the newest anchor.
        """
        return await verifying.part(call.query.first, call.query.last)

    return bp
