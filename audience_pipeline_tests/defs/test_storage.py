import os
import time
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from audience_pipeline.defs.storage import LEFT_BEHIND_SECONDS, ParquetIOManager, table_path, write_table

DAILY = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-05")
FRAME = pl.DataFrame({"customer_id": ["a", "b"], "orders": [1, 2]})


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def run(lake: Path, *assets: dg.AssetsDefinition, **options: object) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [*assets],
        resources={"io_manager": ParquetIOManager(lake=str(lake))},
        instance=dg.DagsterInstance.ephemeral(),
        raise_on_error=False,
        **options,
    )


def reasons(result: dg.ExecuteInProcessResult) -> str:
    messages = []
    for event in result.all_node_events:
        error = event.step_failure_data.error if event.is_step_failure else None
        while error is not None:
            messages.append(error.message)
            error = error.cause
    return "".join(messages)


@dg.asset(partitions_def=DAILY)
def per_day(context: dg.AssetExecutionContext) -> pl.DataFrame:
    return FRAME.with_columns(day=pl.lit(context.partition_key))


def test_a_table_without_partitions_is_one_file(lake: Path) -> None:
    @dg.asset(key=["meta", "numbers"])
    def numbers() -> pl.DataFrame:
        return FRAME

    result = run(lake, numbers)

    assert result.success
    assert_frame_equal(pl.read_parquet(lake / "meta" / "numbers.parquet"), FRAME)
    assert table_path(lake, "orders") == lake / "orders.parquet"


def test_a_partition_is_one_file_and_leaves_the_others_alone(lake: Path) -> None:
    assert run(lake, per_day, partition_key="2026-01-02").success
    before = table_path(lake, "per_day", "2026-01-02").read_bytes()
    assert run(lake, per_day, partition_key="2026-01-03").success

    assert sorted(path.name for path in (lake / "per_day").iterdir()) == [
        "2026-01-02.parquet",
        "2026-01-03.parquet",
    ]
    assert table_path(lake, "per_day", "2026-01-02").read_bytes() == before


def test_a_lazy_table_is_stored_like_a_collected_one(lake: Path) -> None:
    write_table(lake / "eager.parquet", FRAME)
    write_table(lake / "lazy.parquet", FRAME.lazy())

    assert_frame_equal(pl.read_parquet(lake / "lazy.parquet"), pl.read_parquet(lake / "eager.parquet"))


@pytest.mark.parametrize("kind", [pl.DataFrame, pl.LazyFrame])
def test_an_asset_gets_the_kind_of_table_that_it_asks_for(lake: Path, kind: type) -> None:
    given: list[object] = []

    def reader(per_day):
        given.append(per_day)

    reader.__annotations__ = {"per_day": kind, "return": None}
    wanted = dg.asset(partitions_def=DAILY)(reader)

    assert run(lake, per_day, wanted, partition_key="2026-01-02").success

    [frame] = given
    assert isinstance(frame, kind)
    assert_frame_equal(frame.lazy().collect(), FRAME.with_columns(day=pl.lit("2026-01-02")))


def test_several_partitions_are_read_as_one_table(lake: Path) -> None:
    days: list[str] = []

    @dg.asset(ins={"per_day": dg.AssetIn(partition_mapping=dg.AllPartitionMapping())})
    def everything(per_day: pl.LazyFrame) -> None:
        days.extend(per_day.select("day").unique().sort("day").collect()["day"])

    for day in DAILY.get_partition_keys():
        assert run(lake, per_day, partition_key=day).success
    assert run(lake, per_day, everything, selection=[everything]).success

    assert days == DAILY.get_partition_keys()


def test_a_partition_that_is_not_there_yet_is_named(lake: Path) -> None:
    @dg.asset(partitions_def=DAILY)
    def reader(per_day: pl.LazyFrame) -> None:
        per_day.collect()

    result = run(lake, per_day, reader, selection=[reader], partition_key="2026-01-02")

    assert not result.success
    assert "per_day: 2026-01-02.parquet is not there yet; materialise it first" in reasons(result)


def test_one_output_for_several_partitions_is_refused(lake: Path) -> None:
    @dg.asset(partitions_def=DAILY, backfill_policy=dg.BackfillPolicy.single_run())
    def ranged() -> pl.DataFrame:
        return FRAME

    tags = {
        "dagster/asset_partition_range_start": "2026-01-01",
        "dagster/asset_partition_range_end": "2026-01-03",
    }
    result = run(lake, ranged, tags=tags)

    assert not result.success
    assert "one output for 3 partitions" in reasons(result)
    assert not lake.exists()


def test_a_table_that_cannot_be_written_leaves_the_earlier_one_as_it_was(lake: Path) -> None:
    path = table_path(lake, "orders")
    write_table(path, FRAME)
    before = path.read_bytes()
    broken = FRAME.lazy().select(pl.col("customer_id").str.to_integer())

    with pytest.raises(pl.exceptions.PolarsError):
        write_table(path, broken)

    assert path.read_bytes() == before
    assert list(lake.glob("*.parquet")) == [path]


def test_what_a_killed_process_left_behind_is_in_nobodys_way(lake: Path) -> None:
    path = table_path(lake, "orders")
    path.parent.mkdir(parents=True)
    left = path.with_name(".orders.parquet.dead.partial")
    left.write_bytes(b"half a table")
    os.utime(left, (time.time() - 2 * LEFT_BEHIND_SECONDS,) * 2)

    write_table(path, FRAME)

    assert_frame_equal(pl.read_parquet(path), FRAME)
    assert list(lake.iterdir()) == [path]


def test_metadata_describes_a_table_without_showing_its_contents(lake: Path) -> None:
    secret = "do-not-show-me"

    @dg.asset(partitions_def=DAILY)
    def people() -> pl.DataFrame:
        return pl.DataFrame({"customer_id": [secret, "b", "c"]})

    result = run(lake, people, partition_key="2026-01-02")

    [event] = result.asset_materializations_for_node("people")
    assert event.metadata["dagster/partition_row_count"].value == 3
    assert event.metadata["dagster/uri"].value == "lake/people/2026-01-02.parquet"
    assert [column.name for column in event.metadata["dagster/column_schema"].schema.columns] == [
        "customer_id"
    ]
    assert secret not in str(event.metadata)
