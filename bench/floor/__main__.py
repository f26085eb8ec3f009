"""`python -m bench.floor`: FastAPI and psycopg, the order's rows and nothing else."""

import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import click
import uvicorn
from fastapi import FastAPI, Header, HTTPException
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from bench.floor import sql
from bench.floor.models import Order, OrderLine, PlaceOrder

SHIPPING_NET = {"standard": 490, "express": 1290}

type Pool = AsyncConnectionPool[AsyncConnection[dict[str, Any]]]
type Values = dict[str, Any]


def tax_on(net: int, rate_bp: int) -> int:
    """Rounded half-up."""
    return (net * rate_bp + 5_000) // 10_000


def values_of(wanted: PlaceOrder, customer_id: UUID, key: str) -> Values:
    """Everything that is known before the database is asked."""
    order_id, address = uuid7(), wanted.shipping_address
    return {
        "id": order_id,
        "event_id": uuid7(),
        "customer_id": customer_id,
        "key": key,
        "fingerprint": hashlib.sha256(wanted.model_dump_json().encode()).hexdigest(),
        "answer": json.dumps({"order_id": str(order_id)}),
        "envelope": json.dumps({"id": str(order_id), "data": {"order_id": str(order_id)}}),
        "product_ids": [line.product_id for line in wanted.lines],
        "quantities": [line.quantity for line in wanted.lines],
        "shipping_net": SHIPPING_NET[wanted.shipping_service],
        "service": wanted.shipping_service,
        "payment_method": wanted.payment_method,
        **address.model_dump(),
    }


async def by_statements(pool: Pool, wanted: PlaceOrder, values: Values) -> Values:
    """A statement at a time in one transaction; the facts of the order as written."""
    async with pool.connection() as db, db.transaction():
        customer = await (await db.execute(sql.CUSTOMER, values)).fetchone()
        if customer is None or customer["status"] != "active":
            raise HTTPException(409)
        prices = await (await db.execute(sql.PRICES, values)).fetchall()
        offers = {row["id"]: row for row in prices}
        if len(offers) < len(wanted.lines):
            raise HTTPException(409)
        lines = [
            {
                "line_no": number,
                "product_id": str(line.product_id),
                "sku": offer["sku"],
                "name": offer["name"],
                "quantity": line.quantity,
                "unit_net": offer["net_price"],
                "tax_class": offer["tax_class"],
                "tax_rate_bp": offer["rate_bp"],
                "unit_weight_g": offer["weight_g"],
                "net": (net := offer["net_price"] * line.quantity),
                "tax": (tax := tax_on(net, offer["rate_bp"])),
                "gross": net + tax,
            }
            for number, line in enumerate(wanted.lines, start=1)
            for offer in (offers[line.product_id],)
        ]
        rate = max(line["tax_rate_bp"] for line in lines)
        shipping_tax = tax_on(values["shipping_net"], rate)
        net_total = sum(line["net"] for line in lines)
        tax_total = sum(line["tax"] for line in lines) + shipping_tax
        totals = {
            "net_total": net_total,
            "shipping_rate": rate,
            "shipping_tax": shipping_tax,
            "tax_total": tax_total,
            "gross_total": net_total + values["shipping_net"] + tax_total,
            "weight_g": sum(line["unit_weight_g"] * line["quantity"] for line in lines),
        }
        words = " ".join(f"{line['sku']} {line['name']}" for line in lines)
        row = values | totals | {"words": words, "lines": json.dumps(lines)}
        await db.execute(sql.KEY, values)
        placed = await (await db.execute(sql.ORDER, row)).fetchone()
        assert placed is not None
        await db.execute(sql.LINES, row)
        await db.execute(sql.HISTORY, values)
        await db.execute(sql.EVENT, values)
        await db.execute(sql.ANSWER, values)
    return {**totals, **placed, "lines": lines}


async def as_one(pool: Pool, _: PlaceOrder, values: Values) -> Values:
    """The same rows by one statement, which is its own transaction."""
    async with pool.connection() as db:
        placed = await (await db.execute(sql.AS_ONE, values)).fetchone()
    if placed is None:
        raise HTTPException(409)
    return placed


def floor(url: str, token: str, customer_id: UUID, *, one_statement: bool) -> FastAPI:
    """The service. Its one customer is known by a shared secret."""
    pool: Pool = AsyncConnectionPool(
        url,
        connection_class=AsyncConnection[dict[str, Any]],
        kwargs={"autocommit": True, "row_factory": dict_row},
        min_size=1,
        max_size=16,
        open=False,
    )
    write = as_one if one_statement else by_statements

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders", status_code=201)
    async def place_order(
        wanted: PlaceOrder,
        authorization: Annotated[str, Header()],
        idempotency_key: Annotated[str, Header(min_length=1, max_length=255)],
    ) -> Order:
        if not secrets.compare_digest(authorization, f"Bearer {token}"):
            raise HTTPException(401)
        values = values_of(wanted, customer_id, idempotency_key)
        facts = await write(pool, wanted, values)
        return Order(
            id=values["id"],
            number=facts["number"],
            customer_id=customer_id,
            status="placed",
            currency="EUR",
            lines=[OrderLine.model_validate(line) for line in facts["lines"]],
            shipping_address=wanted.shipping_address,
            shipping_net=values["shipping_net"],
            shipping_tax=facts["shipping_tax"],
            net_total=facts["net_total"],
            tax_total=facts["tax_total"],
            gross_total=facts["gross_total"],
            placed_at=facts["placed_at"],
        )

    return app


@click.command()
@click.option("--url", envvar="FLOOR_PG_URL", required=True)
@click.option("--token", envvar="FLOOR_TOKEN", required=True)
@click.option("--customer", envvar="FLOOR_CUSTOMER", type=click.UUID, required=True)
@click.option("--port", type=int, required=True)
@click.option("--one-statement", is_flag=True)
def main(url: str, token: str, customer: UUID, port: int, *, one_statement: bool) -> None:
    """Serve until terminated."""
    uvicorn.run(
        floor(url, token, customer, one_statement=one_statement),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
