"""What goes in and out of HTTP functions, over the wire."""

import http.client
import json
from pathlib import Path

import httpx
import pytest

from localcloud.tests.functions.running_host import RunningHost, eventually


@pytest.mark.conforms(
    "HTTP requests",
    "headers in lower case, repeated ones and repeated query keys joined by commas",
    source="host:src/WebJobs.Script.Grpc/MessageExtensions/GrpcMessageConversionExtensions.cs",
)
def test_the_request_arrives_whole(web: RunningHost) -> None:
    answer = web.http.post(
        "/api/echo/a%20b?x=1&x=2&Empty=&y=%C3%BC",
        content=bytes(range(256)),
        headers=[("X-Twice", "one"), ("X-Twice", "two"), ("X-Empty", "")],
    )

    assert answer.status_code == 201
    seen = answer.json()
    assert seen["method"] == "POST"
    assert seen["url"] == f"http://127.0.0.1:{web.port}/api/echo/a%20b?x=1&x=2&Empty=&y=%C3%BC"
    assert seen["query"] == {"x": "1,2", "y": "ü"}
    assert seen["route"] == {"rest": "a b"}
    assert seen["body"] == bytes(range(256)).hex()
    assert seen["headers"]["x-twice"] == "one,two"
    assert seen["headers"]["x-empty"] == ""
    assert seen["function"] == "echo"
    assert seen["retry"] == 0


@pytest.mark.conforms(
    "HTTP requests",
    "query keys that differ in case only are one key",
    source="host:src/WebJobs.Script.Grpc/MessageExtensions/GrpcMessageConversionExtensions.cs",
)
def test_repeated_query_keys_join_whatever_their_case(web: RunningHost) -> None:
    assert web.http.get("/api/echo?Name=a&name=b").json()["query"] == {"Name": "a,b"}


@pytest.mark.conforms(
    "HTTP requests",
    "a chunked body arrives whole, as bytes",
    source="worker:",
)
def test_a_body_in_pieces_arrives_whole(web: RunningHost) -> None:
    answer = web.http.post("/api/sync", content=iter([b"ab", b"cd", b"ef"]))

    assert answer.content == b"fedcba"


def test_a_megabyte_goes_in_and_out(web: RunningHost) -> None:
    body = bytes(range(256)) * 4096

    assert web.http.post("/api/sync", content=body).content == body[::-1]


def test_status_headers_and_type_come_back(web: RunningHost) -> None:
    answer = web.http.get("/api/echo")

    assert answer.headers["x-one"] == "1"
    assert answer.headers["etag"] == '"7"'
    assert answer.headers["content-type"] == "application/json"
    assert "server" not in answer.headers


def test_a_sync_function_runs_in_a_thread(web: RunningHost) -> None:
    answer = web.http.post("/api/sync", content=b"abc")

    assert answer.headers["x-main"] == "False"
    assert answer.headers["content-type"] == "application/octet-stream"


@pytest.mark.conforms(
    "HTTP responses",
    "a returned text is text/plain; charset=utf-8",
    source="host:src/WebJobs.Script/Binding/Http/HttpBinding.cs",
)
def test_a_string_becomes_plain_text(web: RunningHost) -> None:
    answer = web.http.get("/api/text")

    assert (answer.status_code, answer.text) == (200, "grüße")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_204_has_neither_body_nor_length(web: RunningHost) -> None:
    answer = web.http.delete("/api/empty")

    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers


def test_head_has_the_length_and_no_body(web: RunningHost) -> None:
    answer = web.http.head("/api/text")

    assert (answer.headers["content-length"], answer.content) == ("7", b"")


@pytest.mark.conforms(
    "HTTP responses",
    "cookies are written anew, percent-encoded, attributes in ASP.NET's order",
    source="host:src/WebJobs.Script/Binding/Http/RawScriptResult.cs",
)
def test_cookies_are_written_as_aspnet_writes_them(web: RunningHost) -> None:
    assert web.http.get("/api/cookies").headers.get_list("set-cookie") == [
        "a=1; max-age=10; path=/; secure; samesite=lax; httponly",
        "b=two%2520words",
        "c=3; expires=Wed, 21 Oct 2026 07:28:00 GMT; domain=shop.example",
    ]


@pytest.mark.conforms(
    "HTTP responses",
    "an exception is a 500 without a body",
    source="host:src/WebJobs.Script.WebHost/Middleware/FunctionInvocationMiddleware.cs",
)
def test_a_failure_is_an_empty_500_and_its_cause_is_logged(web: RunningHost) -> None:
    answer = web.http.get("/api/fail/cause?secret=s3cret")

    assert (answer.status_code, answer.content) == (500, b"")
    eventually(lambda: "ValueError: second" in web.log)
    assert "KeyError: 'first'" in web.log
    assert "s3cret" not in web.log


def test_even_system_exit_does_not_end_the_host(web: RunningHost) -> None:
    for how in ("exit", "cancelled"):
        answer = web.http.get(f"/api/fail/{how}")
        assert (answer.status_code, answer.content) == (500, b"")

    assert web.http.get("/api/text").status_code == 200


def test_a_function_that_answers_nothing_is_a_500(web: RunningHost) -> None:
    assert web.http.get("/api/nothing").status_code == 500


@pytest.mark.conforms(
    "HTTP requests",
    "a caller that hangs up does not stop the function",
    source="learn:azure/azure-functions/functions-best-practices",
)
def test_a_client_that_leaves_does_not_stop_the_function(web: RunningHost, tmp_path: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.port)
    connection.request("GET", f"/api/sleep/0.3?evidence={tmp_path}")
    eventually((tmp_path / "begun").exists)
    connection.close()

    eventually((tmp_path / "done").exists)


def test_log_lines_name_the_invocation(web: RunningHost) -> None:
    web.http.get("/api/log")

    eventually(lambda: "printed" in web.log)
    line = next(line for line in web.log.splitlines() if line.endswith("from the app"))
    _, level, part, function, invocation_id, *_ = line.split()
    assert (level, part, function) == ("WARNING", "functions", "[log")
    assert len(invocation_id) == 37


def test_log_lines_of_threads_name_the_invocation_too(web: RunningHost) -> None:
    web.http.post("/api/sync", content=b"")

    eventually(lambda: "from the thread" in web.log)
    line = next(line for line in web.log.splitlines() if line.endswith("from the thread"))
    assert " INFO functions [sync " in line


def test_the_landing_page_and_health_answer(web: RunningHost) -> None:
    assert "Functions host is up" in web.http.get("/").text
    assert web.http.get("/health").status_code == 200


@pytest.mark.conforms(
    "HTTP responses",
    "what HTTP cannot carry is a 500, and harms nobody",
    source="rfc:9110#section-5.5",
)
@pytest.mark.parametrize("how", ["split", "name", "sign", "status"])
def test_an_answer_that_http_cannot_carry_is_a_500(web: RunningHost, how: str) -> None:
    answer = web.http.get(f"/api/odd/{how}")

    assert answer.status_code == 500
    assert "set-cookie" not in answer.headers
    assert web.http.get("/api/odd/fine").text == "odd"


@pytest.mark.conforms(
    "HTTP responses",
    "a body of text is UTF-8, one of bytes goes as it is, none is empty; text/plain by default",
    source="worker:",
)
@pytest.mark.parametrize(
    ("kind", "body"), [("text", "grüße".encode()), ("bytes", b"\x00\xff"), ("none", b"")]
)
def test_all_kinds_of_bodies_go_out(web: RunningHost, kind: str, body: bytes) -> None:
    answer = web.http.get(f"/api/kinds/{kind}")

    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_broken_http_is_refused_without_harm(web: RunningHost) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.port)
    connection.putrequest("GET", "/api/text", skip_host=True)
    connection.putheader("Content-Length", "-5")
    connection.endheaders()
    assert connection.getresponse().status == 400
    connection.close()

    assert json.loads(httpx.get(f"http://127.0.0.1:{web.port}/api/echo").text)["method"] == "GET"
