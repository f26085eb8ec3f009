"""Settings of the application while parts of it are killed; everything else is as it ships."""

PATIENT = {
    # Longer than any part is down: a killed part costs time, never an order.
    "SAGA_WAITS_S": "0.2,0.5,1,2,4,8,8",
    # A call that is held must not run into its time limit.
    "PARTNER_TIMEOUT_S": "20",
    "PARTNER_BREAKER_OPEN_S": "0.3",
    "PAYMENT_RECONCILE_AFTER_S": "2",
    "OUTBOX_RELAY_SCHEDULE": "* * * * * *",
    "PAYMENT_RECONCILE_SCHEDULE": "*/2 * * * * *",
    # One client places all the orders.
    "USER_LIMIT_CLIENT": "0",
    # Room for an order at each step at a time.
    "PG_POOL_MAX": "24",
    "AzureFunctionsJobHost__extensions__durableTask__maxConcurrentActivityFunctions": "48",
}

STORMY = PATIENT | {
    # Several kills and faults may meet one step.
    "SAGA_WAITS_S": "0.2,0.5,1,2,4,8,8,8,8,8",
    # A partner that does not answer is asked again soon.
    "PARTNER_TIMEOUT_S": "1.5",
    # The customer answers late when nobody can be reached, and still in time.
    "CONFIRMATION_WINDOW_S": "300",
}
