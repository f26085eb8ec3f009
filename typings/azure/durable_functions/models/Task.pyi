from typing import Any

class TaskBase:
    id: int | str
    result: Any
    @property
    def is_completed(self) -> bool: ...

class TimerTask(TaskBase):
    @property
    def is_cancelled(self) -> bool: ...
    def cancel(self) -> None: ...
