"""Personal data in answers: whole for customers and those who need it, masked for other roles."""

import json
from typing import Annotated
from uuid import UUID

import azure.functions as func
import pytest
from pydantic import BaseModel, Field, JsonValue, TypeAdapter

from shared.auth import (
    ADMIN,
    CUSTOMER_SERVICE,
    EMPLOYEE_SCOPE,
    EMPLOYEES,
    ORDER_MANAGER,
    Caller,
    access,
)
from shared.http import Api, Body, Call, Discloses, Page
from shared.pii import EMAIL, NAME, PHONE, Masks
from shared.pii.marks import mask_email, mask_phone
from tests.rig.accesses import Accesses

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")
SCOPE = "people.read"
CLIENT = Caller("client", ALICE, scopes=frozenset({SCOPE}))

type Mailbox = Annotated[str, EMAIL]


class Contact(Body):
    email: Mailbox | None
    phones: list[Annotated[str, PHONE]] = Field(default_factory=list)


class Shop(BaseModel):
    title: str


class Person(BaseModel):
    id: UUID
    name: Annotated[str, NAME]
    contact: Contact | Shop | None
    others: dict[str, Contact] = {}
    facts: dict[str, JsonValue] = {}


WHOLE = Person(
    id=ALICE,
    name="Alice Adams",
    contact=Contact(email="alice@clients.example", phones=["+4915112345678", "+3225551234"]),
    others={"home": Contact(email="a@b.example")},
    facts={"email": ["unmarked@x.example"]},
)


def employee(*roles: str) -> Caller:
    return Caller("employee", UUID(int=7), frozenset(roles), frozenset({EMPLOYEE_SCOPE}))


@pytest.mark.parametrize("role", [ORDER_MANAGER, ADMIN, "a-role-that-nobody-knows"])
def test_email_and_phone_are_masked_wherever_they_stand(role: str) -> None:
    shown = Masks(Page[Person]).shown_to(employee(role), Page(items=[WHOLE], next_cursor="c"))

    assert shown.model_dump(mode="json") == {
        "items": [
            {
                "id": str(ALICE),
                "name": "Alice Adams",
                "contact": {"email": "a***@c***.example", "phones": ["***78", "***34"]},
                "others": {"home": {"email": "a***@b***.example", "phones": []}},
                "facts": {"email": ["unmarked@x.example"]},
            }
        ],
        "next_cursor": "c",
    }
    assert WHOLE.contact == Contact(
        email="alice@clients.example", phones=["+4915112345678", "+3225551234"]
    )


@pytest.mark.parametrize(
    "caller",
    [CLIENT, employee(CUSTOMER_SERVICE), employee(ADMIN, CUSTOMER_SERVICE)],
    ids=["client", "customer-service", "admin who is customer-service too"],
)
def test_who_needs_contact_data_gets_the_very_answer(caller: Caller) -> None:
    assert Masks(Person).shown_to(caller, WHOLE) is WHOLE


def test_what_is_not_there_stays_so() -> None:
    masks = Masks(Person)
    empty = WHOLE.model_copy(update={"contact": Contact(email=None), "others": {}})

    assert masks.shown_to(employee(ADMIN), empty) == empty
    shop = WHOLE.model_copy(update={"contact": Shop(title="of a@b.example"), "others": {}})
    assert masks.shown_to(employee(ADMIN), shop) == shop
    assert Masks(None).shown_to(employee(ADMIN), None) is None


def test_a_model_that_holds_itself_is_refused_instead_of_shown() -> None:
    class Tree(BaseModel):
        email: Annotated[str, EMAIL]
        below: "list[Tree]" = []

    Tree.model_rebuild(_types_namespace={"Tree": Tree})

    with pytest.raises(TypeError, match="Tree holds itself"):
        Masks(Tree).shown_to(employee(ADMIN), Tree(email="a@b.example"))


@pytest.mark.parametrize(
    ("email", "masked"),
    [
        ("alice@clients.example", "a***@c***.example"),
        ("a@b.co.uk", "a***@b***.uk"),
        ('"odd@one"@host.example', '"***@h***.example'),
        ("nobody", "***"),
        ("@host.example", "***"),
        ("alice@localhost", "***"),
        ("", "***"),
    ],
)
def test_an_email_keeps_no_more_than_two_letters_and_the_last_label(
    email: str, masked: str
) -> None:
    assert mask_email(email) == masked


@pytest.mark.parametrize(
    ("phone", "masked"), [("+4915112345678", "***78"), ("+12345", "***"), ("", "***")]
)
def test_a_phone_number_keeps_two_digits(phone: str, masked: str) -> None:
    assert mask_phone(phone) == masked


def test_openapi_says_what_is_personal_and_who_sees_it_masked() -> None:
    shown = TypeAdapter(Contact).json_schema(mode="serialization")["properties"]["phones"]["items"]
    sent = TypeAdapter(Contact).json_schema(mode="validation")["properties"]["phones"]["items"]

    assert shown == {
        "type": "string",
        "description": "Employees other than customer-service get it masked: `***42`.",
        "x-personal-data": "phone",
        "x-shown-to": ["customer-service"],
    }
    assert sent == {
        "type": "string",
        "x-personal-data": "phone",
        "x-shown-to": ["customer-service"],
    }


class Door:
    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    async def authenticate(self, authorization: str | None) -> Caller:
        del authorization
        return self.caller


@pytest.mark.parametrize(
    ("caller", "email", "fields"),
    [
        (employee(ADMIN), "a***@c***.example", ("email:masked", "name")),
        (employee(CUSTOMER_SERVICE), "alice@clients.example", ("email", "name")),
        (CLIENT, "alice@clients.example", None),
    ],
    ids=["admin", "customer-service", "client"],
)
async def test_the_answer_is_masked_and_the_record_says_so(
    caller: Caller, email: str, fields: tuple[str, ...] | None
) -> None:
    accesses = Accesses()
    api = Api(Door(caller), access_log=accesses)
    shows = Discloses(fields=("email", "name"), people=lambda person: (person.id,))

    @api.operation(
        access=access(clients=SCOPE, employees=EMPLOYEES), returns=Person, discloses=shows
    )
    async def get_person(call: Call[None, None]) -> Person:
        """Get a person."""
        del call
        return WHOLE

    response = await get_person(func.HttpRequest("GET", "https://platform.test/", body=b""))

    assert json.loads(response.get_body())["contact"]["email"] == email
    assert [seen.fields for seen in accesses.seen] == ([] if fields is None else [fields])
