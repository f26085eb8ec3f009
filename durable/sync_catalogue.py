"""The ERP sync: page after page, then what the ERP no longer lists goes off sale."""

from collections.abc import Mapping
from typing import Any

import azure.durable_functions as df

from durable.saga import Step

bp = df.Blueprint()

RETRY = df.RetryOptions(first_retry_interval_in_milliseconds=5_000, max_number_of_attempts=4)


@bp.orchestration_trigger(context_name="context")
def sync_catalogue(context: df.DurableOrchestrationContext) -> Step[dict[str, Any]]:
    """Take over every page of the ERP's catalogue, or say with the run why that failed.

    Input: `{"run_id", "correlation_id"}`; the instance id is the run's. Output: `{"status":
    "succeeded" | "failed", "pages"}`. A run that was ended meanwhile has no more pages and no end
    of its own.
    """
    run: Mapping[str, Any] = context.get_input()
    page = 0
    try:
        more = True
        while more:
            page += 1
            answer = yield context.call_activity_with_retry(
                "pull_catalogue_page", RETRY, {**run, "page": page}
            )
            more = answer["more"]
        ended = yield context.call_activity_with_retry("finish_catalogue_sync", RETRY, run)
    except Exception as fault:  # noqa: BLE001 - the SDK rethrows every fault as Exception
        failure = f"page {page}: {fault}".partition("\n")[0]  # without the stack
        yield context.call_activity_with_retry(
            "fail_catalogue_sync", RETRY, {**run, "failure": failure}
        )
        return {"status": "failed", "pages": page}
    return {"status": "failed" if "refused" in ended else "succeeded", "pages": page}
