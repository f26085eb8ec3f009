# The part of azure-functions-durable 1.7 that this project uses; the package ships no types.
# `typings/azure` has no __init__.pyi on purpose: `azure` is a namespace package, and a regular one
# here would hide azure.functions, azure.identity and azure.servicebus.

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from azure.durable_functions.models.DurableOrchestrationStatus import DurableOrchestrationStatus
from azure.durable_functions.models.EntityStateResponse import EntityStateResponse
from azure.durable_functions.models.OrchestrationRuntimeStatus import (
    OrchestrationRuntimeStatus as OrchestrationRuntimeStatus,
)
from azure.durable_functions.models.PurgeHistoryResult import PurgeHistoryResult
from azure.durable_functions.models.Task import TaskBase, TimerTask
from azure.functions import AuthLevel, HttpMethod, HttpRequest, HttpResponse
from azure.functions.decorators.core import AccessRights, Cardinality, DataType
from azure.functions.decorators.function_app import (
    BindingApi,
    FunctionRegister,
    SettingsApi,
    TriggerApi,
)

_F = TypeVar("_F", bound=Callable[..., Any])

class RetryOptions:
    def __init__(
        self, first_retry_interval_in_milliseconds: int, max_number_of_attempts: int
    ) -> None: ...
    @property
    def first_retry_interval_in_milliseconds(self) -> int: ...
    @property
    def max_number_of_attempts(self) -> int: ...

class EntityId:
    name: str
    key: str
    def __init__(self, name: str, key: str) -> None: ...

class DurableOrchestrationContext:
    @classmethod
    def from_json(cls, json_string: str) -> DurableOrchestrationContext: ...
    def get_input(self, expected_type: type | None = ...) -> Any: ...
    def call_activity(
        self, name: str | Callable[..., Any], input_: Any = ..., expected_type: type | None = ...
    ) -> TaskBase: ...
    def call_activity_with_retry(
        self,
        name: str | Callable[..., Any],
        retry_options: RetryOptions,
        input_: Any = ...,
        expected_type: type | None = ...,
    ) -> TaskBase: ...
    def call_sub_orchestrator(
        self,
        name: str | Callable[..., Any],
        input_: Any = ...,
        instance_id: str | None = ...,
        version: str | None = ...,
        expected_type: type | None = ...,
    ) -> TaskBase: ...
    def call_sub_orchestrator_with_retry(
        self,
        name: str | Callable[..., Any],
        retry_options: RetryOptions,
        input_: Any = ...,
        instance_id: str | None = ...,
        version: str | None = ...,
        expected_type: type | None = ...,
    ) -> TaskBase: ...
    def call_http(
        self,
        method: str,
        uri: str,
        content: str | None = ...,
        headers: dict[str, str] | None = ...,
        token_source: Any = ...,
        is_raw_str: bool = ...,
    ) -> TaskBase: ...
    def call_entity(
        self,
        entityId: EntityId,
        operationName: str,
        operationInput: Any = ...,
        expected_type: type | None = ...,
    ) -> TaskBase: ...
    def signal_entity(
        self, entityId: EntityId, operationName: str, operationInput: Any = ...
    ) -> TaskBase: ...
    def create_timer(self, fire_at: datetime) -> TimerTask: ...
    def wait_for_external_event(self, name: str, expected_type: type | None = ...) -> TaskBase: ...
    def task_all(self, activities: Sequence[TaskBase]) -> TaskBase: ...
    def task_any(self, activities: Sequence[TaskBase]) -> TaskBase: ...
    def set_custom_status(self, status: Any) -> None: ...
    def continue_as_new(self, input_: Any) -> None: ...
    def new_uuid(self) -> str: ...
    def new_guid(self) -> UUID: ...
    @property
    def custom_status(self) -> Any: ...
    @property
    def histories(self) -> list[Any]: ...
    @property
    def instance_id(self) -> str: ...
    @property
    def parent_instance_id(self) -> str: ...
    @property
    def version(self) -> str | None: ...
    @property
    def is_replaying(self) -> bool: ...
    @property
    def current_utc_datetime(self) -> datetime: ...

class DurableOrchestrationClient:
    task_hub_name: str
    def __init__(self, context: str, function_invocation_id: str | None = ...) -> None: ...
    async def start_new(
        self,
        orchestration_function_name: str,
        instance_id: str | None = ...,
        client_input: Any = ...,
        version: str | None = ...,
    ) -> str: ...
    async def get_status(
        self,
        instance_id: str,
        show_history: bool = ...,
        show_history_output: bool = ...,
        show_input: bool = ...,
    ) -> DurableOrchestrationStatus: ...
    async def get_status_all(self) -> list[DurableOrchestrationStatus]: ...
    async def get_status_by(
        self,
        created_time_from: datetime | None = ...,
        created_time_to: datetime | None = ...,
        runtime_status: list[OrchestrationRuntimeStatus] | None = ...,
        instance_id_prefix: str | None = ...,
    ) -> list[DurableOrchestrationStatus]: ...
    async def raise_event(
        self,
        instance_id: str,
        event_name: str,
        event_data: Any = ...,
        task_hub_name: str | None = ...,
        connection_name: str | None = ...,
    ) -> None: ...
    async def terminate(self, instance_id: str, reason: str) -> None: ...
    async def suspend(self, instance_id: str, reason: str) -> None: ...
    async def resume(self, instance_id: str, reason: str) -> None: ...
    async def rewind(
        self,
        instance_id: str,
        reason: str,
        task_hub_name: str | None = ...,
        connection_name: str | None = ...,
    ) -> None: ...
    async def restart(self, instance_id: str, restart_with_new_instance_id: bool = ...) -> Any: ...
    async def purge_instance_history(self, instance_id: str) -> PurgeHistoryResult: ...
    async def purge_instance_history_by(
        self,
        created_time_from: datetime | None = ...,
        created_time_to: datetime | None = ...,
        runtime_status: list[OrchestrationRuntimeStatus] | None = ...,
    ) -> PurgeHistoryResult: ...
    async def signal_entity(
        self,
        entityId: EntityId,
        operation_name: str,
        operation_input: Any = ...,
        task_hub_name: str | None = ...,
        connection_name: str | None = ...,
    ) -> None: ...
    async def read_entity_state(
        self,
        entityId: EntityId,
        task_hub_name: str | None = ...,
        connection_name: str | None = ...,
    ) -> EntityStateResponse: ...
    async def wait_for_completion_or_create_check_status_response(
        self,
        request: HttpRequest,
        instance_id: str,
        timeout_in_milliseconds: int = ...,
        retry_interval_in_milliseconds: int = ...,
    ) -> HttpResponse: ...
    def create_check_status_response(
        self, request: HttpRequest, instance_id: str
    ) -> HttpResponse: ...
    def create_http_management_payload(self, instance_id: str) -> dict[str, str]: ...
    def get_client_response_links(
        self, request: HttpRequest | None, instance_id: str
    ) -> dict[str, str]: ...

class _Handle:
    orchestrator_function: Callable[[DurableOrchestrationContext], Any]
    def __call__(self, context: Any) -> str: ...

class Orchestrator:
    @classmethod
    def create(cls, fn: Callable[[DurableOrchestrationContext], Any]) -> _Handle: ...

class DurableEntityContext:
    @property
    def entity_name(self) -> str: ...
    @property
    def entity_key(self) -> str: ...
    @property
    def operation_name(self) -> str: ...
    @property
    def is_newly_constructed(self) -> bool: ...
    def get_input(self, expected_type: type | None = ...) -> Any: ...
    def get_state(
        self, initializer: Callable[[], Any] | None = ..., expected_type: type | None = ...
    ) -> Any: ...
    def set_state(self, state: Any) -> None: ...
    def set_result(self, result: Any) -> None: ...
    def destruct_on_exit(self) -> None: ...

class Entity:
    @classmethod
    def create(cls, fn: Callable[[DurableEntityContext], None]) -> Callable[[Any], str]: ...

# Decorators give back what they decorate. At run time it is a FunctionBuilder, which calls through.
class Blueprint(TriggerApi, BindingApi, SettingsApi):
    def __init__(self, http_auth_level: AuthLevel | str = ...) -> None: ...
    def function_name(
        self, name: str, setting_extra_fields: dict[str, Any] | None = ...
    ) -> Callable[[_F], _F]: ...
    def orchestration_trigger(
        self, context_name: str, orchestration: str | None = ..., input_type: type | None = ...
    ) -> Callable[[_F], _F]: ...
    def activity_trigger(
        self, input_name: str, activity: str | None = ...
    ) -> Callable[[_F], _F]: ...
    def entity_trigger(
        self, context_name: str, entity_name: str | None = ...
    ) -> Callable[[_F], _F]: ...
    def durable_client_input(
        self, client_name: str, task_hub: str | None = ..., connection_name: str | None = ...
    ) -> Callable[[_F], _F]: ...
    def route(
        self,
        route: str | None = ...,
        trigger_arg_name: str = ...,
        binding_arg_name: str = ...,
        methods: Iterable[str] | Iterable[HttpMethod] | None = ...,
        auth_level: AuthLevel | str | None = ...,
        trigger_extra_fields: dict[str, Any] | None = ...,
        binding_extra_fields: dict[str, Any] | None = ...,
    ) -> Callable[[_F], _F]: ...
    def timer_trigger(
        self,
        arg_name: str,
        schedule: str,
        run_on_startup: bool | None = ...,
        use_monitor: bool | None = ...,
        data_type: DataType | str | None = ...,
        **kwargs: Any,
    ) -> Callable[[_F], _F]: ...
    def service_bus_topic_trigger(
        self,
        arg_name: str,
        connection: str,
        topic_name: str,
        subscription_name: str,
        data_type: DataType | str | None = ...,
        access_rights: AccessRights | str | None = ...,
        is_sessions_enabled: bool | None = ...,
        cardinality: Cardinality | str | None = ...,
        auto_complete_messages: bool | None = ...,
        **kwargs: Any,
    ) -> Callable[[_F], _F]: ...

class DFApp(Blueprint, FunctionRegister):
    def __init__(self, http_auth_level: AuthLevel | str = ...) -> None: ...
