"""An app of HTTP functions: one per habit of the host."""
# ruff: noqa: ARG001 - a trigger's parameter is there whether the function wants it or not

import asyncio
import contextlib
import json
import logging
import os
import threading
import time
from pathlib import Path

import azure.functions as func
from opentelemetry import trace

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="echo/{rest?}")
async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Tell what arrived."""
    return func.HttpResponse(
        json.dumps(
            {
                "method": req.method,
                "url": req.url,
                "headers": dict(req.headers),
                "query": dict(req.params),
                "route": dict(req.route_params),
                "body": req.get_body().hex(),
                "function": context.function_name,
                "traceparent": context.trace_context.trace_parent,
                "tracestate": context.trace_context.trace_state,
                "span": f"{trace.get_current_span().get_span_context().trace_id:032x}",
                "retry": context.retry_context.retry_count,
            }
        ),
        mimetype="application/json",
        status_code=201,
        headers={"X-One": "1", "ETag": '"7"'},
    )


@app.route(route="sync", methods=["POST"])
def sync(req: func.HttpRequest) -> func.HttpResponse:
    """Answer from a thread."""
    logging.getLogger("shop").info("from the thread")
    return func.HttpResponse(
        req.get_body()[::-1],
        mimetype="application/octet-stream",
        headers={"X-Main": str(threading.current_thread() is threading.main_thread())},
    )


@app.route(route="cookies")
def cookies(req: func.HttpRequest) -> func.HttpResponse:
    """Set three cookies."""
    response = func.HttpResponse("")
    for cookie in (
        "a=1; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=10",
        "b=two%20words",
        "c=3; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Domain=shop.example",
    ):
        response.headers.add("Set-Cookie", cookie)
    return response


@app.route(route="text")
def text(req: func.HttpRequest) -> str:
    """Answer a plain string."""
    return "grüße"


@app.route(route="empty", methods=["DELETE"])
def empty(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 204."""
    return func.HttpResponse(status_code=204)


@app.route(route="nothing")
async def nothing(req: func.HttpRequest) -> func.HttpResponse:
    """Forget to answer."""
    return None  # type: ignore[return-value]


@app.route(route="fail/{how}")
async def fail(req: func.HttpRequest) -> func.HttpResponse:
    """Fail in the way that the path asks for."""
    match req.route_params["how"]:
        case "cause":
            try:
                _ = dict[str, str]()["first"]
            except KeyError as error:
                raise ValueError("second") from error
        case "exit":
            raise SystemExit(3)
        case "cancelled":
            raise asyncio.CancelledError
    return func.HttpResponse("unreachable")


@app.route(route="sleep/{seconds}")
async def sleep(req: func.HttpRequest) -> func.HttpResponse:
    """Sleep, and say in files when that began and ended."""
    folder = Path(req.params["evidence"])
    await asyncio.to_thread((folder / "begun").touch)
    await asyncio.sleep(float(req.route_params["seconds"]))
    await asyncio.to_thread((folder / "done").touch)
    return func.HttpResponse("slept")


@app.route(route="block/{seconds}")
def block(req: func.HttpRequest) -> func.HttpResponse:
    """Block a thread."""
    time.sleep(float(req.route_params["seconds"]))
    return func.HttpResponse("blocked")


@app.route(route="obstinate")
async def obstinate(req: func.HttpRequest) -> func.HttpResponse:
    """Go on whatever comes."""
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


@app.route(route="pid")
async def pid(req: func.HttpRequest) -> func.HttpResponse:
    """Tell which process this is."""
    return func.HttpResponse(str(os.getpid()))


@app.route(route="function", auth_level=func.AuthLevel.FUNCTION)
def guarded(req: func.HttpRequest) -> func.HttpResponse:
    """Want a function key."""
    return func.HttpResponse("open")


@app.route(route="master", auth_level=func.AuthLevel.ADMIN)
def guarded_admin(req: func.HttpRequest) -> func.HttpResponse:
    """Want the master key."""
    return func.HttpResponse("open")


@app.route(route="off", auth_level=func.AuthLevel.FUNCTION)
def switched_off(req: func.HttpRequest) -> func.HttpResponse:
    """Be disabled by a setting."""
    return func.HttpResponse("never")


@app.route(route="items/{id:int}", methods=["GET", "PUT"])
def items(req: func.HttpRequest) -> func.HttpResponse:
    """Take only whole numbers."""
    return func.HttpResponse("item " + req.route_params["id"])


@app.route(route="things/{id}")
def all_things(req: func.HttpRequest) -> func.HttpResponse:
    """Come before `things_list` by name, and so swallow its route."""
    return func.HttpResponse("thing " + req.route_params["id"])


@app.route(route="things/list")
def things_list(req: func.HttpRequest) -> func.HttpResponse:
    """Never be reached."""
    return func.HttpResponse("list")


@app.route(route="files/{*rest}")
def files(req: func.HttpRequest) -> func.HttpResponse:
    """Take the rest of the path."""
    return func.HttpResponse("rest " + req.route_params.get("rest", "(none)"))


@app.route(route="log")
async def log(req: func.HttpRequest) -> func.HttpResponse:
    """Write log lines and print."""
    logging.getLogger("shop").warning("from the app")
    print("printed")  # noqa: T201
    return func.HttpResponse("")


@app.route(route="odd/{how}")
def odd(req: func.HttpRequest) -> func.HttpResponse:
    """Answer what HTTP cannot carry."""
    headers, status = {"X-Fine": "1"}, 200
    match req.route_params["how"]:
        case "split":
            headers["X-Odd"] = "a\r\nSet-Cookie: stolen=1"
        case "name":
            headers["X Odd"] = "a"
        case "sign":
            headers["X-Odd"] = "€"
        case "status":
            status = 99
    return func.HttpResponse("odd", status_code=status, headers=headers)


@app.route(route="kinds/{kind}")
def kinds(req: func.HttpRequest) -> func.HttpResponse:
    """Answer a body of the kind that is asked for."""
    bodies = {"text": "grüße", "bytes": b"\x00\xff", "none": None}
    return func.HttpResponse(bodies[req.route_params["kind"]])


@app.route(route="straße/{name}")
def street(req: func.HttpRequest) -> func.HttpResponse:
    """Have a route that is not ASCII."""
    return func.HttpResponse(req.route_params["name"])


@app.route(route="form", methods=["POST"])
def form(req: func.HttpRequest) -> func.HttpResponse:
    """Read a form."""
    files = {name: file.read().hex() for name, file in req.files.items()}
    return func.HttpResponse(json.dumps({"form": dict(req.form), "files": files}))


@app.route(route="said", methods=["POST"])
def said(req: func.HttpRequest) -> str:
    """Answer the body as text."""
    return req.get_body().decode()
