"""The ERP over SOAP: pages of the catalogue, through zeep, off the event loop."""

import asyncio
import threading
from typing import Any

from pydantic import ValidationError

from blueprints.products.models import ErpPage, ErpProduct
from shared import resilience, telemetry
from shared.problem import PartnerUnavailable
from shared.resilience import Breaker

log = telemetry.logger(__name__)

PAGE_SIZE = 200
ATTEMPTS = 3
FIRST_DELAY_S = 0.2


class ErpGateway:
    """The ERP whose WSDL is at `wsdl_url`; every request has `timeout_s` to answer."""

    def __init__(self, wsdl_url: str, *, timeout_s: float, breaker: Breaker) -> None:
        self._wsdl_url, self._timeout_s, self._breaker = wsdl_url, timeout_s, breaker
        self._client: Any = None
        self._lock = threading.Lock()

    async def page(self, number: int) -> ErpPage:
        """Page `number`, from 1, of all products by article number.

        Asks again a few times. Raises PartnerUnavailable when no try got a usable answer, and at
        once while the circuit is open.
        """

        async def ask() -> ErpPage:
            return await asyncio.to_thread(self._page, number)

        with self._breaker.calling():
            return await resilience.retrying(
                ask, attempts=ATTEMPTS, on=(PartnerUnavailable,), first_delay_s=FIRST_DELAY_S
            )

    def _page(self, number: int) -> ErpPage:
        # zeep brings lxml and requests along; only a process that synchronises pays for them.
        from requests import RequestException  # noqa: PLC0415
        from zeep.exceptions import Error, Fault, TransportError  # noqa: PLC0415

        try:
            with self._lock:  # a zeep client and its session are not for two threads at a time
                answer = self._service().ListProducts(PageNumber=number, PageSize=PAGE_SIZE)
        except Fault as fault:
            code = str(fault.code).rpartition(":")[2]  # without its namespace prefix
            raise PartnerUnavailable(f"the ERP answered with a fault: {code}") from fault
        except TransportError as fault:
            raise PartnerUnavailable(f"the ERP answered with status {fault.status_code}") from fault
        except RequestException as fault:
            raise PartnerUnavailable(f"the ERP did not answer: {type(fault).__name__}") from fault
        except Error as fault:
            raise PartnerUnavailable(f"the ERP's answer is not its WSDL's: {fault}") from fault
        return _read(answer)

    def _service(self) -> Any:
        if self._client is None:
            from zeep import Client, Settings  # noqa: PLC0415
            from zeep.transports import Transport  # noqa: PLC0415

            transport = Transport(  # type: ignore[no-untyped-call]
                timeout=self._timeout_s, operation_timeout=self._timeout_s
            )
            self._client = Client(  # type: ignore[no-untyped-call]
                self._wsdl_url,
                transport=transport,
                settings=Settings(strict=True, forbid_dtd=True, forbid_entities=True),
            )
        return self._client.service


def _read(answer: Any) -> ErpPage:
    """The page, with the products that make no sense set aside."""
    products: dict[str, ErpProduct] = {}
    rejected: set[str] = set()
    for item in answer.Product or ():
        try:
            product = ErpProduct(
                sku=item.Sku,
                name=item.Name,
                description=item.Description or "",
                category_code=item.CategoryCode,
                category_name=item.CategoryName,
                net_price=item.NetPriceMinor,
                currency=item.Currency,
                tax_class=item.TaxClass,
                weight_g=item.WeightGrams,
                active=item.Active,
                on_hand=item.OnHand,
            )
        except ValidationError as refusal:
            fields = sorted({str(error["loc"][0]) for error in refusal.errors()})
            log.warning("ERP product rejected sku=%r fields=%s", item.Sku, ",".join(fields))
            rejected.add(str(item.Sku))
        else:
            products[product.sku] = product
    return ErpPage(
        products=list(products.values()),
        rejected=sorted(rejected - products.keys()),
        has_more=bool(answer.HasMore),
    )
