"""Deliveries to several audiences, said shortly."""

from __future__ import annotations

from functools import partial

from audience_pipeline.delivery.run import Task


def tasks(**audiences) -> list[Task]:
    return [Task(name, partial(lambda frame: frame, frame)) for name, frame in audiences.items()]


def states(result) -> list[str]:
    return [report.word for report in result.reports]
