"""Follows what platforms are still processing: all audiences of a run together, so that none waits alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from audience_pipeline.delivery.courier import Courier
from audience_pipeline.ledger.records import Batch
from audience_pipeline.platforms.contract import AudienceClient

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
"""Seconds between two rounds of questions."""
MOST_IN_VAIN = 20
"""Questions in a row whose answer is 'not yet', after which a round ends: the next one begins with others."""
MOST_IN_A_ROUND = 100
"""The same, for the one round over everything that earlier runs have left in flight."""
ATTENTION = 1.0
"""Seconds between two looks at whether the run is to end."""


@dataclass(slots=True)
class Following:
    """Batches that are being processed, and how long a run waits for them."""

    sleep: Callable[[float], None]
    patience: float
    """Seconds left."""
    stop: Callable[[], bool] = lambda: False
    """Whether somebody asks for the end of the run: nobody waits any longer then."""
    asking: Courier | None = None
    """Whose batch is asked for: whom an error concerns."""
    _queue: deque[tuple[Courier, str]] = field(default_factory=deque)
    _known: set[str] = field(default_factory=set)
    _pause: float = FIRST_PAUSE

    def watch(self, courier: Courier) -> None:
        """Follow all batches of a courier that are not followed yet."""
        for batch_id in courier.flights:
            if batch_id not in self._known:
                self._known.add(batch_id)
                self._queue.append((courier, batch_id))

    def drop(self, courier: Courier) -> None:
        """Follow none of a courier's batches any more in this run."""
        self._queue = deque((one, batch_id) for one, batch_id in self._queue if one is not courier)

    def drop_client(self, client: AudienceClient) -> None:
        """Follow nothing of an ad account any more in this run."""
        self._queue = deque((one, batch_id) for one, batch_id in self._queue if one.client is not client)

    def ask_all(self) -> list[Courier]:
        """Ask for every batch once; the couriers of those that are done.

        After many in a row that are not, the rest is left for later: opt-outs must not wait for the answers.

        Raises:
            PlatformError: nothing can be asked of the account of ``asking`` any more.
        """
        return self._ask(MOST_IN_A_ROUND)

    def wait(self) -> list[Courier]:
        """Wait until at least one batch is done: the couriers of those; none when patience is at an end.

        Raises:
            PlatformError: nothing can be asked of the account of ``asking`` any more.
        """
        while self._queue:
            done = self._ask(MOST_IN_VAIN)
            if done:
                self._pause = FIRST_PAUSE
                return done
            if self.patience <= 0 or not self._rest(min(self._pause, self.patience)):
                return []
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return []

    def _rest(self, seconds: float) -> bool:
        """Sleep; False when the run is to end."""
        self.patience -= seconds
        while seconds > 0:
            if self.stop():
                return False
            pause = min(seconds, ATTENTION)
            self.sleep(pause)
            seconds -= pause
        return not self.stop()

    def _ask(self, most_in_vain: int) -> list[Courier]:
        done: list[Courier] = []
        in_vain = 0
        for _ in range(len(self._queue)):
            courier, batch_id = self._queue.popleft()
            batch: Batch | None = courier.flights.get(batch_id)
            if batch is None:
                continue
            self.asking = courier
            if courier.landed(batch):
                in_vain = 0
                if not any(one is courier for one in done):
                    done.append(courier)
                continue
            self._queue.append((courier, batch_id))
            in_vain += 1
            if in_vain >= most_in_vain:
                break
        return done
