"""The ERP as a SOAP client sees it, with zeep for manners and raw XML for bad ones."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import zeep
import zeep.exceptions
from lxml import etree
from zeep.transports import Transport

from localcloud.partners.erp import soap
from localcloud.partners.erp.assortment import assortment
from localcloud.tests.partners.part import Part, running

make_client: Any = zeep.Client  # its constructors have no types
make_transport: Any = Transport

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
XML = {"Content-Type": "text/xml; charset=utf-8"}


@pytest.fixture
def service(erp_part: Part, erp: httpx.AsyncClient) -> Iterator[Any]:
    """The catalogue service as zeep makes it from the WSDL; `erp` resets the faults."""
    assert erp.base_url == erp_part.url
    with requests.Session() as session:
        transport = make_transport(session=session, timeout=10, operation_timeout=10)
        careful = zeep.Settings(strict=True, forbid_dtd=True, forbid_external=True)
        client = make_client(f"{erp_part.url}/erp?wsdl", transport=transport, settings=careful)
        yield client.service


def envelope(content: str, *, prolog: str = "", header: str = "", namespace: str = SOAP) -> str:
    return (
        f'{prolog}<s:Envelope xmlns:s="{namespace}" xmlns="{soap.NAMESPACE}">'
        f"<s:Header>{header}</s:Header><s:Body>{content}</s:Body></s:Envelope>"
    )


LIST = "<ListProducts><PageNumber>1</PageNumber><PageSize>1</PageSize></ListProducts>"


def fault_of(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, fault code and fault string."""
    fault = etree.fromstring(answer.content).find(f".//{{{SOAP}}}Fault")
    assert fault is not None
    return (
        answer.status_code,
        fault.findtext("faultcode") or "",
        fault.findtext("faultstring") or "",
    )


async def test_the_wsdl_names_the_address_that_was_asked(erp: httpx.AsyncClient) -> None:
    headers = {"Host": 'erp.example:81"<'}

    answer = await erp.get("/erp?wsdl", headers=headers)

    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    description = etree.fromstring(answer.content)
    address = description.find(".//{http://schemas.xmlsoap.org/wsdl/soap/}address")
    assert address is not None
    assert address.get("location") == 'http://erp.example:81"</erp'


def test_zeep_pages_all_thousand_products(service: Any) -> None:
    listed, page, more = [], 0, True
    while more:
        page += 1
        answer = service.ListProducts(PageNumber=page, PageSize=300)
        listed += answer.Product
        more = answer.HasMore

    assert page == 4
    expected = assortment()
    assert [product.Sku for product in listed] == [product.sku for product in expected]
    first, wanted = listed[0], expected[0]
    assert first.Name == wanted.name
    assert first.Description == wanted.description
    assert (first.CategoryCode, first.CategoryName) == (
        wanted.category_code,
        wanted.category_name,
    )
    assert (first.NetPriceMinor, first.Currency) == (wanted.net_price_minor, "EUR")
    assert (first.TaxClass, first.WeightGrams) == (wanted.tax_class, wanted.weight_grams)
    assert (first.Active, first.OnHand) == (wanted.active, wanted.on_hand)
    assert first.ChangedAt == datetime.fromisoformat(wanted.changed_at)
    assert sum(not product.Active for product in listed) == 30


def test_a_page_past_the_end_is_empty(service: Any) -> None:
    answer = service.ListProducts(PageNumber=2_000_000, PageSize=500)

    assert (answer.Product, answer.HasMore) == ([], False)


def test_the_last_full_page_says_that_nothing_follows(service: Any) -> None:
    answer = service.ListProducts(PageNumber=4, PageSize=250)

    assert (len(answer.Product), answer.HasMore) == (250, False)


def test_zeep_reads_stock_and_unknown_skus_are_absent(service: Any) -> None:
    levels = service.GetStock(Sku=["TEA-DRAGONWELL-100", "NO-SUCH-THING", "TEA-ASSAM-250"])

    assert [(level.Sku, level.OnHand) for level in levels] == [
        ("TEA-ASSAM-250", 500),
        ("TEA-DRAGONWELL-100", 0),
    ]


async def test_a_changed_product_is_listed_from_its_moment_on(
    service: Any, erp: httpx.AsyncClient
) -> None:
    change = {"name": "Assam, renamed", "net_price_minor": 1399, "active": False}
    sku = "TEA-ASSAM-100"

    answer = await erp.put(f"/control/products/{sku}", json=change)

    assert answer.status_code == 200
    moment = datetime.fromisoformat(answer.json()["changed_at"])
    listed = service.ListProducts(PageNumber=1, PageSize=500, ChangedSince=moment)
    (product,) = listed.Product
    assert (product.Sku, product.Name, product.NetPriceMinor) == (sku, "Assam, renamed", 1399)
    assert (product.Active, product.ChangedAt) == (False, moment)
    assert product.Description.startswith("Malty and brisk")
    later = moment + timedelta(microseconds=1)
    assert service.ListProducts(PageNumber=1, PageSize=500, ChangedSince=later).Product == []


async def test_stock_set_by_a_test_is_what_the_erp_says(
    service: Any, erp: httpx.AsyncClient
) -> None:
    before = datetime.now(UTC)

    answer = await erp.put("/control/stock/POT-IRON-12", json={"on_hand": 20})

    assert (answer.status_code, answer.json()["on_hand"]) == (200, 20)
    (level,) = service.GetStock(Sku=["POT-IRON-12"])
    assert level.OnHand == 20
    changed = service.ListProducts(PageNumber=1, PageSize=500, ChangedSince=before).Product
    assert "POT-IRON-12" in [product.Sku for product in changed]


async def test_a_test_can_add_a_product_that_is_complete(
    service: Any, erp: httpx.AsyncClient
) -> None:
    before = datetime.now(UTC)
    product = {
        "name": "Zinc Bucket, 10 l",
        "description": "It carries what you put in.",
        "category_code": "garden",
        "category_name": "Garden & Balcony",
        "net_price_minor": 1990,
        "tax_class": "standard",
        "weight_grams": 900,
    }

    incomplete = await erp.put("/control/products/ZINC-BUCKET", json={"name": "Bucket"})
    added = await erp.put("/control/products/ZINC-BUCKET", json=product)

    assert incomplete.status_code == 400
    assert added.status_code == 201
    listed = service.ListProducts(PageNumber=1, PageSize=500, ChangedSince=before).Product
    assert [(p.Name, p.Active, p.OnHand) for p in listed if p.Sku == "ZINC-BUCKET"] == [
        ("Zinc Bucket, 10 l", True, 0)
    ]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("stock/TEA-ASSAM-250", {"on_hand": -1}, 400),
        ("stock/TEA-ASSAM-250", {"on_hand": "9"}, 400),
        ("stock/NO-SUCH-THING", {"on_hand": 1}, 404),
        ("products/no", {"name": "x"}, 400),
        ("products/TEA-ASSAM-250", {"name": "bell \x07"}, 400),
        ("products/TEA-ASSAM-250", {"tax_class": "none"}, 400),
        ("products/TEA-ASSAM-250", {"colour": "brown"}, 400),
    ],
)
async def test_a_wrong_change_is_refused(
    erp: httpx.AsyncClient, path: str, body: dict[str, Any], status: int
) -> None:
    assert (await erp.put(f"/control/{path}", json=body)).status_code == status


@pytest.mark.parametrize(
    ("document", "code", "message"),
    [
        ("<half", "Client", "not well-formed XML"),
        ("<a/>", "Client", "not a SOAP envelope"),
        (envelope(""), "Client", "exactly one element"),
        (envelope(LIST + LIST), "Client", "exactly one element"),
        (envelope("<DeleteProducts/>"), "Client", "DeleteProducts"),
        (envelope("<GetStock/>"), "Client", "Missing child element"),
        (envelope(LIST.replace("Size>1<", "Size>501<")), "Client", "501"),
        (envelope(LIST.replace("Number>1<", "Number>0<")), "Client", "'0'"),
        (envelope(LIST.replace("Number>1<", "Number>one<")), "Client", "'one'"),
        (envelope("<GetStock><Sku>lower case</Sku></GetStock>"), "Client", "lower case"),
        (
            envelope(
                LIST.replace(
                    "</ListProducts>",
                    "<ChangedSince>0001-01-01T00:00:00+09:00</ChangedSince></ListProducts>",
                )
            ),
            "Client",
            "out of our calendar",
        ),
        (
            envelope(LIST, namespace="http://www.w3.org/2003/05/soap-envelope"),
            "VersionMismatch",
            "SOAP 1.1",
        ),
        (
            envelope(LIST, header='<Signature s:mustUnderstand="1"/>'),
            "MustUnderstand",
            "Signature",
        ),
        (envelope(LIST, prolog='<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">'), "Client", "type"),
        (
            envelope(
                "<GetStock><Sku>&leak;</Sku></GetStock>",
                prolog='<!DOCTYPE a [<!ENTITY leak SYSTEM "file:///etc/hostname">]>',
            ),
            "Client",
            "document type",
        ),
    ],
)
async def test_a_bad_envelope_is_answered_with_a_fault(
    erp: httpx.AsyncClient, document: str, code: str, message: str
) -> None:
    answer = await erp.post("/erp", content=document, headers=XML)

    status, fault_code, text = fault_of(answer)
    assert (status, fault_code) == (500, f"soap:{code}")
    assert message in text
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"


async def test_answers_are_valid_by_the_published_schema(erp: httpx.AsyncClient) -> None:
    schema = etree.XMLSchema(etree.fromstring((await erp.get("/erp?xsd")).content))
    many = LIST.replace("Size>1<", "Size>500<")

    for content in (LIST, many, "<GetStock><Sku>TEA-ASSAM-250</Sku></GetStock>"):
        answer = await erp.post("/erp", content=envelope(content), headers=XML)
        assert answer.status_code == 200
        (part,) = etree.fromstring(answer.content).iterfind(f"{{{SOAP}}}Body/*")
        schema.assertValid(part)


async def test_what_is_no_soap_at_all_gets_a_plain_answer(erp: httpx.AsyncClient) -> None:
    as_json = await erp.post("/erp", json={})
    huge = await erp.post("/erp", content=b" " * 300_000, headers=XML)
    nothing = await erp.get("/erp")

    assert [answer.status_code for answer in (as_json, huge, nothing)] == [415, 413, 404]


async def test_an_ordered_500_is_a_server_fault_and_an_ordered_503_is_no_soap(
    service: Any, erp: httpx.AsyncClient
) -> None:
    for status in (500, 503):
        order = {"operation": "get_stock", "kind": "status", "status": status}
        assert (await erp.post("/control/faults", json=order)).status_code == 201

    with pytest.raises(zeep.exceptions.Fault) as fault:
        service.GetStock(Sku=["TEA-ASSAM-250"])
    with pytest.raises(zeep.exceptions.TransportError) as down:
        service.GetStock(Sku=["TEA-ASSAM-250"])

    assert fault.value.code == "soap:Server"
    assert down.value.status_code == 503
    assert service.GetStock(Sku=["TEA-ASSAM-250"])[0].OnHand == 500


async def test_the_ledger_tells_which_calls_came(service: Any, erp: httpx.AsyncClient) -> None:
    entries = (await erp.get("/control/ledger")).json()["entries"]
    since = entries[-1]["seq"] if entries else 0

    service.ListProducts(PageNumber=3, PageSize=10)
    service.GetStock(Sku=["TEA-ASSAM-250"])

    newer = (await erp.get("/control/ledger", params={"after": since})).json()["entries"]
    assert [entry["operation"] for entry in newer] == ["list_products", "get_stock"]
    assert (newer[0]["page_number"], newer[0]["page_size"], newer[0]["returned"]) == (3, 10, 10)
    assert newer[1]["skus"] == ["TEA-ASSAM-250"]


def test_a_killed_erp_remembers_changes_and_makes_no_second_assortment(tmp_path: Path) -> None:
    with running("localcloud.partners.erp", tmp_path) as part:
        httpx.put(f"{part.url}/control/stock/TEA-ASSAM-250", json={"on_hand": 7})
        part.kill()
    with running("localcloud.partners.erp", tmp_path) as part:
        document = envelope("<GetStock><Sku>TEA-ASSAM-250</Sku></GetStock>")
        answer = httpx.post(f"{part.url}/erp", content=document, headers=XML)
        assert httpx.get(f"{part.url}/health").json() == {"status": "ok"}
        assert part.stop() == 0

    assert b"<erp:OnHand>7</erp:OnHand>" in answer.content
