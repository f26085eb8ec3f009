from typing import Any

class EntityStateResponse:
    @property
    def entity_exists(self) -> bool: ...
    @property
    def entity_state(self) -> Any: ...
