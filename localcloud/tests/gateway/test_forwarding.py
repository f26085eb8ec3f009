"""What the gateway passes on, and what it keeps to itself."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest

from localcloud.tests.gateway.rig import WITHIN_S, Rig

AT = "/external-api/v1/at"


async def test_a_request_arrives_as_it_was_sent(rig: Rig) -> None:
    answer = await rig.http.put(
        f"{AT}/x%20y;z=1/%C3%A4?q=a%2Fb&q=&r=%zz+1",
        content=b"\x00\xffraw",
        headers={"X-Mine": "yes", "Content-Type": "application/octet-stream"},
    )
    seen = answer.json()
    assert answer.status_code == 200
    assert seen["method"] == "PUT"
    assert seen["target"] == "/api/v1/at/x%20y;z=1/%C3%A4?q=a%2Fb&q=&r=%zz+1"
    assert (seen["length"], seen["digest"]) == (5, hashlib.sha256(b"\x00\xffraw").hexdigest())
    headers = dict(seen["headers"])
    assert headers["x-mine"] == "yes"
    assert headers["content-type"] == "application/octet-stream"
    assert headers["host"] == f"127.0.0.1:{rig.backend.port}"
    assert headers["content-length"] == "5"


async def test_one_spelling_of_a_path_reaches_the_backend(rig: Rig) -> None:
    answer = await rig.http.get("/external%2Dapi/v1/%61t/%78")
    assert answer.json()["target"] == "/api/v1/at/x"


async def test_fields_of_one_hop_end_at_the_gateway(rig: Rig) -> None:
    sent = {
        "Connection": "X-Private, X-Correlation-Id, Host, Content-Length, keep-alive",
        "X-Private": "1",
        "X-Correlation-Id": "theirs",
        "TE": "trailers",
        "Keep-Alive": "timeout=9",
        "Proxy-Authorization": "Basic x",
        "Upgrade": "h2c",
        "X-Forwarded-For": "10.9.8.7",
    }
    headers = dict((await rig.http.get(f"{AT}/x", headers=sent)).json()["headers"])
    gone = {"x-private", "te", "keep-alive", "proxy-authorization", "upgrade", "connection"}
    assert gone & headers.keys() == set()
    # What is named is gone before policies look: it cannot take away what one of them sets.
    assert headers["x-correlation-id"] != "theirs"
    assert len(headers["x-correlation-id"]) == 36
    assert headers["host"] == f"127.0.0.1:{rig.backend.port}"
    assert headers["x-forwarded-for"] == "127.0.0.1"


async def test_fields_of_one_hop_do_not_come_back(rig: Rig) -> None:
    answer = await rig.http.get(f"{AT}/headers")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert {"x-hop", "keep-alive", "connection"} & answer.headers.keys() == set()
    assert dict(answer.headers.raw)[b"x-text"] == "naïve".encode()
    assert len(answer.headers.get_list("date")) == 1


async def test_text_beyond_ascii_keeps_its_bytes(rig: Rig) -> None:
    answer = await rig.http.get(f"{AT}/x", headers={b"X-Text": "naïve".encode()})
    assert dict(answer.json()["headers"])["x-text"].encode("latin-1") == "naïve".encode()


async def test_a_trace_and_a_correlation_id_go_with_the_request(rig: Rig) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = {"traceparent": f"00-{trace}-b7ad6b7169203331-01", "X-Correlation-Id": "abc"}
    headers = dict((await rig.http.get(f"{AT}/x", headers=sent)).json()["headers"])
    assert headers["traceparent"].split("-")[1] == trace
    assert headers["traceparent"].split("-")[2] != "b7ad6b7169203331"
    assert headers["x-correlation-id"] == "abc"


async def test_an_answer_without_a_body_has_no_length(rig: Rig) -> None:
    answer = await rig.http.get(f"{AT}/nothing")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers


async def test_a_redirect_is_the_callers_business(rig: Rig) -> None:
    answer = await rig.http.get(f"{AT}/redirect")
    assert (answer.status_code, answer.headers["location"]) == (302, "http://elsewhere.example/")


async def test_head_has_the_length_and_not_the_body(rig: Rig) -> None:
    answer = await rig.http.head(f"{AT}/x")
    assert answer.status_code == 200
    assert answer.content == b""
    assert int(answer.headers["content-length"]) > 100


async def test_a_large_answer_is_relayed_whole(rig: Rig) -> None:
    answer = await rig.http.get(f"{AT}/large")
    assert answer.headers["content-length"] == str(8 * 2**20)
    assert answer.content == b"y" * 8 * 2**20


async def test_a_large_body_is_relayed_whole(rig: Rig) -> None:
    body = bytes(range(256)) * 40_000
    answer = await rig.http.post(f"{AT}/x", content=body)
    assert answer.json()["digest"] == hashlib.sha256(body).hexdigest()
    assert dict(answer.json()["headers"])["content-length"] == str(len(body))


async def test_a_body_without_a_length_is_relayed_in_parts(rig: Rig) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"p" * 1000

    answer = await rig.http.post(f"{AT}/x", content=parts())
    assert answer.json()["length"] == 10_000
    assert dict(answer.json()["headers"])["transfer-encoding"] == "chunked"


async def test_an_event_arrives_before_the_next_one_is_sent(rig: Rig) -> None:
    rig.backend.release.clear()
    async with rig.http.stream("GET", f"{AT}/events") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: 0"
        assert answer.headers["content-type"] == "text/event-stream"
        await lines.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(WITHIN_S):
        assert await rig.backend.cancelled.get() == "/api/v1/at/events"


async def test_a_client_that_leaves_takes_its_request_with_it(rig: Rig) -> None:
    rig.backend.release.clear()
    waiting = asyncio.create_task(rig.http.get(f"{AT}/silent"))
    async with asyncio.timeout(WITHIN_S):
        while await rig.backend.started.get() != "/api/v1/at/silent":
            pass
        waiting.cancel()
        assert await rig.backend.cancelled.get() == "/api/v1/at/silent"
    assert "external-v1 look_at 499" in rig.gateway.logged("look_at 499")


async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(rig: Rig) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await rig.http.get(f"{AT}/broken")


async def test_a_backend_that_does_not_answer_in_time_is_a_timeout(rig: Rig) -> None:
    rig.backend.release.clear()
    answer = await rig.http.get("/external-api/v1/impatient")
    assert answer.headers["x-reason"] == "forward-request/Timeout"
    assert answer.status_code == 500


async def test_a_backend_that_is_not_there_is_a_failure(rig: Rig) -> None:
    answer = await rig.http.post("/external-api/v1/dead", content=b"x")
    assert answer.headers["x-reason"] == "forward-request/BackendConnectionFailure"
    assert answer.status_code == 500


async def test_a_reader_that_is_slow_slows_the_sender_down(rig: Rig) -> None:
    rig.backend.release.clear()
    size, sent = 256 * 2**20, 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < size:
            yield b"s" * 65_536
            sent += 65_536

    posting = asyncio.create_task(rig.http.post(f"{AT}/slow-reader", content=parts()))
    async with asyncio.timeout(WITHIN_S):
        while await rig.backend.started.get() != "/api/v1/at/slow-reader":
            pass
        before = -1
        while before != sent:  # until nobody takes any more
            before = sent
            await asyncio.sleep(0.3)
    assert sent < 32 * 2**20
    posting.cancel()
