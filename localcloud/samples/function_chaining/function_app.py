"""Function chaining: each step works on what the step before it made."""

from collections.abc import Generator
from typing import Any, TypedDict

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


class Article(TypedDict):
    """A text and who wrote it."""

    text: str
    by: str


@app.route(route="orchestrators/{functionName}", methods=["GET", "POST"])
@app.durable_client_input(client_name="client")
async def http_start(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """Start the orchestrator that the path names, with the body as its input."""
    text = req.get_body().decode()
    instance_id = await client.start_new(
        req.route_params["functionName"], client_input=req.get_json() if text else None
    )
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def publish_article(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Trim, capitalise and sign a text, in this order."""
    text = context.get_input() or "  chained functions  "
    trimmed = yield context.call_activity("trim", text)
    titled = yield context.call_activity("capitalise", trimmed)
    return (yield context.call_activity("sign", {"text": titled, "by": context.instance_id}))


@app.orchestration_trigger(context_name="context")
def greet_cities(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Greet three cities one after the other."""
    first = yield context.call_activity("say_hello", "Tokyo")
    second = yield context.call_activity("say_hello", "Seattle")
    third = yield context.call_activity("say_hello", "London")
    return [first, second, third]


@app.activity_trigger(input_name="text")
def trim(text: str) -> str:
    """Without the blanks around it."""
    return text.strip()


@app.activity_trigger(input_name="text")
def capitalise(text: str) -> str:
    """Each word with a capital letter."""
    return text.title()


@app.activity_trigger(input_name="article")
def sign(article: Article) -> str:
    """With the author below."""
    return f"{article['text']}\n-- {article['by']}"


@app.activity_trigger(input_name="city")
async def say_hello(city: str) -> str:
    """A greeting."""
    return f"Hello {city}!"
