from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import yaml

from audience_pipeline.settings import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "audience_pipeline"
HEAVY = ("great_expectations", "mlflow", "lightgbm", "sklearn", "matplotlib", "scipy")
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported_by(code: str, candidates: tuple[str, ...], cwd: Path) -> list[str]:
    """Those of ``candidates`` that a fresh process holds after running ``code``."""
    asked = f"import sys\n{code}\nprint(*(name for name in {candidates!r} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, cwd=cwd, check=True)
    return run.stdout.splitlines()[-1].split()


def test_loading_the_graph_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from audience_pipeline.definitions import build_definitions\n"
        "from audience_pipeline.settings import Config, Settings\n"
        "build_definitions(Settings.at(Path('workspace'), Config(), {})).get_repository_def()"
    )

    assert imported_by(code, (*HEAVY, "dagster"), tmp_path) == ["dagster"]


def test_the_command_line_answers_without_loading_the_graph(tmp_path: Path) -> None:
    candidates = (*HEAVY, "dagster", "duckdb", "audience_pipeline.cli")

    assert imported_by("import audience_pipeline.cli", candidates, tmp_path) == ["audience_pipeline.cli"]


def test_every_module_says_what_it_is_for() -> None:
    silent = [path.name for path in MODULES if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]

    assert MODULES
    assert silent == []


def test_modules_stay_small_enough_to_read() -> None:
    lengths = {path.relative_to(PACKAGE): len(path.read_text("utf-8").splitlines()) for path in MODULES}

    assert {str(path): lines for path, lines in lengths.items() if lines > 350} == {}


def test_the_workspace_file_names_the_front_door() -> None:
    workspace = yaml.safe_load((PROJECT_ROOT / "workspace.yaml").read_text(encoding="utf-8"))

    modules = [entry["python_module"]["module_name"] for entry in workspace["load_from"]]
    assert modules == ["audience_pipeline.definitions"]


def test_the_lock_names_hashes_and_no_addresses() -> None:
    lock = (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8")

    assert "--hash=sha256:" in lock
    assert "://" not in lock
    options = [line for line in lock.splitlines() if line.startswith("-")]
    assert options == []
