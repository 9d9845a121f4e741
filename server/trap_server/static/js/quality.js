// @ts-check
/** Whether to believe the numbers. */

import { api, attempt, DASH, duration, fill, find, h, moment, number, t, word } from "./page.js";
import { listen } from "./live.js";
import { stateMark } from "./marks.js";
import { table, trapLink } from "./tables.js";

async function load() {
  const found = await api("/api/v1/quality");
  const sum = (/** @type {any[]} */ rows, /** @type {string} */ name) => rows.reduce((total, row) => total + row[name], 0);
  const plain = (/** @type {string} */ name, /** @type {number} */ value, /** @type {any[]} */ ...remark) => h("div", {}, h("dt", {}, t(name)), h("dd", {}, number(value), h("small", {}, ...remark)));
  const figure = (/** @type {string} */ name, /** @type {number} */ value, isBad = value > 0) => plain(name, value, isBad ? h("span", { class: "tag warn" }, t("quality.look")) : value ? "" : t("quality.fine"));
  fill("figures",
    plain("quality.stored", sum(found.collectors, "stored")),
    figure("quality.missing", sum(found.owed, "missing")),
    figure("quality.lost", sum(found.owed, "lost")),
    figure("quality.late", sum(found.timing, "late"), false),
    figure("quality.duplicates", sum(found.collectors, "duplicates"), false),
    figure("quality.collision_count", sum(found.collectors, "collisions")),
    figure("quality.quarantine_count", sum(found.collectors, "quarantined")));
  table("owed", [
    { title: "table.trap", value: trapLink },
    { title: "quality.missing", number: true, value: (row) => number(row.missing) },
    { title: "quality.lost", number: true, value: (row) => number(row.lost) },
    { title: "quality.ranges", number: true, value: (row) => number(row.ranges) },
    { title: "quality.reasons", value: (row) => row.reasons.map((/** @type {string} */ one) => word("loss", one)).join(", ") || DASH },
  ], found.owed, "quality.owed_none");
  table("timing", [
    { title: "table.trap", value: trapLink },
    { title: "quality.windows", number: true, value: (row) => number(row.windows) },
    { title: "quality.late", number: true, value: (row) => number(row.late) },
    { title: "quality.latest", number: true, value: (row) => (row.late ? duration(row.latest_ms / 1000) : DASH) },
    { title: "quality.repaired", number: true, value: (row) => number(row.repaired) },
    { title: "quality.error", number: true, value: (row) => (row.worst_error_ms === null ? DASH : `± ${duration(row.worst_error_ms / 1000)}`) },
    { title: "quality.undated", number: true, value: (row) => (row.undated ? h("span", { class: "tag bad" }, number(row.undated)) : number(0)) },
  ], found.timing, "quality.timing_none");
  table("unclaimed", [
    { title: "table.trap", value: trapLink },
    { title: "quality.site", value: (row) => row.site || DASH },
    { title: "fleet.column.status", value: (row) => stateMark(row.status) },
    { title: "quality.seen", value: (row) => moment(row.last_seen_ms) },
    { title: "", value: (row) => h("a", { class: "button small-button", href: `/operate?tab=places&trap=${row.tenant}/${row.trap}` }, t("quality.place")) },
  ], found.unclaimed, "quality.unclaimed_none");
  table("collisions", [
    { title: "table.trap", value: trapLink },
    { title: "quality.boot", value: (row) => h("code", {}, row.boot.slice(0, 8)) },
    { title: "quality.seq", number: true, value: (row) => number(row.seq) },
    { title: "quality.times", number: true, value: (row) => number(row.times) },
    { title: "quality.at", value: (row) => moment(row.received_at_ms) },
  ], found.collisions, "quality.collisions_none");
  table("quarantined", [
    { title: "quality.topic", value: (row) => h("code", {}, row.topic) },
    { title: "quality.reason", text: true, value: (row) => row.reason },
    { title: "quality.bytes", number: true, value: (row) => number(row.bytes) },
    { title: "quality.times", number: true, value: (row) => number(row.times) },
    { title: "quality.at", value: (row) => moment(row.received_at_ms) },
  ], found.quarantined, "quality.quarantined_none");
  table("collectors", [
    { title: "quality.name", value: (row) => h("code", {}, row.name) },
    { title: "fleet.column.status", value: (row) => h("span", { class: `tag ${row.health === "connected" ? "good" : "bad"}` }, word("ingest_health", row.health)) },
    { title: "quality.heartbeat", value: (row) => moment(row.heartbeat_ms) },
    { title: "quality.stored", number: true, value: (row) => number(row.stored) },
    { title: "quality.acknowledged", number: true, value: (row) => number(row.acknowledged) },
    { title: "quality.duplicates", number: true, value: (row) => number(row.duplicates) },
  ], found.collectors, "quality.collectors_none");
}

find("again").addEventListener("click", () => attempt(load));
attempt(load);
listen({}, {}, () => attempt(load));
