"""The stock of one test module: its warehouse, its orders, and the service between them."""

import pytest

from blueprints.products.stock import StockService
from shared.db import Database
from tests.integration.products.warehouse import Orders, Warehouse


@pytest.fixture(scope="module")
def warehouse(database: Database) -> Warehouse:
    return Warehouse(database)


@pytest.fixture(scope="module")
def orders() -> Orders:
    return Orders()


@pytest.fixture(scope="module")
def stock(database: Database, orders: Orders) -> StockService:
    return StockService(database, orders, ttl_s=3600)
