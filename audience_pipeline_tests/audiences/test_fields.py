from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from audience_pipeline.audiences.fields import DTYPES, FIELDS, WINDOWS, Field, crm_field_name, fields_with

KNOWN_SOURCES = {
    "ltv_predictions",
    "customer_features",
    "customer_profile",
    "order_attribution",
    "customer_activity",
    "customer_segments",
    "identifiers",
    "consent",
    "crm_contacts",
}


@pytest.mark.parametrize("field", fields_with(["tier"]).values(), ids=lambda field: field.name)
def test_every_field_says_what_it_is_with_an_example_of_its_type(field: Field) -> None:
    assert field.meaning
    assert field.source in KNOWN_SOURCES
    if field.type == "boolean":
        assert field.example in ("true", "false")
    elif field.type == "date":
        assert date.fromisoformat(field.example)
    else:
        assert pl.Series([field.example]).cast(DTYPES[field.type], strict=True).null_count() == 0
    assert not field.allowed or field.example in field.allowed
    assert field.unit or field.type not in ("integer", "number")


def test_no_name_and_no_meaning_stands_for_two_fields() -> None:
    assert [name for name, field in FIELDS.items() if field.name != name] == []
    assert len({field.meaning for field in FIELDS.values()}) == len(FIELDS)


def test_every_window_has_the_same_fields() -> None:
    stems = [
        {name.removesuffix(f"_{days}d") for name in FIELDS if name.endswith(f"_{days}d")} for days in WINDOWS
    ]

    assert len(stems[0]) == 14
    assert all(stems[0] <= others for others in stems)


def test_kept_columns_become_text_fields_after_all_others() -> None:
    fields = fields_with(["Shoe Size", "tier"])

    assert list(fields) == [*FIELDS, "crm_shoe_size", "crm_tier"]
    assert (fields["crm_tier"].type, fields["crm_tier"].source) == ("text", "crm_contacts")


def test_without_kept_columns_the_fields_are_those_of_everybody() -> None:
    assert fields_with([]) == FIELDS


def test_a_column_named_twice_is_one_field() -> None:
    assert list(fields_with(["tier", "tier"])) == [*FIELDS, "crm_tier"]


def test_two_columns_that_would_be_one_field_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'Shoe Size' and 'shoe-size' would both become crm_shoe_size"):
        fields_with(["Shoe Size", "shoe-size"])


def test_a_column_without_a_letter_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'---' has no letter"):
        fields_with(["---"])


def test_a_field_of_a_column_can_stand_in_a_condition() -> None:
    assert crm_field_name("x'; drop table customers --") == "crm_x_drop_table_customers"
