"""The one error of this package: what is wrong with which file, where, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audience_pipeline.sources.report import LandingReport


class SourceError(Exception):
    """A file cannot be landed. One sentence for a person; never a value of a row.

    Attributes:
        report: what was found in the file, where it could be read at all.
    """

    def __init__(
        self,
        file: str,
        reason: str,
        remedy: str = "",
        *,
        line: int | None = None,
        field: str | None = None,
        report: LandingReport | None = None,
    ) -> None:
        self.file, self.line, self.field = file, line, field
        self.reason, self.remedy, self.report = reason, remedy, report
        place = file
        if line is not None:
            place += f", line {line:,}"
        if field:
            place += f", {field}"
        super().__init__(f"{place}: {reason}" + (f"; {remedy}" if remedy else "") + ".")
