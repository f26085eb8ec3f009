"""Event Grid on this machine: topics, event subscriptions, deliveries with retries, dead letters.

Publishers use the unmodified `azure-eventgrid` SDK with the endpoint
`http://127.0.0.1:7081/<topic>/api/events`. The management API is described in `management`.

Two addresses are for the dashboard. Neither shows the content of events. Times are ISO 8601, UTC.

`GET /overview`:

    {"topics": [{
        "name", "kind": "topic" | "system_topic", "topic_type": null | str,
        "schema": "CloudEventSchemaV1_0" | "EventGridSchema", "endpoint",
        "published", "unmatched",        events accepted; those that no subscription wants
        "refused",                       publish requests refused since this process started
        "last_published_at": null | str,
        "subscriptions": [{
            "name",
            "provisioning_state": "Succeeded" | "AwaitingManualAction" | "Creating" | "Failed",
            "filter",                    in words
            "destination": {"type", "name"}, "schema",
            "dead_letter_container": null | str, "expires_at": null | str,
            "matched", "delivered", "failed_attempts", "dead_lettered", "dropped",
            "pending",                   matched and not settled
            "dead_lettering",            given up, the blob is not written yet
            "last_error", "last_error_at", "last_delivered_at", "next_attempt_at": null | str
        }]
     }],
     "totals": {"published", "matched", "delivered", "failed_attempts", "dead_lettered", "dropped",
                "pending", "dead_lettering"}}

`GET /dead-letters?limit=50&topic=&subscription=` (limit 1 to 1000, newest first):

    {"dead_letters": [{
        "topic", "subscription", "event_id", "event_type", "subject": null | str,
        "reason", "outcome": null | str, "attempts", "published_at", "last_attempt_at": null | str,
        "given_up_at", "status": "waiting" | "written" | "dropped", "blob": null | str}]}
"""
