"""The folder that ``ltv train`` writes: whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from audience_pipeline.ltv.training import Trained

OUTLIERS = "outliers.csv"


def usable(folder: Path) -> str | None:
    """Why a model cannot be written there, or None."""
    if folder.is_file():
        return f"{folder} is a file; name a folder that the model is written to"
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "model.json").is_file():
        return f"{folder} holds other files; name an empty or a new folder, or one that holds a model"
    above = next(place for place in folder.resolve().parents if place.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        return f"{folder}: nothing can be written to {above}; name a folder elsewhere"
    return None


def write(folder: Path, trained: Trained, page: str) -> None:
    """The model, what training found out, as data and as page, and the giant orders it has set aside.

    An earlier model stands until this one is there.
    """
    folder = folder.resolve()
    fresh, before = (folder.with_name(f".{folder.name}.{word}") for word in ("partial", "before"))
    for left_over in (fresh, before):
        shutil.rmtree(left_over, ignore_errors=True)
    trained.model.save(fresh)
    (fresh / "report.json").write_text(trained.report.as_json(), encoding="utf-8")
    (fresh / "report.html").write_text(page, encoding="utf-8")
    if trained.outliers.height:
        trained.outliers.write_csv(fresh / OUTLIERS)
    if folder.exists():
        folder.rename(before)
    fresh.rename(folder)
    shutil.rmtree(before, ignore_errors=True)
