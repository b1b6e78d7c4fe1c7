from __future__ import annotations

from html.parser import HTMLParser

import pytest

from audience_pipeline.ltv import charts
from audience_pipeline.ltv.held import HeldOut
from audience_pipeline.ltv.html_report import html_report
from audience_pipeline.ltv.report import Report, build_report
from audience_pipeline_tests.ltv.held_frames import IMPORTANCES, make_held

VOID = {"meta", "img", "br"}
HOSTILE = "<script>alert('$1$')</script>"


class Page(HTMLParser):
    """The tags of a page, with what is missing for those who cannot see it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.ids.add(found.get("id") or "")
        if tag == "img":
            self.images.append(found)
        for name in ("href", "src"):
            if name in found:
                self.links.append(str(found[name]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report(
        held=make_held(),
        later=make_held(200, seed=9),
        importances=IMPORTANCES,
        summary={"as_of": "2025-12-31", "customers": 600},
    )


@pytest.fixture(scope="module")
def text(report: Report) -> str:
    return html_report(report, source=f"{HOSTILE}.csv", currency="EUR")


def test_the_page_is_well_formed_and_has_everything_in_it(text: str) -> None:
    page = Page(text)

    assert page.open == []
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert len(text) < 1_000_000


def test_hostile_names_are_text_and_nothing_else(text: str) -> None:
    assert HOSTILE not in text
    assert "&lt;script&gt;alert(&#39;$1$&#39;)&lt;/script&gt;" in text


def test_tables_have_captions_and_pictures_have_words(text: str) -> None:
    page = Page(text)

    assert page.tags.count("table") == page.tags.count("caption") >= 10
    assert len(page.images) >= 7
    assert all(len(image["alt"] or "") > 20 for image in page.images)
    assert '<html lang="en">' in text


def test_the_page_says_what_the_report_says(report: Report, text: str) -> None:
    for sentence in report.summary["headlines"] + report.summary["warnings"]:
        assert sentence in text
    quintile = report.quintile_table().row(0, named=True)
    assert f"{quintile['predicted_ltv']:,.2f}" in text
    assert f"{quintile['actual_ltv']:,.2f}" in text
    assert "A later cohort" in text
    assert "EUR" in text


def test_the_same_report_makes_the_same_page(report: Report, text: str) -> None:
    assert html_report(report, source=f"{HOSTILE}.csv", currency="EUR") == text


def test_a_report_of_nobody_is_a_page_too() -> None:
    held = make_held(10)
    nobody = HeldOut(held.ltv.clear(), held.next_12m.clear())

    text = html_report(build_report(held=nobody, later=None, importances=IMPORTANCES.clear(), summary={}))

    assert "No customer has been observed long enough" in text


def test_pictures_are_small_files_of_one_size(report: Report) -> None:
    found = charts.pictures(report)

    assert {"quintiles", "calibration", "reliability", "coverage", "gain", "importance"} < set(found)
    for png in found.values():
        assert png.startswith(b"\x89PNG")
        assert (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) == (704, 396)
        assert len(png) < 80_000
    assert charts.pictures(report) == found


def test_a_tenth_that_spent_nothing_or_less_can_be_drawn() -> None:
    held = make_held(100)
    returned = held.next_12m.with_columns(actual=-held.next_12m["actual"])

    tables = build_report(held=HeldOut(held.ltv, returned), later=None, importances=IMPORTANCES, summary={})

    assert charts.calibration_chart(tables, "next_12m").startswith(b"\x89PNG")
