"""What becomes of a text that an HTTP function returns.

The rules are those of Azure's host: HttpBinding.CreateResult and ParseResponseObject ("sniff the
object to see if it looks like a response object by convention"), then RawScriptResult, in
github.com/Azure/azure-functions-host, src/WebJobs.Script/Binding/Http.
"""

import pytest

from localcloud.functions.sniffing import sniff

TEXT = {"content-type": "text/plain; charset=utf-8"}


@pytest.mark.conforms(
    "HTTP responses",
    "a returned text that is a JSON object with `body` is a response; other JSON is written anew",
    source="host:src/WebJobs.Script/Binding/Http/HttpBinding.cs",
)
@pytest.mark.parametrize(
    ("text", "status", "headers", "body"),
    [
        pytest.param("hello", 200, TEXT, "hello", id="not JSON: as it is"),
        pytest.param("", 200, TEXT, "", id="empty: as it is"),
        pytest.param('{"body": "b"}', 200, TEXT, "b", id="body makes it a response"),
        pytest.param(
            '{"Body": "b", "STATUS": 202}', 202, TEXT, "b", id="names compare without case"
        ),
        pytest.param(
            '{"body": "b", "statusCode": "404", "status": 202}',
            404,
            TEXT,
            "b",
            id="statusCode before status, text is fine",
        ),
        pytest.param(
            '{"body": "<p>", "headers": {"Content-Type": "text/html", "X-N": 7}}',
            200,
            {"content-type": "text/html", "x-n": "7"},
            "<p>",
            id="headers count",
        ),
        pytest.param('{"body": {"a": [1, 2]}}', 200, TEXT, '{"a":[1,2]}', id="an object: compact"),
        pytest.param('{"body": null, "status": 204}', 204, TEXT, "", id="null: nothing"),
        pytest.param(
            '{"status": 404}', 200, TEXT, '{\n  "status": 404\n}', id="without body: no response"
        ),
        pytest.param('{"a":"ü"}', 200, TEXT, '{\n  "a": "ü"\n}', id="JSON is written anew"),
        pytest.param('"quoted"', 200, TEXT, "quoted", id="a JSON text loses its quotes"),
        pytest.param("true", 200, TEXT, "True", id="a JSON truth is .NET's"),
        pytest.param("12", 200, TEXT, "12", id="a number stays"),
    ],
)
def test_a_text_is_looked_at_as_azure_does(
    text: str, status: int, headers: dict[str, str], body: str
) -> None:
    assert sniff(text) == (status, headers, body)
