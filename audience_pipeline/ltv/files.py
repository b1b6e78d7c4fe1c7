"""What is kept of a training: the files of a run, and its figures under stable names."""

from __future__ import annotations

import json
import re
from pathlib import Path

from audience_pipeline.ltv.charts import pictures
from audience_pipeline.ltv.drift import Reference
from audience_pipeline.ltv.importances import with_descriptions
from audience_pipeline.ltv.training import Trained
from audience_pipeline.ltv.verdict import Verdict

MODEL, REPORT, REFERENCE, HTML = "model", "report.json", "drift_reference.json", "report.html"
VERDICT = "verdict.json"


def write_files(
    root: Path, trained: Trained, verdict: Verdict, reference: Reference | None, html: str | None
) -> None:
    """Write the model folder, the report as data, as page and as pictures, and the verdict into ``root``."""
    report = trained.report
    trained.model.save(root / MODEL)
    (root / REPORT).write_text(report.as_json(), encoding="utf-8")
    (root / VERDICT).write_text(json.dumps(verdict.as_dict(), indent=1) + "\n", encoding="utf-8")
    if reference is not None:
        (root / REFERENCE).write_text(reference.as_json(), encoding="utf-8")
    if html is not None:
        (root / HTML).write_text(html, encoding="utf-8")
    with_descriptions(report.importances).write_csv(root / "feature_importance.csv")
    for name, png in pictures(report).items():
        (root / f"{name}.png").write_bytes(png)


def flat_metrics(trained: Trained) -> dict[str, float]:
    """The report's figures under stable names, such as ``ltv_30d_predicted_ltv_gini``."""
    report = trained.report
    named: dict[str, float] = {
        key: float(report.summary[key])
        for key in ("customers", "training_customers", "training_rows", "evaluated_customers")
    }
    for row in report.metrics.to_dicts():
        days = "" if row["age_days"] is None else f"_{row['age_days']}d"
        # MLflow takes no plus sign.
        forecast = re.sub(r"[^A-Za-z0-9._-]+", "_", row["forecast"])
        for key in ("mae", "rmse", "r2", "gini", "spearman", "decile_mape", "total_ratio", "within_30"):
            if row[key] is not None:
                named[f"{row['target']}{days}_{forecast}_{key}"] = row[key]
    for row in report.probabilities.to_dicts():
        for key in ("calibration_error", "above_p90", "below_p10", "high_share"):
            named[f"ltv_{row['age_days']}d_{key}"] = row[key]
    return named
