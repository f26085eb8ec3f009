"""The data map: every column of every table, and what it says of whom. A test knows them all."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.pii import records
from shared.pii.marks import Category
from shared.pii.records import Record

NAME, EMAIL, PHONE, ADDRESS = Category.NAME, Category.EMAIL, Category.PHONE, Category.ADDRESS
PERSON, LINK, WORDS = Category.PERSON, Category.LINK, Category.WORDS
PURCHASE, PAYMENT, PARCEL = Category.PURCHASE, Category.PAYMENT, Category.PARCEL
PREFERENCE, ACTIVITY = Category.PREFERENCE, Category.ACTIVITY


@dataclass(frozen=True, slots=True)
class Table:
    """A table: why it is kept, its columns of personal data by category, and all others.

    Names of columns are separated by spaces.
    """

    record: Record
    personal: Mapping[Category, str] = field(default_factory=dict)
    others: str = ""

    def columns(self) -> dict[str, Category | None]:
        """Every column with its category; None for what is not personal."""
        named = {name: kind for kind, names in self.personal.items() for name in names.split()}
        return named | dict.fromkeys(self.others.split())


_CHAIN = Table(
    records.AUDIT,
    {
        PERSON: "actor_id person_id",
        LINK: "subject_id order_id event_id correlation_id",
        ACTIVITY: "recorded_at occurred_at action actor_kind subject_kind operation fields",
    },
    "seq ledger origin commitment previous_hash entry_hash",
)

TABLES: Mapping[str, Table] = {
    "audit.audit_logs": _CHAIN,
    "audit.gdpr_audit_trail": _CHAIN,
    "audit.details": Table(records.AUDIT, {PERSON: "person_id", WORDS: "payload"}, "seq salt"),
    "audit.chain_head": Table(records.AUDIT, others="single seq entry_hash recorded_at"),
    "customers.customers": Table(
        records.ACCOUNT,
        {
            PERSON: "id",
            NAME: "name",
            EMAIL: "email",
            PHONE: "phone",
            ADDRESS: "default_address",
            ACTIVITY: "segment status registered_at updated_at",
        },
        "version",
    ),
    "customers.customer_preferences": Table(
        records.CHOICES, {PERSON: "customer_id", PREFERENCE: "language"}
    ),
    "messaging.idempotency_keys": Table(
        records.REQUESTS,
        {PERSON: "caller_id", LINK: "key fingerprint answer", ACTIVITY: "operation created_at"},
    ),
    "messaging.inbox": Table(records.DELIVERY, {LINK: "event_id"}, "consumer received_at"),
    "messaging.outbox": Table(
        records.DELIVERY,
        {LINK: "event_id aggregate_id envelope correlation_id", ACTIVITY: "type created_at"},
        "position topic sent_at",
    ),
    "messaging.publications": Table(
        records.DELIVERY, {LINK: "aggregate_id"}, "position created_at published_at"
    ),
    "messaging.rejections": Table(
        records.DELIVERY,
        {LINK: "message_id event_id"},
        "id consumer body_digest reason delivery_count at resolved_at",
    ),
    "notifications.notifications": Table(
        records.MESSAGES,
        {
            PERSON: "recipient_id",
            LINK: "id event_id order_id",
            WORDS: "message",
            PURCHASE: "facts",
            ACTIVITY: "type occurred_at created_at read_at",
        },
        "position audience template_version listed",
    ),
    "notifications.reads": Table(
        records.MESSAGES, {PERSON: "reader_id", LINK: "notification_id", ACTIVITY: "read_at"}
    ),
    "notifications.notification_preferences": Table(
        records.CHOICES, {PERSON: "person_id", PREFERENCE: "type channel wanted"}
    ),
    "notifications.people": Table(
        records.CHOICES,
        {
            PERSON: "person_id",
            PREFERENCE: "time_zone quiet_from quiet_until digest digest_at",
            ACTIVITY: "digested_at updated_at",
        },
        "version",
    ),
    "notifications.deliveries": Table(
        records.MESSAGES,
        {
            PERSON: "recipient_id",
            LINK: "id notification_id digest_id provider_reference",
            ACTIVITY: "channel status due_at first_tried_at created_at updated_at",
        },
        "digest attempts claimed_until reason",
    ),
    "notifications.attempts": Table(
        records.MESSAGES,
        {LINK: "delivery_id provider_reference", ACTIVITY: "at outcome"},
        "id reason",
    ),
    "notifications.suppressions": Table(
        records.SUPPRESSION, {EMAIL: "address_digest", ACTIVITY: "since"}, "channel reason"
    ),
    "orders.orders": Table(
        records.ORDER,
        {
            PERSON: "customer_id placed_by cancel_requested_by",
            LINK: "id number",
            NAME: "ship_name",
            ADDRESS: "ship_line1 ship_line2 ship_city ship_postal_code ship_country",
            PAYMENT: "payment_method",
            PURCHASE: (
                "currency net_total shipping_net shipping_tax_rate_bp shipping_tax tax_total"
                " gross_total weight_g shipping_service search"
            ),
            ACTIVITY: (
                "status placed_at updated_at cancelled_from cancel_requested_at cancel_reason"
                " cancel_cause cancelled_at"
            ),
            WORDS: "on_behalf_reason",
        },
        "version stuck_undos",
    ),
    "orders.order_items": Table(
        records.ORDER,
        {
            LINK: "order_id",
            PURCHASE: (
                "product_id sku name quantity unit_net tax_class tax_rate_bp unit_weight_g net tax"
                " gross"
            ),
        },
        "line_no",
    ),
    "orders.order_status_history": Table(
        records.ORDER,
        {
            PERSON: "actor_id",
            LINK: "order_id",
            ACTIVITY: "at from_status to_status actor_kind",
            WORDS: "reason",
        },
        "id",
    ),
    "orders.shipments": Table(
        records.ORDER,
        {
            LINK: "order_id provider_id",
            PARCEL: "tracking_number",
            ACTIVITY: "status requested_at booked_at cancelled_at",
        },
        "refusal",
    ),
    "payments.payments": Table(
        records.PAYMENT,
        {
            PERSON: "customer_id",
            LINK: "id order_id gateway_id",
            PAYMENT: "payment_method",
            PURCHASE: (
                "currency amount authorized_amount captured_amount refunded_amount refunding_amount"
            ),
            ACTIVITY: "status created_at updated_at decline_code confirm_until",
        },
        "version",
    ),
    "payments.payment_transactions": Table(
        records.PAYMENT,
        {
            LINK: "id payment_id refund_id idempotency_key gateway_reference",
            PURCHASE: "amount",
            ACTIVITY: "kind outcome code sent_at answered_at",
        },
    ),
    "payments.refunds": Table(
        records.PAYMENT,
        {
            PERSON: "requested_by",
            LINK: "id payment_id gateway_id",
            PURCHASE: "amount",
            ACTIVITY: "status requested_at settled_at",
            WORDS: "reason",
        },
    ),
    "products.erp_sync_drifts": Table(
        records.CATALOGUE, others="run_id kind sku product_id fields ours erps"
    ),
    "products.erp_sync_pages": Table(
        records.CATALOGUE, others="run_id page seen created changed stock_changed rejected"
    ),
    "products.erp_sync_runs": Table(
        records.CATALOGUE,
        others=(
            "id status started_by started_at finished_at pages seen created changed stock_changed"
            " rejected deactivated oversold failure"
        ),
    ),
    "products.erp_sync_seen": Table(records.CATALOGUE, others="run_id sku"),
    "products.inventory": Table(
        records.CATALOGUE, others="product_id on_hand reserved erp_on_hand updated_at"
    ),
    "products.product_categories": Table(records.CATALOGUE, others="code name"),
    "products.products": Table(
        records.CATALOGUE,
        others=(
            "id sku name description category_code net_price currency tax_class weight_g active"
            " version search created_at updated_at origin listed withheld pinned"
        ),
    ),
    "products.reservations": Table(
        records.STOCK,
        {LINK: "order_id", PURCHASE: "product_id quantity", ACTIVITY: "status created_at"},
        "expires_at updated_at",
    ),
    "products.stock_movements": Table(
        records.STOCK,
        {
            PERSON: "employee_id",
            LINK: "order_id",
            PURCHASE: "product_id quantity",
            ACTIVITY: "kind at",
        },
        "id run_id on_hand_change reserved_change",
    ),
    "products.tax_rates": Table(records.CATALOGUE, others="tax_class country rate_bp"),
    "sessions.sign_outs": Table(
        records.SIGN_IN, {PERSON: "person_id", LINK: "session_id", ACTIVITY: "ended_at"}
    ),
    "sessions.sign_outs_everywhere": Table(
        records.SIGN_IN, {PERSON: "person_id", ACTIVITY: "signed_in_until"}
    ),
}
"""Every table of the platform's database, partitions not counted apart."""

ELSEWHERE: Mapping[str, str] = {
    "Redis": (
        "the live feed (ids), sessions (person's id, browser and system, times; 24 hours), counters"
        " of requests by person's id (a minute); lost without harm"
    ),
    "Service Bus, Event Grid": "ids; nothing by which somebody is called or reached",
    "Durable Functions' history": "ids of orders",
    "Blob Storage": "anchors of the audit trail: hashes",
    "Logs": "ids; what looks like personal data or a secret is masked as it is written",
    "Email and SMS provider": "name, address of the message, what it says",
    "Shipping provider": "name and address of the recipient, weight",
    "Payment gateway": "order id, amount, the token for the way to pay",
}
"""Where else personal data is, or could be thought to be."""
