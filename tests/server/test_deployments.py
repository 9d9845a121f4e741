"""Deployments through the API, in both databases, and what nights and exports make of them."""

import csv
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from trap_contract.messages import Effort
from trap_server.alerting.facts import Memory, gather
from trap_server.deployments import deployments
from trap_server.exporting.export import export
from trap_server.exporting.reading import Selection
from trap_server.exporting.rows import Places

from server.clients import client_of
from server.exports import METADATA, NOON_MS, caught, keep

DAY_MS = 86_400_000
JSON = {"content-type": "application/json"}
MARSH: dict[str, Any] = {
    "tenant": "demo",
    "trap": "t1",
    "site": "marsh-7",
    "name": "Ñandú marsh, <b>south</b>",
    "latitude": -1.29,
    "longitude": 36.82,
    "timezone": "Africa/Nairobi",
    "bait": "BG-Lure, CO2",
    "trap_type": "BG-Sentinel",
    "begins_ms": NOON_MS - DAY_MS,
    "ends_ms": None,
}


@pytest.fixture
def client(database_url: str, engine: sa.Engine) -> Iterator[TestClient]:
    with client_of(database_url, engine, lambda: NOON_MS) as client:
        yield client


def enter(client: TestClient, **changes: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/deployments", json=MARSH | changes)
    assert answer.status_code == 201, answer.text
    entered: dict[str, Any] = answer.json()
    return entered


def test_a_deployment_is_entered_read_ended_and_removed(client: TestClient):
    entered = enter(client)
    assert entered == MARSH | {"id": entered["id"]}
    place = f"/api/v1/deployments/{entered['id']}"
    assert client.get(place).json() == entered
    ended = MARSH | {"ends_ms": NOON_MS, "bait": ""}
    assert client.put(place, json=ended).json() == ended | {"id": entered["id"]}
    assert client.get(place).json()["ends_ms"] == NOON_MS
    assert client.delete(place).status_code == 204
    assert client.get(place).status_code == 404
    assert client.put(place, json=MARSH).status_code == 404


def test_no_trap_stands_at_two_sites_at_once(client: TestClient):
    first = enter(client, ends_ms=NOON_MS)
    answer = client.post("/api/v1/deployments", json=MARSH | {"begins_ms": NOON_MS - 1})
    assert (answer.status_code, "is at 'marsh-7' in that time" in answer.json()["detail"]) == (422, True)
    enter(client, begins_ms=NOON_MS)  # the end is not part of a stay
    enter(client, trap="t2")
    place = f"/api/v1/deployments/{first['id']}"
    assert client.put(place, json=MARSH | {"ends_ms": NOON_MS + 1}).status_code == 422
    assert client.put(place, json=MARSH | {"ends_ms": NOON_MS - 1}).status_code == 200


CAN_NOT_BE: list[tuple[dict[str, Any], str]] = [
    ({"latitude": None}, "give latitude and longitude"),
    ({"latitude": 91}, "less than or equal to 90"),
    ({"timezone": "Africa/Atlantis"}, "no timezone"),
    ({"timezone": "../../etc/passwd"}, "no timezone"),
    ({"ends_ms": NOON_MS - DAY_MS}, "ends before it begins"),
    ({"begins_ms": 10**15}, "less than or equal"),
    ({"site": "  "}, "at least 1 character"),
    ({"name": "null\0"}, "control character"),
    ({"name": "half\ud800"}, "string"),
    ({"bait": "x" * 201}, "at most 200"),
    ({"trap": "A/B"}, "pattern"),
    ({"colour": "red"}, "Extra inputs"),
]


def test_what_can_not_be_is_refused_and_nothing_is_stored(client: TestClient):
    for changes, says in CAN_NOT_BE:
        answer = client.post("/api/v1/deployments", content=json.dumps(MARSH | changes), headers=JSON)
        assert (answer.status_code, says in answer.text) == (422, True), answer.text
    assert client.get("/api/v1/deployments").json()["deployments"] == []


def test_pages_hold_each_deployment_once_and_filters_choose(client: TestClient):
    numbers = [enter(client, trap=f"t{number}", ends_ms=NOON_MS)["id"] for number in range(5)]
    found, cursor = [], 0
    while cursor is not None:
        page = client.get(f"/api/v1/deployments?limit=2&cursor={cursor}").json()
        found += [one["id"] for one in page["deployments"]]
        cursor = page["next_cursor"]
    assert found == numbers
    for query, count in (("trap=t3", 1), (f"at_ms={NOON_MS}", 0), (f"at_ms={NOON_MS - 1}", 5), ("tenant=other", 0)):
        assert len(client.get(f"/api/v1/deployments?{query}").json()["deployments"]) == count


def written(engine: sa.Engine, form: Any, out: Path) -> Path:
    with engine.begin() as connection:
        places = Places(deployments(connection).values())
        export(connection, form, out, period="night", selection=Selection(), places=places, metadata=METADATA)
    return out


def test_nights_begin_at_the_deployments_solar_noon_and_carry_its_site(
    client: TestClient, engine: sa.Engine, tmp_path: Path
):
    enter(client)
    keep(engine, caught(1, -3.5, 2), caught(2, -2, 1))  # solar noon in Nairobi is about 9:30 UTC
    with (written(engine, "csv", tmp_path / "out") / "counts.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["class"] == "Female"]
    assert [row["count"] for row in rows] == ["2", "1"]
    assert {(row["site"], row["boundary"], row["latitude"]) for row in rows} == {("marsh-7", "solar", "-1.29")}


def test_camtrap_dp_is_written_from_stored_deployments(client: TestClient, engine: sa.Engine, tmp_path: Path):
    enter(client)
    keep(engine, caught(1, 1, 2))
    with zipfile.ZipFile(written(engine, "camtrap", tmp_path / "out.zip")) as archive:
        (place,) = csv.DictReader(archive.read("deployments.csv").decode().splitlines())
    assert (place["locationID"], place["latitude"], place["baitUse"]) == ("marsh-7", "-1.29", "true")


def test_the_season_of_an_alert_is_counted_in_the_deployments_nights(client: TestClient, engine: sa.Engine):
    enter(client)
    whole = {"duration_ms": 3_600_000, "effort": Effort(observed_s=3600, frames_seen=60, frames_analysed=60)}
    keep(engine, *(caught(1 + n, -2.5 + n, 1, **whole) for n in range(24)))  # noon to noon at the site
    with engine.begin() as connection:
        (facts,) = gather(connection, Memory(), NOON_MS + DAY_MS)
    assert facts.nights == [24 * 4.0]
