from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
import requests

from audience_pipeline.sandbox.people import ChancePeople, Kind
from audience_pipeline.sandbox.server import process, running

META = {"Authorization": "Bearer sandbox-meta-token"}
TIKTOK = {"Access-Token": "sandbox-tiktok-token"}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def audience(base: str, name: str = "a") -> str:
    body = {"name": name, "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"}
    answer = requests.post(f"{base}/v26.0/act_1/customaudiences", json=body, headers=META, timeout=10)
    return answer.json()["id"]


def upload(base: str, audience_id: str, data: list, schema: object = "EMAIL_SHA256") -> requests.Response:
    body = {"payload": {"schema": schema, "data": data}}
    return requests.post(f"{base}/v26.0/{audience_id}/users", json=body, headers=META, timeout=60)


def members(base: str, audience_id: str) -> dict:
    query = {"platform": "meta", "audience_id": audience_id}
    return requests.get(f"{base}/_sandbox/members", params=query, timeout=30).json()


@pytest.mark.parametrize("deadly", [True, False])
def test_everything_survives_a_kill_and_a_restart(tmp_path, deadly):
    with process(tmp_path) as (base, child):
        kept = audience(base)
        upload(base, kept, [sha(f"{i}@example.com") for i in range(500)])
        requests.post(f"{base}/_sandbox/clock", json={"advance_seconds": 1_000_000}, timeout=10)
        requests.post(f"{base}/_sandbox/limits", json={"meta_app_calls": 77}, timeout=10)
        before = members(base, kept)
        port = int(base.rpartition(":")[2])
        if deadly:
            child.kill()
            child.wait()

    with running(tmp_path, port=port) as again:
        assert again == base
        assert members(again, kept) == before
        assert requests.get(f"{again}/_sandbox/health", timeout=10).json()["time"] > time.time() + 999_000
        assert requests.get(f"{again}/_sandbox/limits", timeout=10).json()["meta_app_calls"] == 77
        assert audience(again) != kept


def test_without_a_population_a_fixed_share_is_known():
    entries = [[(int(Kind.EMAIL), hashlib.sha256(str(i).encode()).digest())] for i in range(2_000)]
    people = ChancePeople()

    found = people.find("meta", entries)

    assert found == people.find("meta", entries)
    assert 0.55 < sum(person is not None for person in found) / len(found) < 0.65


def test_no_raw_identifier_is_written(tmp_path):
    with running(tmp_path) as base:
        kept = audience(base)
        upload(base, kept, [["mary@example.com"], [sha("mary@example.com")]])
        upload(base, kept, [["customer-4711", sha("x")]], ["EXTERN_ID", "EMAIL"])
        content = b"Email,Phone\nmary@example.com,+14155550100\n"
        form = {
            "advertiser_id": "1",
            "calculate_type": "MULTIPLE_TYPES",
            "file_signature": hashlib.md5(content).hexdigest(),
        }
        address = f"{base}/open_api/v1.3/dmp/custom_audience/file/upload/"
        answer = requests.post(
            address, data=form, files={"file": ("a.csv", content)}, headers=TIKTOK, timeout=10
        )
        assert answer.json()["code"] == 0
        assert members(base, kept)["size"] == 2

        written = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert b"mary" not in written
    assert b"4155550100" not in written
    assert b"customer-4711" not in written


def test_a_second_sandbox_on_the_same_state_says_so(tmp_path):
    with running(tmp_path), pytest.raises(RuntimeError, match="stop the other sandbox"), running(tmp_path):
        pass


def test_a_taken_port_and_a_bad_population_say_so(tmp_path):
    import polars as pl

    bad = tmp_path / "bad.parquet"
    pl.DataFrame({"email": ["a"]}).write_parquet(bad)

    with (
        running(tmp_path / "one") as base,
        pytest.raises(RuntimeError, match="is taken"),
        running(tmp_path / "two", port=int(base.rpartition(":")[2])),
    ):
        pass
    with pytest.raises(RuntimeError, match="lacks the column"), running(tmp_path / "three", bad):
        pass


def test_the_sandbox_ends_with_the_process_that_started_it(tmp_path):
    with process(tmp_path) as (_, child):
        assert child.stdin is not None
        child.stdin.close()

        assert child.wait(10) == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "nowhere", None, 404),
        ("GET", "members?platform=myspace", None, 400),
        ("GET", "members?platform=meta&audience_id=1", None, 404),
        ("POST", "clock", {"advance_seconds": -1}, 400),
        ("POST", "limits", {"shoes": 1}, 400),
        ("POST", "limits", {"meta_mutations": -1}, 400),
    ],
)
def test_the_control_paths_refuse_what_they_do_not_know(sandbox, method, path, body, status):
    answer = requests.request(method, f"{sandbox.base}/_sandbox/{path}", json=body, timeout=10)

    assert answer.status_code == status
    assert answer.json()["error"]


def test_the_population_file_is_only_read(base, tmp_path_factory):
    folder = next(Path(tmp_path_factory.getbasetemp()).glob("sandbox*"))
    before = (folder / "population.parquet").stat()
    requests.get(f"{base}/_sandbox/health", timeout=10)

    assert (folder / "population.parquet").stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(path.name for path in folder.iterdir()) == ["population.parquet", "state"]
