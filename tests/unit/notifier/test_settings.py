"""The notifier's settings: documented, checked, by their names in the environment."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from notifier.settings import Settings

README = Path(__file__).resolve().parents[3] / "notifier" / "README.md"
ENVIRONMENT = {
    "REDIS_URL": "redis://here:6379/0",
    "AUTH_CLIENTS_ISSUER": "clients",
    "AUTH_CLIENTS_AUDIENCE": "shop",
    "AUTH_CLIENTS_JWKS_URL": "https://clients/keys",
    "AUTH_EMPLOYEES_ISSUER": "employees",
    "AUTH_EMPLOYEES_AUDIENCE": "staff",
    "AUTH_EMPLOYEES_JWKS_URL": "https://employees/keys",
}


def test_the_page_lists_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \| ([^|]+) \|", README.read_text(), re.MULTILINE)
    documented: dict[str, str] = {}
    for names, defaults in rows:
        listed = re.findall(r"`(\w+)`", names)
        values = defaults.split(", ") if len(listed) == defaults.count(",") + 1 else [defaults]
        documented |= dict(zip(listed, [value.strip() for value in values] * 3, strict=False))

    expected = {}
    for name, field in Settings.model_fields.items():
        default = field.default
        if field.is_required():
            shown = "–"
        elif isinstance(default, float):
            shown = f"{default:g}"
        else:
            shown = {False: "false", (): "none", None: "from the request"}.get(
                default, str(default)
            )
        expected[name.upper()] = shown
    assert documented == expected


def test_settings_are_read_by_their_names() -> None:
    settings = Settings.from_environment(
        ENVIRONMENT
        | {
            "NOTIFIER_ALLOWED_ORIGINS": "https://a.example, http://localhost:3000,",
            "NOTIFIER_TRUST_FORWARDED": "true",
            "NOTIFIER_HEARTBEAT_S": "2.5",
            "NOTIFIER_POLL_S": "",
        }
    )
    assert settings.notifier_allowed_origins == ("https://a.example", "http://localhost:3000")
    assert settings.notifier_trust_forwarded is True
    assert (settings.notifier_heartbeat_s, settings.notifier_poll_s) == (2.5, 25.0)
    assert [(i.kind, i.issuer, i.audience, i.jwks_url) for i in settings.issuers] == [
        ("client", "clients", "shop", "https://clients/keys"),
        ("employee", "employees", "staff", "https://employees/keys"),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFIER_PORT", "65536"),
        ("NOTIFIER_PUBLIC_PATH", "notifications"),
        ("NOTIFIER_PUBLIC_PATH", "/notifications/"),
        ("NOTIFIER_PUBLIC_ORIGIN", "shop.example"),
        ("NOTIFIER_ALLOWED_ORIGINS", "*"),
        ("NOTIFIER_ALLOWED_ORIGINS", "https://a.example/"),
        ("NOTIFIER_HEARTBEAT_S", "0"),
        ("NOTIFIER_QUEUE_BYTES", "100"),
        ("NOTIFIER_CONNECTIONS_MAX", "0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name.lower()) as refusal:
        Settings.from_environment(ENVIRONMENT | {name: value})
    assert "redis://" not in str(refusal.value)
