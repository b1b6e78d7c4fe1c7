"""The shop's calendar: when people come, and how fast the clock of their purchases runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

import numpy as np

from audience_pipeline.sandbox.shop.draws import Floats, Ints
from audience_pipeline.sandbox.shop.parameters import FUTURE_DAYS, ShopParameters

PHASES = 13
"""Personal seasons: 0 is none, 1 to 12 the month of the year in which a customer buys most."""

_TAIL_DAYS = 1_500
_WEEKDAYS = np.array([0.15, 0.05, 0.0, 0.1, -0.05, -0.45, 0.2]) / 0.45
_PEAK_DAY = 338
_PEAK_WIDTH = 15.0


@dataclass(frozen=True, slots=True)
class Calendar:
    """Day 0 is the day on which the shop opens; times are days as floats."""

    days: int
    horizon: int
    """Days of history and future together."""
    new_customers: Floats
    """Cumulative share of all new customers by the end of each day of history."""
    peak: Floats
    """0 to 1 for each day: how near the height of the Christmas season it is."""
    clock: Floats
    """(PHASES, days + 1): purchases of a customer of rate 1 expected up to the start of each day."""
    ladder: Floats
    """The clocks of all phases one above the other, for one search in all of them."""
    rung: float
    """How far apart the clocks stand on the ladder."""

    def elapsed(self, phase: Ints, time: Floats) -> Floats:
        """The reading of a customer's purchase clock at a time; shapes (n,)."""
        day = np.minimum(time.astype(np.int64), self.clock.shape[1] - 2)
        before = self.clock[phase, day]
        reading: Floats = before + (time - day) * (self.clock[phase, day + 1] - before)
        return reading

    def when(self, phase: Ints, reading: Floats) -> Floats:
        """The time at which a customer's clock reads that; the end of the calendar for later ones."""
        size = self.clock.shape[1]
        wanted = np.minimum(reading, self.clock[phase, -1]) + self.rung * phase
        position = np.clip(np.searchsorted(self.ladder, wanted), phase * size + 1, (phase + 1) * size - 1)
        low, high = self.ladder[position - 1], self.ladder[position]
        time: Floats = position - 1 - phase * size + np.clip((wanted - low) / (high - low), 0.0, 1.0)
        return time


@lru_cache(maxsize=4)
def calendar(parameters: ShopParameters) -> Calendar:
    """The calendar of a shop."""
    horizon = parameters.days + FUTURE_DAYS
    day = np.arange(horizon + _TAIL_DAYS)
    first = parameters.first_day
    weekday = 1.0 + parameters.weekday * _WEEKDAYS[(first.weekday() + day) % 7]
    of_year = np.array([(first + timedelta(days=int(d))).timetuple().tm_yday for d in day])
    peak = np.exp(-0.5 * ((of_year - _PEAK_DAY) / _PEAK_WIDTH) ** 2)

    growth = (1.0 + parameters.growth) ** (day / 365.25)
    arrivals = (growth * weekday * (1.0 + parameters.acquisition_peak * peak))[: parameters.days]

    angle = 2.0 * np.pi * of_year / 365.25
    common = weekday * (1.0 + parameters.order_peak * peak) * (1.0 - parameters.yearly_season * np.sin(angle))
    months = np.arange(1, PHASES)[:, None]
    personal = 1.0 + parameters.personal_season * np.cos(angle - 2.0 * np.pi * (months - 0.5) / 12.0)
    pace = common * np.vstack([np.ones_like(angle), personal])
    pace = pace / pace[:, :1461].mean(axis=1, keepdims=True) / 365.25
    clock = np.hstack([np.zeros((PHASES, 1)), np.cumsum(pace, axis=1)])
    rung = float(clock[:, -1].max()) + 1.0
    return Calendar(
        days=parameters.days,
        horizon=horizon,
        new_customers=np.cumsum(arrivals) / arrivals.sum(),
        peak=peak,
        clock=clock,
        ladder=(clock + rung * np.arange(PHASES)[:, None]).ravel(),
        rung=rung,
    )
