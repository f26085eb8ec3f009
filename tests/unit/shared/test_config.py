"""Settings from the environment."""

import pytest
from pydantic import ValidationError

from shared.config import Settings

ENVIRONMENT = {
    "PG_URL": "postgresql://platform:secret@127.0.0.1:5433/platform",
    "PLATFORM_EVENTS_ENDPOINT": "http://127.0.0.1:7081/platform-events/api/events",
    "PLATFORM_EVENTS_KEY": "events-key",
    "CommunicationConnection": "endpoint=http://127.0.0.1:7082/;accesskey=secret",
    "EMAIL_SENDER": "orders@shop.example",
    "SMS_SENDER": "+4915000000000",
    "ADDRESS_DIGEST_KEY": "digest-secret",
    "AUDIT_ANCHOR_KEY": "anchor-secret",
    "NOTIFICATION_SENDING_SCHEDULE": "*/5 * * * * *",
    "NOTIFICATION_DIGEST_SCHEDULE": "0 */5 * * * *",
    "AUDIT_ANCHOR_SCHEDULE": "0 10 0 * * *",
    "AUDIT_PARTITION_SCHEDULE": "0 0 3 * * *",
    "REDIS_URL": "redis://127.0.0.1:6380/0",
    "ServiceBusConnection": "Endpoint=sb://127.0.0.1;SharedAccessKeyName=n;SharedAccessKey=secret",
    "AUTH_CLIENTS_ISSUER": "http://127.0.0.1:7080/c/v2.0",
    "AUTH_CLIENTS_AUDIENCE": "clients-api",
    "AUTH_CLIENTS_JWKS_URL": "http://127.0.0.1:7080/c/keys",
    "AUTH_EMPLOYEES_ISSUER": "http://127.0.0.1:7080/e/v2.0",
    "AUTH_EMPLOYEES_AUDIENCE": "employees-api",
    "AUTH_EMPLOYEES_JWKS_URL": "http://127.0.0.1:7080/e/keys",
    "ERP_WSDL_URL": "http://127.0.0.1:7090/erp?wsdl",
    "PAYMENT_GATEWAY_URL": "http://127.0.0.1:7091",
    "PAYMENT_GATEWAY_TOKEN_URL": "http://127.0.0.1:7080/token",
    "PAYMENT_GATEWAY_CLIENT_ID": "payment-client",
    "PAYMENT_GATEWAY_CLIENT_SECRET": "secret",
    "SHIPPING_URL": "http://127.0.0.1:7092",
    "SHIPPING_API_KEY": "secret",
    "ERP_SYNC_SCHEDULE": "0 0 * * * *",
    "OUTBOX_RELAY_SCHEDULE": "*/5 * * * * *",
    "RESERVATION_EXPIRY_SCHEDULE": "0 * * * * *",
    "PAYMENT_RECONCILE_SCHEDULE": "0 * * * * *",
}


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_environment(ENVIRONMENT | {"PG_POOL_MAX": "7", "PG_PREPARE": "false"})
    assert (settings.pg_pool_max, settings.pg_prepare) == (7, False)
    assert settings.pg_url.get_secret_value() == ENVIRONMENT["PG_URL"]
    assert settings.service_bus_connection is not None
    assert settings.service_bus_connection.get_secret_value() == ENVIRONMENT["ServiceBusConnection"]


def test_what_is_not_set_has_the_documented_default() -> None:
    settings = Settings.from_environment(ENVIRONMENT | {"PARTNER_TIMEOUT_S": ""})
    assert settings.model_dump(exclude_unset=False, include=set(Settings.model_fields) - SET) == {
        "pg_read_url": None,
        "pg_pool_max": 10,
        "pg_prepare": True,
        "service_bus_namespace": None,
        "service_bus_client_id": None,
        "communication_endpoint": None,
        "default_time_zone": "Europe/Berlin",
        "audit_storage": None,
        "audit_storage_url": None,
        "secrets_provider": "environment",
        "key_vault_url": None,
        "vault_addr": None,
        "vault_role": None,
        "trusted_ca_file": None,
        "auth_gateway_issuer": None,
        "auth_gateway_audience": "api://order-platform",
        "auth_gateway_jwks_url": None,
        "auth_gateway_identities": (),
        "auth_gateway_only": False,
        "session_ttl_s": 86400,
        "user_limit_client": 1000,
        "user_limit_employee": 5000,
        "step_up_max_age_s": 300,
        "payment_webhook_key": None,
        "shipping_webhook_key": None,
        "payment_gateway_scope": "api://payment-gateway/.default",
        "partner_timeout_s": 5.0,
        "partner_breaker_faults": 5,
        "partner_breaker_open_s": 10.0,
        "reservation_ttl_s": 3600.0,
        "confirmation_window_s": 900.0,
        "saga_waits_s": (1, 2, 4, 8, 15, 30),
        "payment_reconcile_after_s": 30.0,
        "order_currency": "EUR",
    }


SET = {name.lower() for name in ENVIRONMENT} | {
    "service_bus_connection",
    "communication_connection",
}


def test_a_namespace_takes_the_place_of_a_connection_string() -> None:
    without = {name: v for name, v in ENVIRONMENT.items() if name != "ServiceBusConnection"}
    settings = Settings.from_environment(
        without
        | {
            "ServiceBusConnection__fullyQualifiedNamespace": "shop.servicebus.windows.net",
            "ServiceBusConnection__clientId": "55555555-5555-4555-8555-555555555555",
        }
    )
    assert settings.service_bus_connection is None
    assert settings.service_bus_namespace == "shop.servicebus.windows.net"
    assert settings.service_bus_address == "sb://shop.servicebus.windows.net:5671"
    assert settings.service_bus_client_id == "55555555-5555-4555-8555-555555555555"


@pytest.mark.parametrize(
    ("connection", "address"),
    [
        ("Endpoint=sb://b.windows.net/;SharedAccessKey=a=", "sb://b.windows.net:5671"),
        ("Endpoint=sb://localhost;UseDevelopmentEmulator=true;", "sb://localhost:5672"),
        ("Endpoint=sb://127.0.0.1:5999;UseDevelopmentEmulator=true;", "sb://127.0.0.1:5999"),
    ],
)
def test_the_broker_s_address_is_in_its_connection_string(connection: str, address: str) -> None:
    settings = Settings.from_environment(ENVIRONMENT | {"ServiceBusConnection": connection})
    assert settings.service_bus_address == address


@pytest.mark.parametrize(
    ("text", "waits_s"),
    [("1", (1,)), ("0, 0.5,3600", (0, 0.5, 3600)), (",".join(["1"] * 20), (1,) * 20)],
)
def test_waits_are_seconds_between_commas(text: str, waits_s: tuple[float, ...]) -> None:
    settings = Settings.from_environment(ENVIRONMENT | {"SAGA_WAITS_S": text})
    assert settings.saga_waits_s == waits_s


@pytest.mark.parametrize(
    "text", [",", "1,,2", "1,", "-1", "1;2", "one", "3600.1", "nan", "inf", ",".join(["1"] * 21)]
)
def test_waits_of_another_kind_are_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.from_environment(ENVIRONMENT | {"SAGA_WAITS_S": text})
    assert {error["loc"][0] for error in refused.value.errors()} == {"saga_waits_s"}


def test_a_partner_may_be_away_for_a_minute() -> None:
    assert sum(Settings.from_environment(ENVIRONMENT).saga_waits_s) == 60


def test_a_missing_setting_is_named() -> None:
    without = {name: value for name, value in ENVIRONMENT.items() if name != "PG_URL"}
    with pytest.raises(ValidationError) as refused:
        Settings.from_environment(without)
    assert [error["loc"] for error in refused.value.errors()] == [("pg_url",)]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"SHIPPING_API_KEY": ""}, "SECRETS_PROVIDER=environment needs SHIPPING_API_KEY"),
        ({"SECRETS_PROVIDER": "keyvault"}, "SECRETS_PROVIDER=keyvault needs KEY_VAULT_URL"),
        (
            {"SECRETS_PROVIDER": "vault", "VAULT_ADDR": "https://127.0.0.1:8200"},
            "SECRETS_PROVIDER=vault needs VAULT_ROLE",
        ),
    ],
)
def test_the_store_of_the_secrets_has_what_it_needs(given: dict[str, str], missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        Settings.from_environment(ENVIRONMENT | given)


def test_secrets_in_a_vault_are_no_settings() -> None:
    without = {name: value for name, value in ENVIRONMENT.items() if value != "secret"}
    settings = Settings.from_environment(
        without | {"SECRETS_PROVIDER": "keyvault", "KEY_VAULT_URL": "https://shop.vault.azure.net"}
    )
    assert (settings.shipping_api_key, settings.payment_gateway_client_secret) == (None, None)


def test_a_key_vault_reference_that_was_not_resolved_is_no_value() -> None:
    reference = "@Microsoft.KeyVault(VaultName=shop;SecretName=shipping-api-key)"
    with pytest.raises(
        ValidationError, match="SHIPPING_API_KEY is a Key Vault reference that was not resolved"
    ) as refused:
        Settings.from_environment(ENVIRONMENT | {"SHIPPING_API_KEY": reference})
    assert "SecretName" not in str(refused.value)


def test_secrets_do_not_print() -> None:
    settings = Settings.from_environment(ENVIRONMENT)
    assert "secret" not in repr(settings).replace("client_secret", "").replace(
        "SecretStr", ""
    ).replace("secrets_", "")
    with pytest.raises(ValidationError) as refused:
        Settings.from_environment(ENVIRONMENT | {"PG_POOL_MAX": "topsecret"})
    assert "topsecret" not in str(refused.value)


GATEWAY = {
    "AUTH_GATEWAY_ISSUER": "https://login.test/tenant/v2.0",
    "AUTH_GATEWAY_JWKS_URL": "https://login.test/tenant/keys",
    "AUTH_GATEWAY_IDENTITIES": (
        "6a7e0000-0000-4000-8000-000000000012,6a7e0000-0000-4000-8000-000000000013"
    ),
}


def test_the_gateway_is_known_by_its_identities() -> None:
    settings = Settings.from_environment(ENVIRONMENT | GATEWAY | {"AUTH_GATEWAY_ONLY": "true"})
    assert [str(one)[-2:] for one in settings.auth_gateway_identities] == ["12", "13"]
    assert settings.auth_gateway_only


@pytest.mark.parametrize(
    "given",
    [
        *({name: value} for name, value in GATEWAY.items()),
        *({n: v for n, v in GATEWAY.items() if n != left_out} for left_out in GATEWAY),
        {"AUTH_GATEWAY_ONLY": "true"},
    ],
    ids=lambda given: "+".join(name.removeprefix("AUTH_GATEWAY_") for name in given),
)
def test_half_a_gateway_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="AUTH_GATEWAY_IDENTITIES together"):
        Settings.from_environment(ENVIRONMENT | given)
