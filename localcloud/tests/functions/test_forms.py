"""Forms, urlencoded and multipart, over the wire."""

import pytest

from localcloud.tests.functions.running_host import RunningHost

FORM = ("Content-Type", "application/x-www-form-urlencoded")
MULTIPART = ("Content-Type", "multipart/form-data; boundary=cut")
PARTS = (
    b'--cut\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--cut\r\nContent-Disposition: form-data; name="f"; filename="f.bin"\r\n\r\n'
    b"\x00\xff\r\n--cut--"
)


@pytest.mark.parametrize(
    ("kind", "body", "fields", "files"),
    [
        pytest.param(FORM, b"a=1&b=x+y", {"a": "1", "b": "x y"}, {}, id="urlencoded"),
        pytest.param(FORM, b"", {}, {}, id="empty"),
        pytest.param(MULTIPART, PARTS, {"a": "1"}, {"f": "00ff"}, id="multipart with a file"),
    ],
)
def test_forms_arrive_whole(
    web: RunningHost,
    kind: tuple[str, str],
    body: bytes,
    fields: dict[str, str],
    files: dict[str, str],
) -> None:
    answer = web.http.post("/api/form", headers=[kind], content=body)

    assert answer.json() == {"form": fields, "files": files}
