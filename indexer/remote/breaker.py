"""When a remote is not asked: after failures in a row, until one caller's probe has passed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, cast

from interlock import CircuitBreaker, CircuitOpenError, Config

if TYPE_CHECKING:
    from interlock import Outcome
    from interlock import State as Inner

T = TypeVar("T")
Call = Callable[[], Awaitable[T]]
State = Literal["closed", "open", "half_open"]
OnChange = Callable[[str, State], None]


class RemoteUnavailableError(Exception):
    """The remote was not asked, or did not answer in time."""


class BreakerOpenError(RemoteUnavailableError):
    """The remote failed again and again, and is left alone for a moment: it was not asked."""


class Breaker(Protocol):
    """What a guard needs of a breaker."""

    @property
    def state(self) -> State:
        """Whether calls pass (`closed`), none does (`open`), or one caller's probe is on its way (`half_open`)."""

    async def call(self, call: Call[T]) -> T:
        """Pass a call on and note how it went. Raises BreakerOpenError instead, and what the call raises."""


class Interlock:
    """A breaker that opens after failures in a row, and lets one probe through when it has been open for a while.

    A call that is cancelled says nothing: it neither opens nor closes, and gives its place as the probe back.
    """

    def __init__(
        self, name: str, *, failures: int, pause: float, answers: tuple[type[Exception], ...], on_change: OnChange
    ) -> None:
        self._breaker = CircuitBreaker(
            name=name,
            config=Config(
                failure_rate_threshold=1.0,
                minimum_number_of_calls=failures,
                window_size=failures,
                permitted_calls_in_half_open=1,
                wait_duration_in_open=pause,
            ),
            classifier=_Classifier(answers),
            listener=_Listener(on_change),
        )

    @property
    def state(self) -> State:
        """The state as of the last call: `open` turns into `half_open` by a call, not by itself."""
        return cast("State", self._breaker.state.value)

    async def call(self, call: Call[T]) -> T:
        """Pass a call on and note how it went. Raises BreakerOpenError instead, and what the call raises."""
        try:
            return await self._breaker.call_async(call)
        except CircuitOpenError as error:
            raise BreakerOpenError(f"{self._breaker.name} did not answer lately and was not asked") from error


class _Classifier:
    """An error that is an answer shows that the remote is alive."""

    def __init__(self, answers: tuple[type[Exception], ...]) -> None:
        self._answers = answers

    def is_failure(self, *, result: object, exception: Exception | None) -> bool:  # noqa: ARG002 - interlock's form
        return exception is not None and not isinstance(exception, self._answers)


class _Listener:
    """Hands changes of the state on; the rest is counted by the guard."""

    def __init__(self, on_change: OnChange) -> None:
        self._on_change = on_change

    def on_state_change(self, *, name: str, old: Inner, new: Inner) -> None:  # noqa: ARG002 - interlock's form
        self._on_change(name, cast("State", new.value))

    def on_call(self, *, name: str, outcome: Outcome, duration: float) -> None:
        pass

    def on_rejected(self, *, name: str) -> None:
        pass

    def on_reset(self, *, name: str) -> None:
        pass
