"""Step-up: what can be undone by nobody is asked only of who proved a moment ago who it is."""

import time
from collections.abc import Callable

from shared.auth.caller import Caller
from shared.problem import RecentSignInRequired

MAX_AGE_S = 300
CLOCKS_DIFFER_S = 30
"""How far the directory's clock may be behind ours."""


class StepUp:
    """Knows how recent a sign-in has to be (`auth_time` of OpenID Connect Core §2)."""

    def __init__(
        self, max_age_s: int = MAX_AGE_S, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._max_age_s, self._clock = max_age_s, clock

    def check(self, caller: Caller) -> None:
        """Raises RecentSignInRequired unless the caller signed in within the last `max_age_s`.

        A token that does not tell when the person signed in does not pass.
        """
        at = caller.signed_in_at
        if at is None or self._clock() - at > self._max_age_s + CLOCKS_DIFFER_S:
            raise RecentSignInRequired(
                "this needs a recent sign-in: sign in again, then repeat the request",
                max_age_s=self._max_age_s,
            )
