"""What the Durable HTTP API reads from requests and answers with."""

import base64
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from localcloud.durable.answer import storable
from localcloud.durable.history import as_json
from localcloud.durable.instances import Filter, Status
from localcloud.durable.outcome import TERMINAL
from localcloud.durable.states import EntityState

TOKEN = "x-ms-continuation-token"  # noqa: S105 - a header's name

type Handler = Callable[[Request], Awaitable[Response]]

_PAGE = 100
_LARGEST_PAGE = 1000


def error(status: int, message: str, exception: str, kind: str) -> JSONResponse:
    """An error in the shape that the SDK's client expects."""
    return JSONResponse(
        {
            "Message": message,
            "ExceptionMessage": exception,
            "ExceptionType": kind,
            "StackTrace": "",
        },
        status_code=status,
    )


def bad_argument(exception: str) -> JSONResponse:
    """What is wrong with the request, as Azure says it."""
    message = "One or more of the arguments submitted is incorrect"
    return error(400, message, exception, "System.ArgumentException")


def flag(request: Request, name: str, *, default: bool = False) -> bool:
    """A yes or no out of the query."""
    value = request.query_params.get(name)
    return default if value is None else value.casefold() == "true"


def time_of(request: Request, name: str) -> datetime | None:
    """A UTC instant out of the query; ValueError when it is none."""
    value = request.query_params.get(name)
    if not value:
        return None
    parsed = datetime.fromisoformat(value.replace(" ", "+"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def to_the_second(at: datetime) -> str:
    """A time as the API shows it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shape(status: Status, *, with_input: bool) -> dict[str, Any]:
    """An instance as the API shows it."""
    return {
        "name": status.name,
        "instanceId": status.instance_id,
        "runtimeStatus": status.status,
        "input": as_json(status.input) if with_input else None,
        "customStatus": as_json(status.custom_status),
        "output": as_json(status.output),
        "createdTime": to_the_second(status.created_at),
        "lastUpdatedTime": to_the_second(status.updated_at),
    }


def json_text(body: bytes) -> str:
    """The body as it came; ValueError when it is not JSON."""
    text = body.decode()
    json.loads(text)
    return text


def accepted(status: str | None) -> Response:
    """202 for a living instance, 410 for a finished one, 404 for none."""
    if status is None:
        return Response(status_code=404)
    return Response(status_code=410 if status in TERMINAL else 202)


def page_size(top: str | None) -> int:
    """How many instances to answer with; ValueError unless it is a count of at least 1."""
    size = int(top or _PAGE)
    if size < 1:
        raise ValueError("top must be at least 1")
    return min(size, _LARGEST_PAGE)


def write_token(last: Status | EntityState) -> str:
    """The place in a list after which its next page begins."""
    place = json.dumps([last.created_at.isoformat(), last.instance_id])
    return base64.urlsafe_b64encode(place.encode()).decode()


def read_token(token: str | None) -> tuple[str, str] | None:
    """The place that `write_token` wrote; ValueError or TypeError for anything else."""
    if not token:
        return None
    created, instance_id = json.loads(base64.urlsafe_b64decode(token))
    return datetime.fromisoformat(created).isoformat(), storable(instance_id)


def wanted_instances(request: Request) -> Filter:
    """The filter in the query; ValueError when a time is none."""
    query = request.query_params
    statuses = query.get("runtimeStatus")
    return Filter(
        created_from=time_of(request, "createdTimeFrom"),
        created_to=time_of(request, "createdTimeTo"),
        statuses=statuses.split(",") if statuses else None,
        prefix=query.get("instanceIdPrefix", ""),
    )
