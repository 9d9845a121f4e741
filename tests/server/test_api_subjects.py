"""Notes, alerts, sex ratio, gaps, refusals, models, exports and ETags through the API, in both databases."""

import base64
import csv
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import frictionless
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from trap_server.alerting.engine import Alert
from trap_server.alerting.keeping import keep as keep_alerts
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store

from server.clients import client_of, token_of
from server.exports import NIGHT, NOON_MS, caught, keep
from server.test_deployments import MARSH
from server.traps import BOOT, make_birth, make_window

NOW_MS = NOON_MS + 3 * 86_400_000
TRAP = "/api/v1/traps/demo/t1"


@pytest.fixture
def client(database_url: str, engine: sa.Engine) -> Iterator[TestClient]:
    with client_of(database_url, engine, lambda: NOW_MS) as client:
        yield client


def tell(engine: sa.Engine, leaf: str, payload: bytes) -> None:
    Store(engine, "c").commit(sort_arrivals([Arrival(f"mt/v1/demo/t1/{leaf}", payload, False, NOW_MS)]))


def test_a_note_is_kept_with_who_wrote_it_until_it_is_taken_back(client: TestClient, engine: sa.Engine):
    keep(engine, caught(1, 1))
    text = "lens cleaned <b>twice</b> ✓"
    note = client.post(f"{TRAP}/notes", json={"kind": "lens", "text": text, "at_ms": NOW_MS - 5}).json()
    now = client.post(f"{TRAP}/notes", json={"text": "BG-Lure"}).json()
    assert (note["by"], note["at_ms"], now["at_ms"], now["kind"]) == ("token test-admin", NOW_MS - 5, NOW_MS, "other")
    page = client.get(f"{TRAP}/notes?limit=1").json()
    assert page["notes"] == [now]
    assert client.get(f"{TRAP}/notes?cursor={page['next_cursor']}").json() == {"notes": [note], "next_cursor": None}
    assert [client.delete(f"/api/v1/notes/{note['id']}").status_code for _ in range(2)] == [204, 404]
    assert client.get("/api/v1/audit").json()["entries"][0]["details"]["before"]["text"] == text
    for bad in ({"text": " "}, {"text": "a\nb"}, {"text": "a\0"}, {"text": "x" * 201}, {"text": "x", "kind": "party"}):
        assert client.post(f"{TRAP}/notes", json=bad).status_code == 422


def test_alerts_are_listed_by_state_and_acknowledged_once(client: TestClient, engine: sa.Engine):
    alerts = [Alert("demo", f"t{n}", "silent", "open", NOON_MS + n, "the trap is silent") for n in range(3)]
    with engine.begin() as connection:
        first, second, _ = (alert.id for alert in keep_alerts(connection, alerts))
    seen = client.post(f"/api/v1/alerts/{first}/acknowledge").json()
    assert (seen["state"], seen["acknowledged_by"], seen["acknowledged_ms"]) == (
        "acknowledged",
        "token test-admin",
        NOW_MS,
    )
    page = client.get("/api/v1/alerts?state=open&limit=1").json()
    assert [one["trap"] for one in page["alerts"]] == ["t2"]
    older = client.get(f"/api/v1/alerts?state=open&cursor={page['next_cursor']}").json()
    assert [one["id"] for one in older["alerts"]] == [second]
    assert [one["id"] for one in client.get("/api/v1/alerts?trap=t0").json()["alerts"]] == [first]
    assert client.post("/api/v1/alerts/999/acknowledge").status_code == 404


def test_the_sex_ratio_is_of_catches_alone_and_never_of_occupancy(client: TestClient, engine: sa.Engine):
    keep(engine, caught(1, 1, 6), caught(2, 2, 3), caught(3, 30, 1), caught(4, 3, 500, semantics="occupancy"))
    keep(engine, caught(1, 1, None), trap="t2")
    (whole,) = client.get("/api/v1/sex-ratio").json()["groups"]
    assert (whole["females"], whole["males"], whole["share"]) == (10, 3, pytest.approx(10 / 13))
    assert 0.49 < whole["low"] < whole["share"] < whole["high"] < 0.92
    nights = client.get("/api/v1/sex-ratio?by=night").json()["groups"]
    assert next((one["night"], one["females"]) for one in nights) == (str(NIGHT), 9)
    (alone,) = client.get("/api/v1/sex-ratio?trap=t2").json()["groups"]
    assert (alone["females"], alone["share"], alone["low"]) == (0, None, None)


def test_what_is_missing_lost_refused_or_came_twice_is_told(client: TestClient, engine: sa.Engine):
    keep(engine, make_window(1), make_window(4))
    keep(engine, make_window(4, females=9))
    lost = {"v": 1, "trap": "t1", "ranges": [{"boot": BOOT, "first": 2, "last": 2, "reason": "full"}]}
    tell(engine, "lost", json.dumps(lost).encode())
    tell(engine, "counts", b"\xff\0not json")
    gaps = client.get(f"{TRAP}/gaps").json()
    (boot,) = gaps["boots"]
    missing = [number for first, last in boot["missing"] + boot["lost"] for number in range(first, last + 1)]
    assert (boot["last"], sorted(missing)) == (4, [2, 3])
    (collision,) = client.get("/api/v1/collisions").json()["collisions"]
    assert (collision["seq"], collision["window"]["counts"]["Female"]) == (4, 9)
    refused = client.get("/api/v1/quarantine").json()["quarantined"]
    assert base64.b64decode(refused[0]["payload_base64"]) == b"\xff\0not json"


def test_models_are_told_with_the_traps_that_run_them(client: TestClient, engine: sa.Engine):
    tell(engine, "birth", make_birth().model_dump_json().encode())
    (model,) = client.get("/api/v1/models").json()
    assert (model["id"], model["sha256"], model["classes"][0]) == ("yolov8n_kd", "ab" * 32, "Female")
    assert model["traps"] == [{"tenant": "demo", "trap": "t1", "backend": "tflite", "threshold": 0.35}]


def exported(client: TestClient, form: str, query: str = "") -> zipfile.ZipFile:
    answer = client.get(f"/api/v1/exports/{form}?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip"), answer.text
    return zipfile.ZipFile(io.BytesIO(answer.content))


def test_exports_are_the_archives_that_the_command_writes(client: TestClient, engine: sa.Engine, tmp_path: Any):
    client.post("/api/v1/deployments", json=MARSH)
    keep(engine, caught(1, 1, 2), caught(2, 30, 0))
    with exported(client, "csv", f"by=window&until={NIGHT}&title=Season%20one") as archive:
        rows = list(csv.DictReader(archive.read("counts.csv").decode().splitlines()))
        assert [row["count"] for row in rows if row["class"] == "Female"] == ["2"]
        assert json.loads(archive.read("datapackage.json"))["title"] == "Season one"
    with exported(client, "csv", "by=hour") as archive:
        (tmp_path / "csv").mkdir()
        archive.extractall(tmp_path / "csv")
    assert frictionless.validate(str(tmp_path / "csv" / "datapackage.json")).valid
    for form, file in (("dwca", "meta.xml"), ("camtrap", "observations.csv"), ("parquet", "counts.parquet")):
        assert file in exported(client, form).namelist()
    for form in ("miread", "vecdyn", "vectorsurv"):
        assert exported(client, form).namelist()


def test_an_export_that_can_not_be_is_refused_before_it_begins(client: TestClient, engine: sa.Engine):
    keep(engine, caught(1, 1, 2))
    for path, says in (("camtrap", "no deployment with a position"), ("dwca?by=hour", "format of trap-nights")):
        answer = client.get(f"/api/v1/exports/{path}")
        assert (answer.status_code, says in answer.json()["detail"]) == (422, True)
    assert client.get("/api/v1/exports/xlsx").status_code == 422


def test_who_has_the_answer_already_is_not_sent_it_again(client: TestClient, engine: sa.Engine):
    keep(engine, caught(1, 1))
    first = client.get(f"{TRAP}/windows")
    again = client.get(f"{TRAP}/windows", headers={"if-none-match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert "private" in first.headers["cache-control"]
    assert "content-security-policy" in again.headers
    keep(engine, caught(2, 2))
    changed = client.get(f"{TRAP}/windows", headers={"if-none-match": first.headers["etag"]})
    assert (changed.status_code, len(changed.json()["windows"])) == (200, 2)
    nobody = client.get(f"{TRAP}/windows", headers={"if-none-match": "*", "authorization": "Bearer x"})
    assert nobody.status_code == 401
    assert "etag" not in client.post(f"{TRAP}/notes", json={"text": "x"}).headers
    assert token_of(engine)
