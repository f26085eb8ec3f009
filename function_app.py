"""Composition root: settings → services → blueprints, and nothing else."""

from datetime import UTC, datetime
from functools import partial

import azure.durable_functions as df
import azure.functions as func

from blueprints.admin import routes as admin_routes
from blueprints.admin.gateway import listens
from blueprints.admin.service import Health
from blueprints.audit import routes as audit_routes
from blueprints.audit import triggers as audit_triggers
from blueprints.audit.anchoring import Anchoring
from blueprints.audit.gateway import BlobAnchors
from blueprints.audit.seals import Signer
from blueprints.audit.service import AuditService
from blueprints.audit.trail import AccessTrail, OnBehalfTrail, Trail
from blueprints.audit.verifying import Verifying
from blueprints.customers import routes as customer_routes
from blueprints.customers.finding import Finding
from blueprints.customers.service import CustomerService
from blueprints.housekeeping import triggers as housekeeping_triggers
from blueprints.housekeeping.service import Housekeeping
from blueprints.notifications import routes as notification_routes
from blueprints.notifications import triggers as notification_triggers
from blueprints.notifications.addresses import AddressDigests
from blueprints.notifications.announcing import Announcing, Messages
from blueprints.notifications.delivery_models import ProviderFault
from blueprints.notifications.digesting import Digesting
from blueprints.notifications.gateway import EmailGateway, SmsGateway
from blueprints.notifications.intake import Intake
from blueprints.notifications.preferring import Preferring
from blueprints.notifications.preparing import Preparing
from blueprints.notifications.reporting import Reporting
from blueprints.notifications.sending import Sending
from blueprints.notifications.service import NotificationService
from blueprints.notifications.wording import Wording
from blueprints.orders import activities as order_activities
from blueprints.orders import routes as order_routes
from blueprints.orders import triggers as order_triggers
from blueprints.orders.book import OrderBook
from blueprints.orders.cancelling import Cancelling
from blueprints.orders.control import SagaControl
from blueprints.orders.delivery import Delivery
from blueprints.orders.fulfilment import Fulfilment
from blueprints.orders.gateway import ShippingGateway
from blueprints.orders.models import ShippingFault
from blueprints.orders.placing import Placing
from blueprints.orders.service import OrderService
from blueprints.orders.shipping import Shipping
from blueprints.orders.timeline import OrderTimeline
from blueprints.payments import activities as payment_activities
from blueprints.payments import routes as payment_routes
from blueprints.payments import triggers as payment_triggers
from blueprints.payments.answering import Answering
from blueprints.payments.authorising import Authorising
from blueprints.payments.capturing import Capturing
from blueprints.payments.gateway import PaymentGateway, TokenSource
from blueprints.payments.models import GatewayFault
from blueprints.payments.reconciling import Reconciling
from blueprints.payments.refunding import Refunding
from blueprints.payments.service import PaymentService
from blueprints.products import activities as product_activities
from blueprints.products import routes as product_routes
from blueprints.products import triggers as product_triggers
from blueprints.products.browsing import Browsing
from blueprints.products.editing import Editing
from blueprints.products.gateway import ErpGateway
from blueprints.products.service import ProductService
from blueprints.products.stock import StockService
from blueprints.products.sync import SyncService
from blueprints.sessions import routes as session_routes
from blueprints.sessions.service import SessionService, SignOuts
from durable import cancel_order, fulfil_order, sync_catalogue
from shared.auth import Authenticator, Gateway, Sessions, StepUp, TrustedIssuer
from shared.cache import Cache
from shared.config import Settings
from shared.credentials import Identity
from shared.db import Database
from shared.http import Api
from shared.http.openapi_security import SignIn
from shared.inbox import Inbox
from shared.live import Feed
from shared.outbox import (
    EVENT_GRID,
    Dispatcher,
    Dispatchers,
    EventGridPublisher,
    ServiceBusSender,
)
from shared.pii import mask_logs
from shared.replica import ReadSide
from shared.resilience import Breaker
from shared.secrets import Secrets, store_of
from shared.webhooks import Signatures

mask_logs()
settings = Settings.from_environment()
now = partial(datetime.now, UTC)

identity = Identity()
database = Database(
    settings.pg_url.get_secret_value(),
    max_size=settings.pg_pool_max,
    prepare=settings.pg_prepare,
    password=identity.password,
)
cache = Cache(settings.redis_url.get_secret_value(), identity)
replica = (
    Database(
        settings.pg_read_url.get_secret_value(),
        max_size=settings.pg_pool_max,
        prepare=settings.pg_prepare,
        password=identity.password,
    )
    if settings.pg_read_url is not None and settings.pg_read_url != settings.pg_url
    else None
)
reads = ReadSide(database, replica, cache if replica is not None else None)
dispatcher = Dispatchers(
    Dispatcher(database, ServiceBusSender(settings)),
    Dispatcher(database, EventGridPublisher(settings), channel=EVENT_GRID, pace_s=0.25),
)
inbox = Inbox(database)
trail = Trail(database)
sign_outs = SignOuts(database)
signed_in = Sessions(
    # The database answers instead of Redis; that a busy moment passes is the cheaper wait.
    Cache(settings.redis_url.get_secret_value(), identity, timeout_s=0.25),
    sign_outs,
    client_limit=settings.user_limit_client,
    employee_limit=settings.user_limit_employee,
    kept_s=settings.session_ttl_s,
)
step_up = StepUp(settings.step_up_max_age_s)
front_gate = (
    Gateway(
        TrustedIssuer(
            "gateway",
            settings.auth_gateway_issuer,
            settings.auth_gateway_audience,
            settings.auth_gateway_jwks_url,
        ),
        settings.auth_gateway_identities,
        only=settings.auth_gateway_only,
    )
    if settings.auth_gateway_issuer is not None and settings.auth_gateway_jwks_url is not None
    else None
)
api = Api(
    Authenticator(
        [
            TrustedIssuer(
                "client",
                settings.auth_clients_issuer,
                settings.auth_clients_audience,
                settings.auth_clients_jwks_url,
            ),
            TrustedIssuer(
                "employee",
                settings.auth_employees_issuer,
                settings.auth_employees_audience,
                settings.auth_employees_jwks_url,
            ),
        ]
    ),
    gateway=front_gate,
    sessions=signed_in,
    step_up=step_up,
    wrote=reads.wrote,
    access_log=AccessTrail(trail),
)
secrets = Secrets(store_of(settings, identity))
faults, open_s = settings.partner_breaker_faults, settings.partner_breaker_open_s
breakers = {
    "erp": Breaker("the ERP", faults=faults, open_s=open_s),
    "payment_gateway": Breaker(
        "the payment gateway", fault=GatewayFault, faults=faults, open_s=open_s
    ),
    "shipping": Breaker("the shipping provider", fault=ShippingFault, faults=faults, open_s=open_s),
    "email": Breaker("email", fault=ProviderFault, faults=faults, open_s=open_s),
    "sms": Breaker("SMS", fault=ProviderFault, faults=faults, open_s=open_s),
}
erp = ErpGateway(
    settings.erp_wsdl_url, timeout_s=settings.partner_timeout_s, breaker=breakers["erp"]
)
gateway = PaymentGateway(
    settings.payment_gateway_url,
    TokenSource(
        settings.payment_gateway_token_url,
        client_id=settings.payment_gateway_client_id,
        client_secret=secrets.named("payment-gateway-client-secret"),
        scope=settings.payment_gateway_scope,
    ),
    timeout_s=settings.partner_timeout_s,
    breaker=breakers["payment_gateway"],
)
provider = ShippingGateway(
    settings.shipping_url,
    secrets.named("shipping-api-key"),
    timeout_s=settings.partner_timeout_s,
    breaker=breakers["shipping"],
)

book = OrderBook(database)
customers = CustomerService(database, step_up)
finding = Finding(reads)
products = ProductService(database, cache)
browsing = Browsing(reads)
editing = Editing(database, cache)
stock = StockService(database, book, ttl_s=settings.reservation_ttl_s)
sync = SyncService(database, erp, cache)
payments = PaymentService(database)
authorising = Authorising(database, book, gateway, window_s=settings.confirmation_window_s)
capturing = Capturing(database, book, gateway)
refunding = Refunding(database, gateway, authorising, dispatcher)
answering = Answering(database, gateway, dispatcher)
reconciling = Reconciling(
    database,
    book,
    gateway,
    authorising=authorising,
    refunding=refunding,
    answering=answering,
    after_s=settings.payment_reconcile_after_s,
)
placing = Placing(
    database,
    products,
    customers,
    dispatcher,
    OnBehalfTrail(trail),
    currency=settings.order_currency,
)
orders = OrderService(database, stock, dispatcher, reads)
cancelling = Cancelling(database, dispatcher)
fulfilment = Fulfilment(database, stock, dispatcher)
shipping = Shipping(database, provider)
control = SagaControl(database, stock, waits_s=settings.saga_waits_s)
wording = Wording()
digests = AddressDigests(settings.address_digest_key)
feed = Feed(settings.redis_url.get_secret_value(), identity)
sessions = SessionService(database, sign_outs, signed_in, feed)
sending = Sending(
    database,
    Preparing(database, customers, book, wording, digests, clock=now),
    feed,
    dispatcher,
    email=EmailGateway(
        settings,
        sender=settings.email_sender,
        timeout_s=settings.partner_timeout_s,
        breaker=breakers["email"],
    ),
    sms=SmsGateway(
        settings,
        sender=settings.sms_sender,
        timeout_s=settings.partner_timeout_s,
        breaker=breakers["sms"],
    ),
)
time_zone = settings.default_time_zone
announcing = Announcing(default_time_zone=time_zone, clock=now)
intake = Intake(announcing, book, payments, feed)
reporting = Reporting(inbox, digests, dispatcher)
digesting = Digesting(database, default_time_zone=time_zone, clock=now)
messages = Messages(database, announcing, customers, sending, dispatcher)
notifications = NotificationService(database, customers, wording)
preferring = Preferring(database, default_time_zone=time_zone)
timeline = OrderTimeline(database, stock, payments, notifications)
audit = AuditService(database, trail)
anchors = BlobAnchors(
    connection=settings.audit_storage.get_secret_value() if settings.audit_storage else None,
    url=settings.audit_storage_url,
    trusted_ca_file=settings.trusted_ca_file,
)
signer = Signer(settings.audit_anchor_key.get_secret_value())
anchoring = Anchoring(database, anchors, signer)
verifying = Verifying(database, anchors, (signer.public_key,))
delivery = Delivery(database, products, provider, currency=settings.order_currency)
health = Health(
    database,
    schemas=(
        *("messaging", "products", "customers", "orders"),
        *("payments", "notifications", "audit", "sessions"),
    ),
    probes={
        "broker": listens(settings.service_bus_address),
        "event_grid": listens(settings.platform_events_endpoint),
        "cache": listens(settings.redis_url.get_secret_value()),
        "erp": listens(settings.erp_wsdl_url),
        "payment_gateway": listens(settings.payment_gateway_url),
        "shipping": listens(settings.shipping_url),
    },
    breakers=breakers,
)

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for blueprint in (
    order_routes.blueprint(api, placing, orders, cancelling, timeline, delivery=delivery),
    order_routes.webhooks(api, fulfilment, Signatures(secrets.named("shipping-webhook-key"))),
    order_triggers.blueprint(control, inbox),
    order_activities.blueprint(fulfilment, shipping),
    product_routes.blueprint(api, products, browsing, editing, sync),
    product_triggers.blueprint(stock, sync),
    product_activities.blueprint(stock, sync),
    customer_routes.blueprint(api, customers, finding),
    payment_routes.blueprint(api, payments, answering, refunding),
    payment_routes.webhooks(api, reconciling, Signatures(secrets.named("payment-webhook-key"))),
    payment_triggers.blueprint(reconciling),
    payment_activities.blueprint(authorising, capturing, refunding),
    notification_routes.blueprint(api, notifications, messages, preferring),
    notification_triggers.blueprint(intake, inbox, sending, digesting, reporting),
    session_routes.blueprint(api, sessions),
    audit_routes.blueprint(api, audit, verifying),
    audit_triggers.blueprint(trail, anchoring, inbox),
    housekeeping_triggers.blueprint(Housekeeping(database, dispatcher)),
    admin_routes.blueprint(
        api,
        health,
        SignIn.of_issuers(settings.auth_clients_issuer, settings.auth_employees_issuer),
    ),
    fulfil_order.bp,
    cancel_order.bp,
    sync_catalogue.bp,
):
    app.register_functions(blueprint)
api.serves(app)
