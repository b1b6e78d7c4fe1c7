from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from audience_pipeline.audiences.policy import SOURCES, TOPICS, flagged
from audience_pipeline.platforms.contract import Platform

SHIPPED = sorted((Path(__file__).parents[2] / "audiences").glob("[!_]*.yaml"))


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("diabetics_winback", "health"),
        ("low_income_buyers", "money trouble"),
        ("people with low income", "money trouble"),
        ("muslim_holidays", "religion or belief"),
        ("refugees", "ethnic origin"),
        ("gay_travel", "sexual orientation or sex life"),
        ("trade_union_members", "politics or a trade union"),
        ("under_18", "the age of minors"),
        ("ex_offenders", "a criminal record"),
        ("recently_divorced", "personal hardship"),
        ("Schwangere", "health"),
        ("Überschuldete Haushalte", "money trouble"),
        ("personnes surendettées", "money trouble"),
        ("embarazadas", "health"),
        ("jóvenes menores", "the age of minors"),
    ],
)
def test_a_hint_in_any_of_four_languages_is_flagged(text: str, topic: str):
    assert {flag.topic for flag in flagged(text, "")} == {topic}
    assert {flag.topic for flag in flagged("", text)} == {topic}


@pytest.mark.parametrize(
    "disguised", ["d\u0456abetics", "\uff44iabetics", "d1abet1cs", "dia\u200bbetics", "DIABÉTICS"]
)
def test_look_alike_letters_and_invisible_ones_hide_nothing(disguised: str):
    assert [flag.topic for flag in flagged(disguised, "")] == ["health"]


@pytest.mark.parametrize(
    "harmless",
    [
        "race_shoes",
        "Christian Dior at Christmas",
        "a treatment arm of a test",
        "a minor change",
        "poor match rates",
        "first_class_passengers",
        "essential_oils",
        "kids_shoes_buyers",
        "debit_card_payers",
        "sicily_travellers",
    ],
)
def test_whole_words_count_and_everyday_ones_do_not(harmless: str):
    assert flagged(harmless, harmless) == []


def test_a_flag_says_where_what_why_and_what_to_do():
    [flag] = flagged("diabetics", "")

    assert flag.sentence.startswith(
        "the name says 'diabetics', which hints at health: meta, google, tiktok may"
    )
    assert "name it after what people did" in flag.sentence


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_audiences_that_ship_are_not_flagged(path: Path):
    shipped = yaml.safe_load(path.read_text(encoding="utf-8"))

    assert flagged(shipped["name"], shipped["description"]) == []


def test_every_word_of_the_lists_is_found_as_it_is_written_there():
    for topic in TOPICS:
        for entry in topic.words.split():
            assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*\*?", entry)
            text = entry.removesuffix("*").replace("_", " ")
            assert topic.name in {flag.topic for flag in flagged(text, "")}, entry


def test_each_platform_says_where_its_topics_come_from():
    assert set(SOURCES) == set(Platform)
