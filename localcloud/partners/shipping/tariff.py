"""What shipping costs: by distance, weight and speed, and where it does not go at all."""

from collections.abc import Mapping
from dataclasses import dataclass

from localcloud.partners.shipping.models import Service
from localcloud.partners.store import JsonObject

CURRENCY = "EUR"

ZONES: Mapping[str, int] = {
    "DE": 1,
    "AT": 2,
    "BE": 2,
    "DK": 2,
    "FR": 2,
    "LU": 2,
    "NL": 2,
    "ES": 3,
    "GB": 3,
    "IE": 3,
    "IT": 3,
    "PT": 3,
    "SE": 3,
}
"""Every country that is served, by distance from the warehouse."""
NOT_SERVED_PREFIX = "000"


@dataclass(frozen=True)
class Tariff:
    """Amounts in cents; a started kilogram counts as a whole one."""

    first_kg: tuple[int, int, int]
    further_kg: tuple[int, int, int]
    days: tuple[int, int, int]


TARIFFS: Mapping[Service, Tariff] = {
    "standard": Tariff(first_kg=(490, 890, 1290), further_kg=(60, 110, 160), days=(2, 4, 6)),
    "express": Tariff(first_kg=(1190, 1990, 2790), further_kg=(140, 260, 380), days=(1, 2, 2)),
}


def served(country: str, postal_code: str) -> bool:
    return country in ZONES and not postal_code.startswith(NOT_SERVED_PREFIX)


def rates(country: str, weight_g: int) -> list[JsonObject]:
    """The offer of each service to a served country, the cheaper first."""
    zone = ZONES[country] - 1
    further = max(0, -(-weight_g // 1000) - 1)
    return [
        {
            "service": service,
            "amount": tariff.first_kg[zone] + further * tariff.further_kg[zone],
            "currency": CURRENCY,
            "days": tariff.days[zone],
        }
        for service, tariff in TARIFFS.items()
    ]
