"""Routes: templates, constraints, and Azure's order."""

import string
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.functions.catalogue import HTTP, Function
from localcloud.functions.errors import StartRefused
from localcloud.functions.routing import Router, routes_of
from localcloud.tests.functions.running_host import RunningHost


def router(
    *routes: tuple[str, str] | tuple[str, str, Sequence[str]], prefix: str = "api"
) -> Router:
    """A router for (function name, route[, methods]), sorted as the host sorts."""
    functions = [
        Function(
            name=name,
            function_id=name,
            trigger=HTTP,
            parameter="req",
            fields={"route": route, "methods": list(*methods)},
            clients=(),
            disabled=False,
        )
        for name, route, *methods in routes
    ]
    return Router(routes_of(sorted(functions, key=lambda f: f.name.lower()), prefix))


def found(routes: Router, path: str, method: str = "GET") -> tuple[str, dict[str, str]] | None:
    match = routes.find(method, path)
    return None if match is None else (match[0].function.name, dict(match[1]))


@pytest.mark.conforms(
    "HTTP routing",
    "templates, optional and catch-all parameters and constraints match as ASP.NET's do",
    source="learn:aspnet/core/fundamentals/routing",
)
@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("items", "/api/items", {}),
        ("items", "/API/Items/", {}),
        ("items", "/api/item", None),
        ("items", "/items", None),
        ("items/{id}", "/api/items/Seven", {"id": "Seven"}),
        ("items/{id}", "/api/items", None),
        ("items/{id}", "/api/items/", None),
        ("items/{id}", "/api/items/7/8", None),
        ("items/{id:int}", "/api/items/-7", {"id": "-7"}),
        ("items/{id:int}", "/api/items/2147483648", None),
        ("items/{id:long}", "/api/items/2147483648", {"id": "2147483648"}),
        ("items/{id:int}", "/api/items/seven", None),
        ("items/{id?}", "/api/items", {}),
        ("items/{id?}", "/api/items/7", {"id": "7"}),
        ("items/{id:int?}", "/api/items", {}),
        ("items/{id:int?}", "/api/items/x", None),
        ("items/{id=5}", "/api/items", {"id": "5"}),
        ("items/{id:int=5}/{tab=all}", "/api/items", {"id": "5", "tab": "all"}),
        ("items/{id=5}/parts", "/api/items/parts", None),
        ("files/{*rest}", "/api/files", {}),
        ("files/{*rest}", "/api/files/a/b/c", {"rest": "a/b/c"}),
        ("files/{**rest}", "/api/files/a/b", {"rest": "a/b"}),
        ("{a}-{b}", "/api/left-right", {"a": "left", "b": "right"}),
        ("{a}-{b}", "/api/left", None),
        ("file.{ext:alpha}", "/api/FILE.txt", {"ext": "txt"}),
        ("file.{ext:alpha}", "/api/file.7z", None),
        ("g/{id:guid}", "/api/g/8A1F8C84-7d0e-4a7c-9a3e-2a3a4b5c6d7e", "id"),
        ("g/{id:guid}", "/api/g/8a1f8c847d0e4a7c9a3e2a3a4b5c6d7e", "id"),
        ("g/{id:guid}", "/api/g/search", None),
        ("b/{x:bool}", "/api/b/True", {"x": "True"}),
        ("n/{x:decimal}", "/api/n/1.5", {"x": "1.5"}),
        ("n/{x:double}", "/api/n/1e5", {"x": "1e5"}),
        ("d/{x:datetime}", "/api/d/2026-11-24", {"x": "2026-11-24"}),
        ("d/{x:datetime}", "/api/d/soon", None),
        ("l/{x:length(3)}", "/api/l/abc", {"x": "abc"}),
        ("l/{x:length(3)}", "/api/l/abcd", None),
        ("l/{x:length(2,3)}", "/api/l/ab", {"x": "ab"}),
        ("l/{x:minlength(3)}", "/api/l/ab", None),
        ("l/{x:maxlength(3)}", "/api/l/abcd", None),
        ("r/{x:min(5)}", "/api/r/4", None),
        ("r/{x:max(5)}", "/api/r/5", {"x": "5"}),
        ("r/{x:range(5,7)}", "/api/r/8", None),
        ("r/{x:int:min(5)}", "/api/r/6", {"x": "6"}),
        (r"p/{x:regex(^\d{{2}}$)}", "/api/p/12", {"x": "12"}),
        (r"p/{x:regex(^\d{{2}}$)}", "/api/p/123", None),
        ("p/{x:regex(^(a|b)/?$)}", "/api/p/A", {"x": "A"}),
    ],
)
def test_a_template_takes_the_paths_that_aspnet_takes(
    template: str, path: str, values: dict[str, str] | str | None
) -> None:
    match = found(router(("f", template)), path)

    if values == "id":
        assert match == ("f", {"id": path.rpartition("/")[2]})
    else:
        assert match == (None if values is None else ("f", values))


@pytest.mark.conforms(
    "HTTP routing",
    "of several routes that match, the function whose name comes first in the alphabet runs",
    source="issue:Azure/azure-functions-host/issues/3153",
)
def test_the_first_name_wins_and_not_the_most_specific_route() -> None:
    routes = router(("Details", "items/{id}"), ("List", "items/list"))

    assert found(routes, "/api/items/list") == ("Details", {"id": "list"})


def test_a_constraint_lets_the_next_route_have_its_turn() -> None:
    routes = router(("details", "items/{id:guid}"), ("search", "items/search"))

    assert found(routes, "/api/items/search") == ("search", {})


def test_names_are_ordered_without_regard_to_case() -> None:
    routes = router(("b", "{x}"), ("A", "{x}"), ("c", "{x}"))

    assert found(routes, "/api/1") == ("A", {"x": "1"})


@pytest.mark.conforms(
    "HTTP routing",
    "the method is a constraint of the route: a wrong one is a 404, no 405",
    source="host:src/WebJobs.Script.WebHost/WebScriptHostHttpRoutesManager.cs",
)
def test_a_wrong_method_is_no_match_and_the_next_route_is_tried() -> None:
    routes = router(("get", "items", ["GET"]), ("post", "items", ["POST"]))

    assert found(routes, "/api/items", "POST") == ("post", {})
    assert found(routes, "/api/items", "PUT") is None


@pytest.mark.conforms(
    "HTTP routing",
    "the prefix is `api`, may be empty, and the function's name stands in for a route",
    source="learn:azure/azure-functions/functions-bindings-http-webhook#hostjson-settings",
)
def test_the_prefix_may_be_empty_and_the_name_stands_in_for_a_route() -> None:
    assert found(router(("Ping", ""), prefix=""), "/ping") == ("Ping", {})


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{id:integer}", "unknown route constraint 'integer'"),
        ("{id:length(1,2,3)}", "wrong number of arguments"),
        ("{id", "braces do not balance"),
        ("{a}/{A}", "the parameter 'A' occurs twice"),
        ("{*rest}/more", "catch-all parameter 'rest' must be the last segment"),
        ("{id?}/more", "optional parameter 'id' must be the last segment"),
        ("{a}{b}", "without text between them"),
        ("a//b", "two slashes follow each other"),
        ("{x:regex([)}", "unterminated character set"),
    ],
)
def test_a_bad_route_is_refused_naming_its_function(template: str, reason: str) -> None:
    with pytest.raises(StartRefused, match="function 'broken'") as refused:
        router(("broken", template))
    assert reason in str(refused.value)


SEGMENT = st.text(string.ascii_lowercase, min_size=1, max_size=3)
PARAMETER = st.sampled_from(["{}", "{:int}", "{:alpha}"])


@st.composite
def templates(draw: st.DrawFn) -> str:
    """A route of literals and parameters, its parameters numbered."""
    parts = draw(st.lists(SEGMENT | PARAMETER, min_size=1, max_size=4))
    return "/".join(
        "{p" + str(n) + part[1:] if part.startswith("{") else part for n, part in enumerate(parts)
    )


def fits(template: str, path: str) -> bool:
    """Whether one route alone takes the path: the tree of many must agree."""
    return found(router(("only", template)), path) is not None


@given(
    st.lists(templates(), min_size=1, max_size=6),
    st.lists(SEGMENT | st.integers(0, 99).map(str), min_size=1, max_size=4),
)
def test_many_routes_answer_like_the_first_of_them_that_fits(
    many: list[str], path_parts: list[str]
) -> None:
    path = "/api/" + "/".join(path_parts)
    names = [f"f{n}" for n in range(len(many))]
    match = found(router(*zip(names, many, strict=True)), path)

    expected = next((n for n, t in zip(names, many, strict=True) if fits(t, path)), None)
    assert (match[0] if match else None) == expected


@given(st.text(max_size=40))
def test_any_path_at_all_is_answered(text: str) -> None:
    routes = router(("a", "x/{id:int}"), ("b", "{*rest}"), ("c", "{a}-{b}"))

    match = found(routes, "/api/" + text)

    assert match is not None
    assert match[0] in {"a", "b"}


def test_over_the_wire_routes_match_as_in_the_table(web: RunningHost) -> None:
    assert web.http.get("/API/Items/5/").text == "item 5"
    assert web.http.get("/api/items/x").status_code == 404
    assert web.http.post("/api/items/5").status_code == 404
    assert web.http.get("/api/things/list").text == "thing list"
    assert web.http.get("/api/files").text == "rest (none)"
    assert web.http.get("/api/files/a/b").text == "rest a/b"
    assert web.http.get("/api/files/a%2Fb%20c").text == "rest a%2Fb c"
    assert web.http.get("/api/unknown").status_code == 404
    assert web.http.get("/elsewhere").status_code == 404
