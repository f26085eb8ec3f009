"""Queue to blob: an order becomes a message, that becomes a receipt, and that a journal's entry.

Each step is begun by what the one before it left in storage.
"""

import json

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
STORAGE = "AzureWebJobsStorage"


@app.route(route="orders/{number:int}", methods=["POST"])
@app.queue_output(arg_name="orders", queue_name="orders", connection=STORAGE)
def take_order(req: func.HttpRequest, orders: func.Out[str]) -> func.HttpResponse:
    """Note an order; whoever asks need not wait for the rest."""
    order = {"number": req.route_params["number"], "buyer": req.get_body().decode() or "somebody"}
    orders.set(json.dumps(order))
    return func.HttpResponse(status_code=202)


@app.queue_trigger(arg_name="message", queue_name="orders", connection=STORAGE)
@app.blob_output(arg_name="receipt", path="receipts/{number}.txt", connection=STORAGE)
def write_receipt(message: func.QueueMessage, receipt: func.Out[str]) -> None:
    """Write a receipt, named after the number in the message."""
    order = message.get_json()
    receipt.set(f"Order {order['number']} for {order['buyer']}")


@app.blob_trigger(arg_name="receipt", path="receipts/{number}.txt", connection=STORAGE)
@app.blob_output(arg_name="entry", path="journal/{number}.json", connection=STORAGE)
def keep_journal(receipt: func.InputStream, entry: func.Out[str]) -> None:
    """Enter each receipt in the journal."""
    content = receipt.read()
    entry.set(json.dumps({"of": receipt.name, "text": content.decode(), "bytes": len(content)}))


@app.route(route="journal/{number:int}", methods=["GET"])
@app.blob_input(arg_name="entry", path="journal/{number}.json", connection=STORAGE)
def read_journal(req: func.HttpRequest, entry: str) -> func.HttpResponse:
    """Answer the entry of an order; 404 while there is none."""
    if not entry:
        return func.HttpResponse(f"no order {req.route_params['number']} yet", status_code=404)
    return func.HttpResponse(entry, mimetype="application/json")
