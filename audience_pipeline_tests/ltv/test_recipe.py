from __future__ import annotations

import ast
from datetime import date, timedelta
from pathlib import Path

import polars as pl

import audience_pipeline
from audience_pipeline.ltv.recipe import code_files, fingerprint, recipe_of

AS_OF = date(2025, 3, 31)
ACTIVITY = pl.DataFrame(
    {"customer_id": ["a"], "activity_date": [AS_OF], "activity": ["web:page_view"], "events": [1]}
)


def test_the_fingerprint_sees_rows_and_not_their_order(shop_orders: pl.DataFrame) -> None:
    found = fingerprint(shop_orders.lazy(), AS_OF)

    mixed = shop_orders.sample(fraction=1, shuffle=True, seed=5)
    later = shop_orders.with_columns(pl.lit(AS_OF + timedelta(days=1)).alias("order_date"))
    assert fingerprint(mixed.lazy(), AS_OF) == found
    assert fingerprint(pl.concat([shop_orders, later]).lazy(), AS_OF) == found
    changed = shop_orders.with_columns(pl.col("amount_minor") + (pl.col("order_id") == "o7"))
    assert fingerprint(changed.lazy(), AS_OF) != found
    assert fingerprint(shop_orders.head(-1).lazy(), AS_OF) != found
    assert fingerprint(shop_orders.lazy(), AS_OF, ACTIVITY.lazy()) != found


def test_the_fingerprint_sees_which_categories_were_bought_together(shop_orders: pl.DataFrame) -> None:
    found = fingerprint(shop_orders.lazy(), AS_OF)

    more = pl.when(pl.col("order_id") == "o7").then(pl.lit(["books", "toys"])).otherwise(pl.col("categories"))
    turned = pl.when(pl.col("order_id") == "o7").then(pl.lit(["toys", "books"])).otherwise("categories")
    digests = {fingerprint(shop_orders.with_columns(one.alias("categories")).lazy(), AS_OF)
               for one in (more, turned)}  # fmt: skip
    assert len(digests | {found}) == 3


def test_a_recipe_changes_with_whatever_changes_the_model(shop_orders: pl.DataFrame) -> None:
    recipe = recipe_of(shop_orders.lazy(), AS_OF)

    assert recipe_of(shop_orders.lazy(), AS_OF).digest == recipe.digest
    assert recipe_of(shop_orders.lazy(), AS_OF, seed=8).digest != recipe.digest
    assert recipe_of(shop_orders.lazy(), AS_OF - timedelta(days=1)).digest != recipe.digest


def test_the_code_of_a_recipe_is_what_decides_what_a_model_says() -> None:
    """A word changed in a chart must not train every shop's model anew."""
    names = {f"{file.parent.name}/{file.name}" for file in code_files()}

    assert {f"customers/{name}.py" for name in ("orders", "order_rows", "arrays")} <= names
    assert "features/customer_features.py" in names
    assert {f"ltv/{name}.py" for name in ("training", "model", "boosters", "scoring", "snapshots")} <= names
    shown = ("charts", "report", "registry", "challenge", "drift", "champion_history", "files", "recipe")
    assert not {f"ltv/{name}.py" for name in shown} & names


def imported(file: Path) -> set[Path]:
    """Files of the orders, the features and the value model that a file imports."""
    root = Path(audience_pipeline.__file__).parent
    names = {
        node.module
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    paths = {root.parent / Path(*name.split(".")).with_suffix(".py") for name in names}
    return {path for path in paths if path.is_file() and path.parent.name in {"customers", "features", "ltv"}}


def test_whatever_training_and_scoring_import_counts_but_for_the_report() -> None:
    shown = {"report", "importances", "reasons"}
    seen: set[Path] = set()
    waiting = {
        Path(audience_pipeline.__file__).parent / f"{name}.py"
        for name in ("customers/orders", "ltv/training", "ltv/scoring")
    }
    while waiting:
        file = waiting.pop()
        seen.add(file)
        waiting |= {one for one in imported(file) if one.stem not in shown} - seen

    assert len(seen) > 15
    assert seen <= set(code_files())
