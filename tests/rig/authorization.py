"""The authorization matrix: who gets what answer from which operation, written down by hand.

`python -m tests.rig.authorization` writes docs/authorization-matrix.md. The requests are made so
that whoever is let in changes nothing: what he asks for is then refused for what it says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

PAGE = Path(__file__).parents[2] / "docs" / "authorization-matrix.md"

type Who = Literal[
    "no token",
    "expired",
    "wrong issuer",
    "wrong audience",
    "no scope",
    "owner",
    "other client",
    "customer-service",
    "order-manager",
    "admin",
]
COLUMNS: tuple[Who, ...] = (
    "no token",
    "expired",
    "wrong issuer",
    "wrong audience",
    "no scope",
    "owner",
    "other client",
    "customer-service",
    "order-manager",
    "admin",
)
ROLES: tuple[Who, ...] = ("customer-service", "order-manager", "admin")
CS, OM, AD = ROLES
EVERYBODY = frozenset(ROLES)
MANAGERS = frozenset({OM, AD})

_PARAMETER = re.compile(r"\{[a-z_]+\}")

type Cell = tuple[int, str | None]
"""Status, and the problem's code if the answer is one."""

UNKNOWN_TOKEN: Mapping[Who, Cell] = {
    "no token": (401, "token-missing"),
    "expired": (401, "token-expired"),
    "wrong issuer": (401, "token-invalid"),
    "wrong audience": (401, "token-invalid"),
}
FORBIDDEN: Cell = (403, "forbidden")
NOT_FOUND: Cell = (404, "not-found")
OK: Cell = (200, None)
REFUSED_FOR_CONTENT: Cell = (400, "invalid-request")
UNSIGNED: Cell = (401, "signature-invalid")
STALE: Cell = (412, "etag-mismatch")
OLD_VERSION = {"If-Match": '"999999"'}


@dataclass(frozen=True, kw_only=True)
class Row:
    """An operation, a request of it, and what who is let in gets for that.

    `clients` and `employees` are who the design lets in; `owned` says that another client finds
    nothing here. `{order}` and the like in path and body are filled in by the test.
    """

    name: str
    method: str
    path: str
    clients: bool = False
    employees: frozenset[Who] = frozenset()
    owned: bool = False
    anyone: bool = False
    partner: bool = False
    let_in: Cell = OK
    but: Mapping[Who, Cell] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def expected(self) -> dict[Who, Cell]:
        """What everybody gets."""
        if self.anyone or self.partner:
            return dict.fromkeys(COLUMNS, self.let_in) | dict(self.but)
        cells: dict[Who, Cell] = dict(UNKNOWN_TOKEN)
        cells["no scope"] = FORBIDDEN
        cells["owner"] = self.let_in if self.clients else FORBIDDEN
        cells["other client"] = NOT_FOUND if self.owned and self.clients else cells["owner"]
        for role in ROLES:
            cells[role] = self.let_in if role in self.employees else FORBIDDEN
        return cells | dict(self.but)


def _shared(name: str, method: str, path: str, **more: Any) -> Row:
    """Clients and every employee."""
    return Row(name=name, method=method, path=path, clients=True, employees=EVERYBODY, **more)


def _inside(name: str, method: str, path: str, who: frozenset[Who], **more: Any) -> Row:
    """Employees only."""
    return Row(name=name, method=method, path=path, employees=who, **more)


def _signed(name: str, path: str) -> Row:
    """Partners: nobody's token counts, and without the gateway's own none is taken."""
    nobody: Mapping[Who, Cell] = dict.fromkeys(COLUMNS[1:], (401, "gateway-required"))
    return Row(
        name=name, method="POST", path=path, partner=True, let_in=UNSIGNED, but=nobody, body={}
    )


def _open(name: str, path: str) -> Row:
    return Row(name=name, method="GET", path=path, anyone=True)


KEYED = {"Idempotency-Key": "{key}"}
CANCELLED: Cell = (202, None)
NO_OWN: Mapping[Who, Cell] = dict.fromkeys(ROLES, NOT_FOUND)
"""For what everybody has of his own: employees look under their own name."""

ROWS: tuple[Row, ...] = (
    # Orders
    Row(
        name="place_order",
        method="POST",
        path="v1/orders",
        clients=True,
        employees=frozenset({CS}),
        let_in=REFUSED_FOR_CONTENT,
        body={},
        headers=KEYED,
    ),
    _shared("list_orders", "GET", "v1/orders"),
    _shared("get_order", "GET", "v1/orders/{order}", owned=True),
    _shared("get_order_timeline", "GET", "v1/orders/{order}/timeline", owned=True),
    _shared("get_order_tracking", "GET", "v1/orders/{order}/tracking", owned=True),
    _shared(
        "cancel_order_request",
        "DELETE",
        "v1/orders/{order}?reason=changed_mind",
        owned=True,
        let_in=CANCELLED,
    ),
    _shared(
        "request_cancellation",
        "POST",
        "v2/orders/{order}/cancellation",
        owned=True,
        let_in=CANCELLED,
        body={"reason": "changed_mind"},
        headers=KEYED,
    ),
    _inside(
        "move_order",
        "PUT",
        "v1/orders/{order}/status",
        MANAGERS,
        let_in=STALE,
        body={"status": "shipped"},
        headers=OLD_VERSION,
    ),
    _shared(
        "quote_shipping_rates",
        "POST",
        "v1/orders/shipping-rates",
        let_in=REFUSED_FOR_CONTENT,
        body={},
    ),
    # Products
    _shared("list_products", "GET", "v1/products"),
    _shared("search_products", "GET", "v1/products/search?q=tea"),
    _shared("list_product_categories", "GET", "v1/products/categories"),
    _shared("get_product", "GET", "v1/products/{product}"),
    _inside(
        "create_product",
        "POST",
        "v1/products",
        MANAGERS,
        let_in=REFUSED_FOR_CONTENT,
        body={},
        headers=KEYED,
    ),
    _inside(
        "update_product",
        "PUT",
        "v1/products/{product}",
        MANAGERS,
        let_in=REFUSED_FOR_CONTENT,
        body={},
        headers=OLD_VERSION,
    ),
    _inside("list_erp_syncs", "GET", "v1/products/erp-sync", MANAGERS),
    _inside("get_erp_sync", "GET", "v1/products/erp-sync/{nothing}", MANAGERS, let_in=NOT_FOUND),
    _inside(
        "start_erp_sync",
        "POST",
        "v1/products/erp-sync?really=yes",
        MANAGERS,
        let_in=REFUSED_FOR_CONTENT,
    ),
    # Customers
    Row(
        name="register_customer",
        method="POST",
        path="v1/customers",
        clients=True,
        let_in=REFUSED_FOR_CONTENT,
        body={},
    ),
    Row(name="get_own_customer", method="GET", path="v1/customers/me", clients=True),
    _inside("list_customers", "GET", "v1/customers", EVERYBODY),
    _inside("list_customer_segments", "GET", "v1/customers/segments", EVERYBODY),
    _inside(
        "search_customers",
        "POST",
        "v1/customers/search",
        EVERYBODY,
        body={"name": "Nobody Of This Name"},
    ),
    _shared("get_customer", "GET", "v1/customers/{customer}", owned=True),
    Row(
        name="update_customer",
        method="PUT",
        path="v1/customers/{customer}",
        clients=True,
        employees=frozenset({CS}),
        owned=True,
        let_in=STALE,
        body={"name": "Sam Stranger", "email": "{email}"},
        headers=OLD_VERSION,
    ),
    _shared("list_customer_orders", "GET", "v1/customers/{customer}/orders", owned=True),
    # Payments
    Row(
        name="answer_confirmation",
        method="POST",
        path="v1/payments",
        clients=True,
        owned=True,
        let_in=(409, "confirmation-not-pending"),
        body={"order_id": "{order}", "code": "123456"},
        headers=KEYED,
    ),
    _shared("list_payments", "GET", "v1/payments"),
    _shared("get_payment", "GET", "v1/payments/{payment}", owned=True),
    _inside(
        "refund_payment_request",
        "POST",
        "v1/payments/{payment}/refund",
        MANAGERS,
        let_in=(409, "payment-not-refundable"),
        body={"amount": 1, "reason": "goodwill"},
        headers=KEYED,
    ),
    # Notifications
    _shared("list_notifications", "GET", "v1/notifications"),
    _inside(
        "write_notification",
        "POST",
        "v1/notifications",
        EVERYBODY,
        let_in=REFUSED_FOR_CONTENT,
        body={},
        headers=KEYED,
    ),
    _shared("get_notification_preferences", "GET", "v1/notifications/preferences"),
    _shared(
        "update_notification_preferences",
        "PUT",
        "v1/notifications/preferences",
        let_in=REFUSED_FOR_CONTENT,
        body={"quiet": "always"},
        headers=OLD_VERSION,
    ),
    _shared(
        "mark_notifications_read",
        "PUT",
        "v1/notifications/read",
        let_in=REFUSED_FOR_CONTENT,
        body={},
    ),
    _shared(
        "mark_notification_read",
        "PUT",
        "v1/notifications/{notification}/read",
        owned=True,
        but=NO_OWN,
    ),
    _inside(
        "get_notification_deliveries",
        "GET",
        "v1/notifications/{notification}/deliveries",
        EVERYBODY,
    ),
    _inside("list_notification_templates", "GET", "v1/notifications/templates", EVERYBODY),
    _inside(
        "preview_notification_template",
        "POST",
        "v1/notifications/templates/preview",
        EVERYBODY,
        let_in=REFUSED_FOR_CONTENT,
        body={},
    ),
    # Audit
    _inside("list_audit_entries", "GET", "v1/audit/logs", frozenset({CS, AD})),
    _inside(
        "record_audit_entry",
        "POST",
        "v1/audit/logs",
        frozenset({AD}),
        let_in=REFUSED_FOR_CONTENT,
        body={},
        headers=KEYED,
    ),
    _inside("list_gdpr_trail", "GET", "v1/audit/gdpr/{customer}", frozenset({CS, AD})),
    _inside("verify_audit_trail", "GET", "v1/audit/verify", frozenset({AD})),
    # Sessions
    _shared("list_sessions", "GET", "v1/sessions"),
    _shared(
        "end_all_sessions",
        "DELETE",
        "v1/sessions?really=yes",
        let_in=REFUSED_FOR_CONTENT,
    ),
    _shared(
        "end_session",
        "DELETE",
        "v1/sessions/{session}",
        owned=True,
        let_in=(204, None),
        but=NO_OWN,
    ),
    # Partners
    _signed("notice_payment", "v1/payments/webhooks/gateway"),
    _signed("notice_shipment", "v1/orders/webhooks/shipping"),
    # The platform
    _open("health_live", "health/live"),
    _open("health_ready", "health/ready"),
    _open("get_api_docs", "v3/api-docs"),
    _open("get_named_api_docs", "v3/api-docs/orders"),
)


def hidden(row: Row, *, from_employees: bool) -> Cell | None:
    """What the proxy of one kind of caller answers if it does not show the operation.

    None if it does. What a proxy does not show is not there: 404; 405 if the path is there under
    another method, 400 if it reads as the path of something else, with a name that is no id.
    """

    def shown(one: Row) -> bool:
        return bool(one.employees) if from_employees else one.clients

    if shown(row):
        return None
    path = _PARAMETER.sub("x", row.path.partition("?")[0])
    there = [
        one.method
        for one in ROWS
        if shown(one) and re.fullmatch(_PARAMETER.sub("[^/]+", one.path.partition("?")[0]), path)
    ]
    if row.method in there:
        return REFUSED_FOR_CONTENT
    return (405, "method-not-allowed") if there else NOT_FOUND


def page() -> str:
    """The matrix as a page."""
    lines = [
        "# Authorization matrix",
        "",
        "Who gets what answer from which operation. Written by hand in",
        "`tests/rig/authorization.py` from what the design allows, printed here by",
        "`python -m tests.rig.authorization`, and asserted cell by cell against the running",
        "platform by `tests/e2e/test_authorization_matrix.py`.",
        "",
        "**owner** is the client whose order, payment, message or session it is; **other",
        "client** another one with every scope; **no scope** a client whose token lacks the",
        "operation's scope; the roles are employees with that role alone. `✓` is let in; the",
        "number is the answer to the request that the test makes, which changes nothing. `–` is",
        "kept out: 401 for a token that proves nothing, 403 for who may not, 404 for who is not to",
        "know that it exists.",
        "",
        f"| operation | {' | '.join(COLUMNS)} |",
        f"|---|{'---|' * len(COLUMNS)}",
    ]
    for row in ROWS:
        expected = row.expected()
        cells = [_shown(row, who, expected[who]) for who in COLUMNS]
        path = row.path.partition("?")[0]
        lines.append(f"| `{row.method} /{path}` | {' | '.join(cells)} |")
    codes = ", ".join(f"{who}: `{code}`" for who, (_, code) in UNKNOWN_TOKEN.items())
    lines += [
        "",
        f"Codes of the 401s: {codes}; of every 403 `forbidden`, of every 404 `not-found`.",
        "Webhooks ask for a partner's signature instead (`signature-invalid`), and take a token in",
        "`Authorization` from the gateway alone (`gateway-required`).",
        "",
        "Through the gateway clients and partners come by the external proxy, employees by the",
        "internal one. Each shows only what its callers may use: of all else it says 404.",
        "",
    ]
    return "\n".join(lines)


def _shown(row: Row, who: Who, cell: Cell) -> str:
    """A cell of the page."""
    mine = who in {"owner", "other client"}
    kept_out = row.partner or (
        not row.anyone
        and (cell in {FORBIDDEN, *UNKNOWN_TOKEN.values()} or (cell == NOT_FOUND and row.owned))
        and (mine or who in ROLES or cell != row.let_in)
    )
    return f"{'–' if kept_out else '✓'} {cell[0]}"


if __name__ == "__main__":
    PAGE.write_text(page())
