from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.ltv import promotion, registry, store
from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.recipe import recipe_of
from audience_pipeline.ltv.service.models import Current, Folder, Follower, Registry, Served
from audience_pipeline.ltv.training import Trained
from audience_pipeline.ltv.verdict import Verdict


@dataclass
class Shelf:
    """A registry whose champion is set by hand."""

    model: LtvModel
    champion: str | None = "1"
    broken: Exception | None = None
    loaded: list[str] = field(default_factory=list)
    changes: bool = True
    asked: threading.Event = field(default_factory=threading.Event)

    def latest(self) -> str | None:
        self.asked.set()
        if self.broken:
            raise self.broken
        return self.champion

    def load(self, version: str) -> LtvModel:
        self.loaded.append(version)
        return self.model


def no_warm_up(served: Served) -> None:
    pass


def version(current: Current) -> str | None:
    return current.served and current.served.version


def test_a_new_champion_answers_after_the_next_look_and_is_loaded_once(model: LtvModel) -> None:
    shelf = Shelf(model)
    current = Current(shelf, no_warm_up)
    current.refresh()
    current.refresh()
    assert version(current) == "1"

    shelf.champion = "2"
    current.refresh()
    current.refresh()

    assert version(current) == "2"
    assert shelf.loaded == ["1", "2"]


def test_the_model_before_goes_on_answering_where_the_registry_fails(model: LtvModel) -> None:
    shelf = Shelf(model)
    current = Current(shelf, no_warm_up)
    current.refresh()

    shelf.broken = ConnectionError("postgresql://user:password@host")
    current.refresh()

    assert version(current) == "1"
    assert current.failures == 1
    assert current.failure == "ConnectionError while reading from the registry"

    shelf.broken, shelf.champion = None, "2"
    current.refresh()

    assert version(current) == "2"
    assert current.failure is None


def test_a_model_that_cannot_score_does_not_get_to_answer(model: LtvModel) -> None:
    def warm_up(served: Served) -> None:
        if served.version == "2":
            raise ValueError("the model lacks a feature")

    shelf = Shelf(model)
    current = Current(shelf, warm_up)
    current.refresh()

    shelf.champion = "2"
    current.refresh()

    assert version(current) == "1"
    assert current.failure == "the model lacks a feature"


def test_without_a_champion_there_is_none_until_one_comes(model: LtvModel) -> None:
    shelf = Shelf(model, champion=None)
    current = Current(shelf, no_warm_up)
    current.refresh()
    assert current.served is None
    assert "no champion yet" in (current.failure or "")

    shelf.champion = "1"
    current.refresh()

    assert version(current) == "1"


def test_a_registry_is_followed_in_the_background_and_a_folder_is_not(model: LtvModel, folder: Path) -> None:
    shelf = Shelf(model)
    follower = Follower(Current(shelf, no_warm_up), 0.001)
    follower.start()
    assert shelf.asked.wait(10)
    follower.stop()

    threads = threading.active_count()
    current = Current(Folder(folder), no_warm_up)
    current.refresh()
    Follower(current, 0.001).start()
    assert threading.active_count() <= threads


def test_the_one_version_that_is_to_answer_is_asked_for_until_it_is_there(model: LtvModel) -> None:
    shelf = Shelf(model, broken=OSError("no such host"), changes=False)
    current = Current(shelf, no_warm_up)
    current.refresh()
    shelf.asked.clear()

    follower = Follower(current, 0.001)
    follower.start()

    assert shelf.asked.wait(10)
    shelf.broken = None
    follower._thread.join(10)
    assert version(current) == "1"
    assert not follower._thread.is_alive()


def test_the_version_of_a_folder_is_that_of_the_batch_command(model: LtvModel, folder: Path) -> None:
    assert Folder(folder).latest() == str(model.as_of)


@pytest.mark.filterwarnings("ignore")
def test_the_champion_of_a_registry_answers_until_another_is_promoted(
    trained: Trained, shop_orders: pl.DataFrame, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    current = Current(Registry(uri, tmp_path / "cache"), no_warm_up)
    current.refresh()
    assert current.served is None
    assert not (tmp_path / "mlflow.db").exists()
    store.prepare(uri)
    current.refresh()
    assert "no champion yet" in (current.failure or "")

    recipe = recipe_of(shop_orders.lazy(), trained.model.as_of)
    for data in ("first", "second"):
        registry.register(
            trained,
            replace(recipe, data=data),
            Verdict(promoted=True, reason="Better."),
            tracking_uri=uri,
            artifacts=tmp_path / "artifacts",
        )
        current.refresh()

    assert version(current) == "2"
    assert current.failure is None
    promotion.roll_back(uri)
    current.refresh()
    assert version(current) == "1"
    assert Registry(uri, tmp_path / "cache", "2").latest() == "2"
