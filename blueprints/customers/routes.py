"""HTTP of customers."""

import azure.functions as func

from blueprints.customers.finding import Finding
from blueprints.customers.models import (
    Customer,
    CustomerErased,
    CustomerQuery,
    CustomerSearch,
    CustomerSummary,
    Profile,
    SegmentSummary,
    UpdateCustomer,
)
from blueprints.customers.service import CustomerService
from shared.auth import CUSTOMER_SERVICE, EMPLOYEES, access
from shared.http import Api, Call, Discloses, Page, Reply, etag_of, version_of
from shared.problem import EtagMismatch, Forbidden, InvalidCursor, NotFound, RecentSignInRequired

SCOPE = "customers.readwrite"
CLIENTS = access(clients=SCOPE)
FINDERS = access(employees=EMPLOYEES)
READERS = access(clients=SCOPE, employees=EMPLOYEES)
WRITERS = access(clients=SCOPE, employees=(CUSTOMER_SERVICE,))
PROFILE = Discloses(
    fields=("default_address", "email", "name", "phone"), people=lambda customer: (customer.id,)
)
SUMMARIES = Discloses(
    fields=("email", "name", "phone"), people=lambda page: (item.id for item in page.items)
)


def blueprint(api: Api, customers: CustomerService, finding: Finding) -> func.Blueprint:
    """The HTTP functions of customers."""
    bp = func.Blueprint()

    @bp.route(route="v1/customers", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(
        access=CLIENTS,
        body=Profile,
        returns=Customer,
        status=201,
        raises=(CustomerErased,),
        etag=True,
        location=True,
        also=(200,),
    )
    async def register_customer(call: Call[Profile, None]) -> Reply[Customer]:
        """Register yourself as a customer.

        Who is registered already gets 200 with the customer as it is.
        """
        customer, created = await customers.register(call.caller, call.body)
        return _reply(customer, status=201 if created else 200)

    @bp.route(route="v1/customers/me", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(access=CLIENTS, returns=Customer, raises=(NotFound,), etag=True)
    async def get_own_customer(call: Call[None, None]) -> Reply[Customer]:
        """Get yourself as a customer; 404 until you are registered."""
        return _reply(await customers.get(call.caller, call.caller.id))

    @bp.route(
        route="v1/customers/{customer_id:guid}",
        methods=["GET"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(
        access=READERS, returns=Customer, raises=(NotFound,), discloses=PROFILE, etag=True
    )
    async def get_customer(call: Call[None, None]) -> Reply[Customer]:
        """Get a customer: clients themselves, employees anyone."""
        return _reply(await customers.get(call.caller, call.uuid("customer_id")))

    @bp.route(
        route="v1/customers/{customer_id:guid}",
        methods=["PUT"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(
        access=WRITERS,
        body=UpdateCustomer,
        returns=Customer,
        raises=(NotFound, EtagMismatch, Forbidden, RecentSignInRequired),
        if_match=True,
        discloses=PROFILE,
        etag=True,
    )
    async def update_customer(call: Call[UpdateCustomer, None]) -> Reply[Customer]:
        """Replace a customer's profile.

        What is left out is emptied, except status and segment, which only employees may name.
        Another email needs a sign-in of a moment ago.
        """
        customer_id, version = call.uuid("customer_id"), version_of(call.if_match)
        return _reply(await customers.update(call.caller, customer_id, version, call.body))

    @bp.route(route="v1/customers", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(
        access=FINDERS,
        query=CustomerQuery,
        returns=Page[CustomerSummary],
        raises=(InvalidCursor,),
        discloses=SUMMARIES,
    )
    async def list_customers(call: Call[None, CustomerQuery]) -> Page[CustomerSummary]:
        """List customers by segment and status, those who registered last first."""
        return await finding.list(call.caller, call.query)

    @bp.route(route="v1/customers/search", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(
        access=FINDERS,
        body=CustomerSearch,
        returns=Page[CustomerSummary],
        raises=(InvalidCursor,),
        discloses=SUMMARIES,
        safe=True,
    )
    async def search_customers(call: Call[CustomerSearch, None]) -> Page[CustomerSummary]:
        """Find customers by name, email or phone.

        What is known of them stands in the body, because URLs are logged. Nothing is changed.
        """
        return await finding.search(call.caller, call.body)

    @bp.route(route="v1/customers/segments", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(access=FINDERS, returns=Page[SegmentSummary])
    async def list_customer_segments(call: Call[None, None]) -> Page[SegmentSummary]:
        """List the segments with how many customers each has."""
        return await finding.segments(call.caller)

    return bp


def _reply(customer: Customer, *, status: int | None = None) -> Reply[Customer]:
    location = f"/api/v1/customers/{customer.id}" if status == 201 else None  # noqa: PLR2004
    return Reply(customer, status=status, etag=etag_of(customer.version), location=location)
