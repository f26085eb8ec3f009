"""The messages that the worker library exchanges with its host, as plain classes without protobuf.

Names and fields are those of Microsoft's FunctionRpc.proto; the worker takes the classes it should
build from `PROTOS`. A class holds only what the worker sets or reads.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any


class TypedData:
    """One value with its kind: string, json, bytes, http, … or None for nothing at all."""

    __slots__ = ("kind", "value")

    def __init__(self, **one: Any) -> None:
        self.kind: str | None = None
        self.value: Any = None
        if one:
            ((self.kind, self.value),) = one.items()

    @property
    def TypedData(self) -> "TypedData":  # noqa: N802 - protobuf's name
        """Itself: the worker asks its argument for this first, and an answer saves an exception."""
        return self

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 - protobuf's name
        return self.kind

    @property
    def _whatever(self) -> Any:
        return self.value

    # The worker reads the field that `WhichOneof` named and no other.
    string = json = bytes = http = collection_bytes = collection_string = _whatever


class Collection:
    """Several values of one kind."""

    __slots__ = ("bytes",)

    def __init__(self, values: Sequence[bytes]) -> None:
        self.bytes = values


class ParameterBinding:
    """A value for, or from, one parameter of a function."""

    __slots__ = ("data", "name")

    def __init__(self, name: str, data: TypedData | None = None) -> None:
        self.name, self.data = name, data

    def WhichOneof(self, _: str) -> str:  # noqa: N802 - protobuf's name
        return "data"


class RpcHttp:
    """An HTTP request on its way in, or a response on its way out."""

    __slots__ = (
        "body",
        "cookies",
        "enable_content_negotiation",
        "headers",
        "method",
        "params",
        "query",
        "status_code",
        "url",
    )

    def __init__(
        self,
        *,
        method: str = "",
        url: str = "",
        headers: Mapping[str, str],
        body: TypedData,
        params: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        status_code: str = "",
        cookies: Sequence["RpcHttpCookie"] | None = None,
        enable_content_negotiation: bool = False,
    ) -> None:
        self.method, self.url, self.headers, self.body = method, url, headers, body
        self.params, self.query = params, query
        self.status_code, self.cookies = status_code, cookies
        self.enable_content_negotiation = enable_content_negotiation


class SameSite:
    """Values of a cookie's SameSite; the one called None means "not said"."""

    Lax, Strict, ExplicitNone = 1, 2, 3


setattr(SameSite, "None", 0)


class Message:
    """A message of which only the fields matter."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} has no {name}")


class RpcHttpCookie(Message):
    SameSite = SameSite


class StatusResult:
    Failure, Success = 0, 1

    def __init__(self, *, status: int, exception: "RpcException | None" = None) -> None:
        self.status, self.exception = status, exception


class RpcException:
    def __init__(self, *, message: str, stack_trace: str) -> None:
        self.message, self.stack_trace, self.source = message, stack_trace, ""


class InvocationResponse:
    """The outcome of a call; the worker leaves out value and outputs of a failed one."""

    __slots__ = ("invocation_id", "output_data", "result", "return_value")

    def __init__(
        self,
        *,
        invocation_id: str,
        result: StatusResult,
        return_value: TypedData | None = None,
        output_data: Sequence[ParameterBinding] = (),
    ) -> None:
        self.invocation_id, self.result = invocation_id, result
        self.return_value, self.output_data = return_value, output_data


class BindingInfo(Message):
    undefined, out, inout = 0, 1, 2


setattr(BindingInfo, "in", 0)


class TraceContext:
    """W3C trace context of one invocation."""

    __slots__ = ("attributes", "trace_parent", "trace_state")

    def __init__(self, trace_parent: str, trace_state: str) -> None:
        self.trace_parent, self.trace_state = trace_parent, trace_state
        self.attributes: dict[str, str] = {}


class RetryContext:
    """Which attempt this is: 0 retries so far means the first."""

    __slots__ = ("exception", "max_retry_count", "retry_count")

    def __init__(
        self, retry_count: int, max_retry_count: int, exception: RpcException | None
    ) -> None:
        self.retry_count, self.max_retry_count = retry_count, max_retry_count
        self.exception = exception


FIRST_ATTEMPT = RetryContext(0, 0, None)


class InvocationRequest:
    """Asks for one execution. It is its own envelope: the worker reads `request.request.…`."""

    __slots__ = (
        "function_id",
        "input_data",
        "invocation_id",
        "retry_context",
        "trace_context",
        "trigger_metadata",
    )

    def __init__(
        self,
        invocation_id: str,
        function_id: str,
        input_data: Sequence[ParameterBinding],
        trigger_metadata: Mapping[str, TypedData],
        trace_context: TraceContext,
        *,
        retry_context: RetryContext = FIRST_ATTEMPT,
    ) -> None:
        self.invocation_id, self.function_id = invocation_id, function_id
        self.input_data, self.trigger_metadata = input_data, trigger_metadata
        self.trace_context, self.retry_context = trace_context, retry_context

    @property
    def request(self) -> "InvocationRequest":
        return self

    @property
    def invocation_request(self) -> "InvocationRequest":
        return self


def envelope(field: str, properties: Mapping[str, Any] | None = None, **fields: Any) -> Message:
    """A control request: `.request.<field>.<fields>` beside `.properties`."""
    return Message(request=Message(**{field: Message(**fields)}), properties=properties or {})


def _plain(name: str) -> type[Message]:
    return type(name, (Message,), {})


PROTOS = SimpleNamespace(
    TypedData=TypedData,
    ParameterBinding=ParameterBinding,
    RpcHttp=RpcHttp,
    RpcHttpCookie=RpcHttpCookie,
    StatusResult=StatusResult,
    RpcException=RpcException,
    InvocationResponse=InvocationResponse,
    BindingInfo=BindingInfo,
    **{
        name: _plain(name)
        for name in (
            "FunctionLoadResponse",
            "FunctionMetadataResponse",
            "NullableBool",
            "NullableDouble",
            "NullableString",
            "NullableTimestamp",
            "RpcFunctionMetadata",
            "RpcRetryOptions",
            "Timestamp",
            "WorkerInitResponse",
            "WorkerMetadata",
        )
    },
)
"""What the worker receives as its `protos` module."""
