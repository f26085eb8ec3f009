"""The timer as the host sees it."""

from typing import Any

import azure.functions as func

from blueprints.housekeeping import triggers


class Housekeeping:
    def __init__(self) -> None:
        self.done: list[str] = []

    async def relay_outbox(self) -> int:
        self.done.append("relay")
        return 0

    async def prune(self) -> int:
        self.done.append("prune")
        return 0


async def test_the_timer_relays_before_it_prunes() -> None:
    housekeeping: Any = Housekeeping()
    app = func.FunctionApp()
    app.register_functions(triggers.blueprint(housekeeping))
    (function,) = app.get_functions()
    assert function.get_function_name() == "relay_outbox"
    trigger: Any = function.get_trigger()
    assert trigger.get_dict_repr()["schedule"] == "%OUTBOX_RELAY_SCHEDULE%"
    user_function: Any = function.get_user_function()
    await user_function(timer=None)
    assert housekeeping.done == ["relay", "prune"]
