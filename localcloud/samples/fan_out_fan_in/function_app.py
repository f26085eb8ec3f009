"""Fan-out/fan-in: copies every file of a folder at once, then adds up how much that was."""

import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypedDict

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


class Copy(TypedDict):
    """Which file of which folder goes into which backup."""

    folder: str
    file: str
    backup: str


@app.route(route="backups", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_backup(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """Back up the folder `{"folder": "..."}` of the body."""
    instance_id = await client.start_new("back_up_folder", client_input=req.get_json()["folder"])
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def back_up_folder(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Copy all files in parallel; how many there were, and how many bytes."""
    folder: str = context.get_input()
    files: list[str] = yield context.call_activity("list_files", folder)
    copies = [
        context.call_activity(
            "copy_file", {"folder": folder, "file": file, "backup": context.instance_id}
        )
        for file in files
    ]
    sizes: list[int] = yield context.task_all(copies)
    return {"files": len(sizes), "bytes": sum(sizes)}


@app.activity_trigger(input_name="folder")
def list_files(folder: str) -> list[str]:
    """Every file below the folder, by its path inside of it."""
    root = Path(folder)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@app.activity_trigger(input_name="order")
def copy_file(order: Copy) -> int:
    """Copy one file below the setting BACKUP_FOLDER; its size in bytes. May run again safely."""
    target = Path(os.environ["BACKUP_FOLDER"], order["backup"], order["file"])
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(order["folder"], order["file"]), target)
    return target.stat().st_size
