"""The report for people: one HTML file with everything in it, for a screen, a phone or paper."""

from __future__ import annotations

from importlib.resources import files

from audience_pipeline.ltv.report import Report
from audience_pipeline.ltv.report_sections import sections


def html_report(
    report: Report,
    *,
    title: str = "How good the customer values are",
    source: str | None = None,
    currency: str | None = None,
) -> str:
    """The report as a page that needs no other file.

    Args:
        report: Of a trained model or of a check.
        title: Of the page.
        source: What was read, such as the name of a file; shown as it is, whatever it contains.
        currency: Of all amounts.
    """
    from jinja2 import Environment, StrictUndefined

    page = files("audience_pipeline.ltv").joinpath("html_report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    as_of = report.summary.get("as_of")
    about = [f"Data: {source}." if source else "", f"As of {as_of}." if as_of else ""]
    unit = currency or "the currency of the data"
    return environment.from_string(page).render(
        title=title,
        subtitle=" ".join([*(part for part in about if part), f"Amounts in {unit}, net of returns."]),
        headlines=report.summary.get("headlines", []),
        warnings=report.summary.get("warnings", []),
        sections=sections(report, unit),
    )
