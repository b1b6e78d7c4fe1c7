"""What a training works on, for tests of its steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from audience_pipeline.ltv.calibrating import Forecasts
from audience_pipeline.ltv.fitting import Base, HeldOutlook
from audience_pipeline.ltv.matrix import Encoder
from audience_pipeline.ltv.rows import Rows
from audience_pipeline.ltv.training import Trained


@dataclass(frozen=True)
class Workshop:
    """What a training works on, as it passes from one step to the next."""

    trained: Trained
    rows: Rows
    base: Base
    encoder: Encoder
    held: HeldOutlook
    newest: date
    forecasts: Forecasts
