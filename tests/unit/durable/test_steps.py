"""Every step that an orchestrator calls is an activity of some slice, under that very name."""

from typing import Any, cast

from blueprints.orders import activities as orders
from blueprints.payments import activities as payments
from blueprints.products import activities as products
from durable import cancel_order, fulfil_order
from tests.unit.durable.rehearsal import FAULT, Stage, definition


def registered(*blueprints: Any) -> set[str]:
    """The names of the activities in these blueprints."""
    return {
        builder._function.get_function_name()
        for blueprint in blueprints
        for builder in blueprint._function_builders
    }


def test_every_step_has_an_activity() -> None:
    nothing = cast("Any", None)
    known = registered(
        orders.blueprint(nothing, nothing),
        payments.blueprint(nothing, nothing, nothing),
        products.blueprint(nothing, nothing),
    )
    fulfil, cancel = (
        definition(fulfil_order.fulfil_order),
        definition(cancel_order.cancel_order_saga),
    )
    stages = [Stage(), Stage({"confirm_order": [FAULT]}), Stage({"reserve_stock": [FAULT]})]
    stages[-1].answers = {"reserve_stock": [FAULT], "release_stock": [FAULT]}

    for stage in stages:
        stage.play(fulfil)
    stages.append(Stage())
    stages[-1].play(cancel)

    called = {name for stage in stages for name in stage.calls}
    assert len(called) == 11
    assert called <= known
