"""An employee is shown nobody's personal data before that is on record."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

import azure.functions as func
import pytest
from pydantic import BaseModel

from shared.auth import CUSTOMER_SERVICE, EMPLOYEE_SCOPE, EMPLOYEES, Caller, access
from shared.http import Api, Call, Discloses, Disclosure, Reply
from shared.problem import AccessNotRecorded
from tests.rig.accesses import Accesses

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")
BRUNO = UUID("0195a0a0-0000-7000-8000-0000000b2010")
ORDER = UUID("0195a0a0-0000-7000-8000-0000000000a1")
SCOPE = "people.read"
CARLA = Caller("employee", UUID(int=7), frozenset({CUSTOMER_SERVICE}), frozenset({EMPLOYEE_SCOPE}))
CLIENT = Caller("client", ALICE, scopes=frozenset({SCOPE}))
NAMES = Discloses(fields=("name",), people=lambda shown: shown.people)


class Shown(BaseModel):
    people: list[UUID]


class Door:
    """Lets in whoever stands before it."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    async def authenticate(self, authorization: str | None) -> Caller:
        del authorization
        return self.caller


async def read(
    accesses: Accesses | None,
    *people: UUID,
    caller: Caller = CARLA,
    etag: str | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, Any]:
    """Status and body of the answer to a read of these people."""
    api = Api(Door(caller), access_log=accesses)
    everyone = access(clients=SCOPE, employees=EMPLOYEES)

    @api.operation(access=everyone, returns=Shown, discloses=NAMES)
    async def get_people(call: Call[None, None]) -> Reply[Shown]:
        """Get people."""
        del call
        return Reply(Shown(people=list(people)), etag=etag)

    response = await get_people(
        func.HttpRequest(
            "GET",
            "https://platform.test/",
            headers={"x-correlation-id": "c-1"} | dict(headers),
            route_params={"order_id": str(ORDER)},
            body=b"",
        )
    )
    return response.status_code, json.loads(response.get_body() or "null")


async def test_who_whom_what_and_why_is_recorded_before_the_answer_leaves() -> None:
    accesses = Accesses()

    status, body = await read(
        accesses, ALICE, BRUNO, ALICE, headers={"x-access-reason": " a call "}
    )

    assert (status, len(body["people"])) == (200, 3)
    assert accesses.seen == [
        Disclosure(
            reader_id=CARLA.id,
            people=(ALICE, BRUNO),
            operation="get_people",
            fields=("name",),
            reason="a call",
            order_id=ORDER,
            correlation_id="c-1",
        )
    ]


@pytest.mark.parametrize("away", ["broken", "not there"])
async def test_what_cannot_be_recorded_is_not_shown(away: str) -> None:
    accesses = Accesses()
    accesses.broken = True

    status, body = await read(accesses if away == "broken" else None, ALICE)

    assert (status, body["code"]) == (503, "access-not-recorded")
    assert str(ALICE) not in json.dumps(body)


async def test_a_client_who_reads_himself_leaves_no_record() -> None:
    accesses = Accesses()

    assert (await read(accesses, ALICE, caller=CLIENT))[0] == 200
    assert accesses.seen == []


async def test_an_answer_about_nobody_leaves_no_record() -> None:
    accesses = Accesses()

    assert (await read(accesses))[0] == 200
    assert accesses.seen == []


async def test_what_the_reader_has_already_is_not_shown_again() -> None:
    accesses = Accesses()

    answer = await read(accesses, ALICE, etag='"7"', headers={"if-none-match": '"7"'})

    assert answer == (304, None)
    assert accesses.seen == []


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "two\nlines", "\x07"])
async def test_a_reason_has_1_to_200_printable_characters(reason: str) -> None:
    accesses = Accesses()

    status, body = await read(accesses, ALICE, headers={"x-access-reason": reason})

    assert (status, body["errors"]) == (
        400,
        [{"field": "X-Access-Reason", "message": "must be 1 to 200 printable characters"}],
    )
    assert accesses.seen == []


def test_the_operation_says_that_it_may_refuse_for_want_of_a_record() -> None:
    api = Api(Door(CARLA))

    @api.operation(access=access(employees=EMPLOYEES), returns=Shown, discloses=NAMES)
    async def get_people(call: Call[None, None]) -> Shown:
        """Get people."""
        raise NotImplementedError

    assert api.registry["get_people"].raises == (AccessNotRecorded,)
