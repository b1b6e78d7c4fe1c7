from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.audiences.match_rate import ExpectedMatches, Range
from audience_pipeline.audiences.page import (
    HEIGHT,
    WIDTH,
    Arrived,
    OnPlatform,
    Overlaps,
    Page,
    PageAudience,
    html_page,
    sparkline,
)
from audience_pipeline.platforms.contract import Platform

TODAY = date(2026, 3, 15)
HOSTILE = "\"><script>alert('$1$')</script><img src=x onerror=alert(1)>"
VOID = {"meta", "line", "polyline", "circle"}


class Read(HTMLParser):
    """The tags of a page, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [str(found[name]) for name in ("href", "src") if name in found]
        self.handlers += [name for name in found if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def on_platform(platform: Platform = Platform.META, sendable: int = 700) -> OnPlatform:
    rate = Range(0.4, 0.5, 0.6)
    left_out = {"holdout": 100, "opted_out": 50, "no_consent": 80, "no_identifier": 70}
    expected = ExpectedMatches(sendable, rate, rate.times(sendable), "from the identifiers")
    return OnPlatform(platform, sendable, left_out, expected, 100)


def audience(name: str = "big_spenders", size: int | None = 1_000, **changes: object) -> PageAudience:
    given: dict[str, object] = {
        "name": name,
        "description": "Who has spent much.",
        "size": size,
        "change": (1_234, 56),
        "sizes": [(TODAY - timedelta(days=1), 900), (TODAY, 1_000)],
        "platforms": [on_platform()],
    }
    return PageAudience(**(given | changes))  # type: ignore[arg-type]


def page(*audiences: PageAudience, overlaps: Overlaps | None = None, shop: str = "shop") -> str:
    before = TODAY - timedelta(days=1)
    return html_page(Page(shop, TODAY, before, 12_345, audiences, overlaps or Overlaps()))


def words(text: str) -> str:
    return " ".join(" ".join(Read(text).texts).split())


def test_the_page_is_well_formed_and_asks_for_nothing_from_elsewhere() -> None:
    text = page(
        audience(), audience("others"), overlaps=Overlaps(["big_spenders", "others"], [[3, 1], [1, 2]])
    )
    read = Read(text)

    assert read.open == []
    assert "script" not in read.tags
    assert {link[0] for link in read.links} == {"#"}
    assert {link[1:] for link in read.links} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert "http://" not in text.replace('http-equiv="', "")
    assert "https://" not in text


def test_an_audience_shows_size_change_and_what_becomes_of_its_members() -> None:
    said = words(page(audience()))

    for text in (
        "12,345 customers",
        "1,000",
        "+1,234 \u221256",
        "700",
        "350 (280 to 420)",
        "Who has spent much.",
    ):
        assert text in said
    assert "Changes since 2026-03-14." in said
    assert "needs attention" not in said


def test_what_arrived_stands_beside_what_is_expected_with_bounds_and_date() -> None:
    arrived = Arrived(690, "300 to 400", "43 to 58 %", "size over people sent", TODAY, "settled")

    said = words(page(audience(platforms=[replace(on_platform(), arrived=arrived)])))

    assert "690 (settled) 300 to 400 (43 to 58 %, read 2026-03-15)" in said
    assert "never delivered" not in said
    assert "never delivered not known" in words(page(audience()))


def test_a_platform_that_has_said_nothing_yet_has_no_figure() -> None:
    arrived = Arrived(690, "-", "-", "the platform shows no size yet", None, "processing")

    said = words(page(audience(platforms=[replace(on_platform(), arrived=arrived)])))

    assert "690 (processing) not known" in said


def test_the_bar_of_a_platform_shows_all_members_of_the_audience() -> None:
    text = page(audience())

    for kind, share in (
        ("sent", 70),
        ("holdout", 10),
        ("opted_out", 5),
        ("no_consent", 8),
        ("no_identifier", 7),
    ):
        assert f'<span class="{kind}" style="width: {share}.0%">' in text


def test_hostile_names_are_shown_as_they_are_and_do_nothing() -> None:
    hostile = audience(HOSTILE, description=HOSTILE, warnings=[HOSTILE])
    read = Read(page(hostile, overlaps=Overlaps([HOSTILE, "b"], [[1, 0], [0, 1]]), shop=HOSTILE))

    assert not {"script", "img"} & set(read.tags)
    assert read.handlers == []
    assert HOSTILE in read.texts


def test_warnings_stand_on_top_and_beside_the_audience() -> None:
    said = words(page(audience(), audience("empty_one", 0, warnings=["Nobody is in it."])))

    assert "1 needs attention." in said
    assert said.count("Nobody is in it.") == 2


def test_what_is_not_known_is_said_to_be_so() -> None:
    unknown = audience(
        size=None,
        change=None,
        sizes=[],
        platforms=[OnPlatform(Platform.TIKTOK, 0, dict.fromkeys(on_platform().left_out, 0), None, 1_000)],
    )
    said = words(page(unknown))

    assert "not known" in said
    assert "first date" in said
    assert "new" in said


def test_a_platform_that_an_audience_does_not_name_has_a_dash() -> None:
    said = words(page(audience(), audience("others", platforms=[on_platform(Platform.GOOGLE)])))

    assert "meta google" in said
    assert "\u2013" in said


@pytest.mark.parametrize("count", [0, 1, 1_000])
def test_there_may_be_any_number_of_audiences(count: int) -> None:
    text = page(*(audience(f"audience_{number}") for number in range(count)))

    assert Read(text).tags.count("article") == count
    assert f"{count} audience{'' if count == 1 else 's'} of" in words(text)
    assert len(text) < 10_000 + 8_000 * count


def test_many_warnings_do_not_push_the_audiences_off_the_page() -> None:
    said = words(page(*(audience(f"audience_{number}", warnings=["Odd."]) for number in range(60))))

    assert "and 10 more: they are marked below" in said


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=90))
def test_a_history_stays_in_its_picture_and_goes_from_left_to_right(numbers: list[int]) -> None:
    points = sparkline([(TODAY + timedelta(days=day), size) for day, size in enumerate(numbers)])

    assert len(points) == len(numbers)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    most = max(numbers)
    assert points[numbers.index(most)][1] == min(y for _, y in points)


def test_one_date_is_no_history() -> None:
    assert sparkline([(TODAY, 5)]) == ()
