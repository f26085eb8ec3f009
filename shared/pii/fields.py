"""The data map of the API: every field of every model that can hold text, and what it says.

Numbers, times, yes or no, and words from a closed list say nothing by themselves and are not asked
for. Fields that are marked in their model (`Annotated[str, EMAIL]`) speak for themselves; the
others stand here as `Model.field`, or `*.field` where a name means the same in every model.
"""

from collections.abc import Mapping

from shared.pii.marks import Category

PERSONAL: Mapping[Category, str] = {
    Category.PERSON: (
        "*.customer_id *.recipient_id *.actor_id *.actor Customer.id CustomerSummary.id"
    ),
    Category.LINK: (
        "*.order_id *.payment_id *.notification_id *.provider_reference *.event_id"
        " *.correlation_id *.message_id *.number *.shipment_id *.reference"
        " Order.id OrderSummary.id Payment.id"
        " Refund.id ListedNotification.id WrittenMessage.id Delivery.id Session.id Subject.id"
        " LogQuery.subject LogQuery.order ReportEvent.id _SmsReport.tag"
    ),
    Category.EMAIL: "_EmailReport.recipient",
    Category.PHONE: "_SmsReport.to",
    Category.PAYMENT: "*.payment_method AnswerConfirmation.code",
    Category.PARCEL: "*.tracking_number",
    Category.PREFERENCE: "*.time_zone *.digest_at *.language QuietHours.since QuietHours.until",
    Category.ACTIVITY: "*.device *.carrier_status",
    Category.WORDS: (
        "PlaceOrder.reason MoveOrder.reason RefundPayment.reason Refund.reason RecordEntry.reason"
        " RecordEntry.details LoggedEntry.details TimelineEntry.detail WriteMessage.subject"
        " WriteMessage.text ListedNotification.title ListedNotification.text PreviewTemplate.facts"
        " Preview.subject Preview.text Preview.html Preview.sms Preview.title Preview.in_app"
        " Requested.facts ReportEvent.data _Details.message _SmsReport.details"
    ),
}
"""Fields that say something of somebody and are shown to all whom their operation lets in."""

IMPERSONAL = (
    "*.action *.cancel_reason *.carrier_currency *.category *.category_name *.circuits *.currency"
    " *.cursor *.next_cursor *.decline_code *.dependencies *.description *.failure *.fields *.hash"
    " *.latest *.meaning *.operation *.product_id *.q *.sku *.variables *.what *.kind *.type"
    " CategoryFacet.code Category.code Finding.detail ProductSummary.id Product.id SyncRun.id"
    " SyncReport.id OrderLine.name ProductSummary.name CategoryFacet.name Category.name"
    " Product.name CreateProduct.name UpdateProduct.name Delivery.reason Attempt.reason"
    " NotificationQuery.since OrderQuery.text CarrierNotice.id PaymentNotice.id"
    " _EmailReport.status _SmsReport.status *.traceparent"
    " OpenApiDocument.root ErpProduct.name _Facts.name *.category_code"
)
"""Fields that say nothing of anybody: of products, of the platform, tokens of lists."""


def named(names: str) -> frozenset[str]:
    """The names in a list that is separated by spaces."""
    return frozenset(names.split())


def listed(model: str, field: str) -> Category | bool | None:
    """The category of `model.field` as listed here; None if impersonal, False if not listed."""
    for name in (f"{model}.{field}", f"*.{field}"):
        for category, names in PERSONAL.items():
            if name in named(names):
                return category
        if name in named(IMPERSONAL):
            return None
    return False
