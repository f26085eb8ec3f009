"""Signing out ends the session, and only when its person wants it."""

import httpx
import pytest

from localcloud.tests.identity.application import CLIENTS, Application, brought

LOGOUT = f"/{CLIENTS}/oauth2/v2.0/logout"
HOME = "http://localhost:3000/signed-out"


@pytest.fixture
def portal(http: httpx.AsyncClient) -> Application:
    return Application(http)


async def test_an_application_signs_its_person_out_and_brings_them_back(
    portal: Application, http: httpx.AsyncClient
) -> None:
    tokens = await portal.signed_in("alice")
    asked = {
        "id_token_hint": tokens["id_token"],
        "post_logout_redirect_uri": HOME,
        "state": "bye & so long",
    }

    answer = await http.get(LOGOUT, params=asked)
    silent = await portal.visit(prompt="none")
    refreshed = await portal.refresh(tokens["refresh_token"])

    assert answer.status_code == 302
    assert answer.headers["location"] == f"{HOME}?state=bye+%26+so+long"
    assert 'localcloud-clients=""' in answer.headers["set-cookie"]
    assert brought(silent)["error"] == "login_required"
    assert (refreshed.status_code, refreshed.json()["error"]) == (400, "invalid_grant")


async def test_a_code_is_void_once_its_person_signed_out(
    portal: Application, http: httpx.AsyncClient
) -> None:
    tokens = await portal.signed_in("alice")
    code = brought(await portal.visit())["code"]
    await http.get(LOGOUT, params={"id_token_hint": tokens["id_token"]})

    redeemed = await portal.redeem(code)

    assert (redeemed.status_code, redeemed.json()["error"]) == (400, "invalid_grant")


async def test_a_link_alone_asks_the_person_first(
    portal: Application, http: httpx.AsyncClient
) -> None:
    await portal.signed_in("alice")

    asked = await http.get(LOGOUT)
    still = await portal.visit(prompt="none")
    foreign = await http.post(LOGOUT, headers={"Origin": "http://evil.example"})
    still_there = await portal.visit(prompt="none")
    done = await http.post(LOGOUT, params={"post_logout_redirect_uri": HOME})
    gone = await portal.visit(prompt="none")

    assert asked.status_code == 200
    assert "Alice Moreau" in asked.text
    assert "code" in brought(still)
    assert foreign.status_code == 403
    assert "code" in brought(still_there)
    assert (done.status_code, done.headers["location"]) == (303, HOME)
    assert brought(gone)["error"] == "login_required"


async def test_somebody_elses_token_or_an_access_token_is_no_word_of_the_person(
    portal: Application, http: httpx.AsyncClient
) -> None:
    bruno = await portal.signed_in("bruno")
    alice = await portal.signed_in("alice")

    answers = [
        await http.get(LOGOUT, params={"id_token_hint": token})
        for token in (bruno["id_token"], alice["access_token"], alice["id_token"][:-4] + "AAAA")
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert all("Sign out?" in answer.text for answer in answers)
    assert "code" in brought(await portal.visit(prompt="none"))


async def test_nobody_is_signed_out_to_an_address_that_is_not_registered(
    portal: Application, http: httpx.AsyncClient
) -> None:
    tokens = await portal.signed_in("alice")
    asked = {
        "id_token_hint": tokens["id_token"],
        "post_logout_redirect_uri": "http://evil.example/",
    }

    answers = [await http.get(LOGOUT, params=asked), await http.post(LOGOUT, params=asked)]

    for answer in answers:
        assert answer.status_code == 400
        assert "location" not in answer.headers
    assert "code" in brought(await portal.visit(prompt="none"))


async def test_who_is_not_signed_in_is_told_so(http: httpx.AsyncClient) -> None:
    answer = await http.get(LOGOUT)

    assert answer.status_code == 200
    assert "You are signed out" in answer.text
