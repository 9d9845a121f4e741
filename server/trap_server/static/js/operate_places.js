// @ts-check
/** Where each trap stands: a place for those that have none, the end of a stay for those that move. */

import { api, DASH, day, fill, h, may, number, t } from "./page.js";
import { ask, form } from "./forms.js";
import { table, trapLink } from "./tables.js";

/** @param {HTMLElement} panel */
export async function show(panel) {
  const [found, fleet] = await Promise.all([all(), api("/api/v1/fleet")]);
  const placed = new Set(found.filter((one) => one.ends_ms === null).map((one) => `${one.tenant}/${one.trap}`));
  const asked = new URLSearchParams(location.search).get("trap") ?? "";
  const names = fleet.rows.map((/** @type {any} */ row) => `${row.tenant}/${row.trap}`);
  const free = names.filter((/** @type {string} */ name) => !placed.has(name));
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const add = form("places.add", [
    { name: "trap", label: "table.trap", options: (free.length ? free : names).map((/** @type {string} */ name) => [name, name]), value: asked },
    { name: "name", label: "places.name" },
    { name: "site", label: "places.site", required: true },
    { name: "latitude", label: "places.latitude", type: "number", step: "any" },
    { name: "longitude", label: "places.longitude", type: "number", step: "any" },
    { name: "timezone", label: "places.timezone", value: zone },
    { name: "bait", label: "places.bait" },
    { name: "trap_type", label: "places.trap_type" },
    { name: "begins", label: "places.begins", type: "datetime-local", value: local(Date.now()), required: true },
  ], "places.save", async (values) => {
    const [tenant, trap] = values.trap.split("/");
    const degrees = (/** @type {string} */ text) => (text === "" ? null : Number(text));
    await api("/api/v1/deployments", { method: "POST", body: {
      tenant, trap, name: values.name, site: values.site, latitude: degrees(values.latitude), longitude: degrees(values.longitude),
      timezone: values.timezone, bait: values.bait, trap_type: values.trap_type, begins_ms: new Date(values.begins).getTime(),
    } });
    await show(panel);
  });
  fill(panel, may("operator") && names.length ? add : null, h("section", { class: "card flush" }, h("header", {}, h("h2", {}, t("places.all"))), h("div", { class: "scroll", id: "places", tabindex: "0", role: "region", "aria-label": t("places.all") })));
  table("places", [
    { title: "table.trap", value: trapLink },
    { title: "places.name", value: (row) => row.name || DASH },
    { title: "places.site", value: (row) => row.site },
    { title: "places.position", number: true, value: (row) => (row.latitude === null ? DASH : `${number(row.latitude, 4)}, ${number(row.longitude, 4)}`) },
    { title: "places.timezone", value: (row) => row.timezone || t("places.by_sun") },
    { title: "places.bait", value: (row) => h("span", { class: "nowrap" }, [row.bait, row.trap_type].filter(Boolean).join(" · ") || DASH) },
    { title: "places.begins", value: (row) => h("span", { class: "nowrap" }, day(row.begins_ms, row.timezone)) },
    { title: "places.ends", value: (row) => h("span", { class: "nowrap" }, row.ends_ms === null ? t("places.stands") : day(row.ends_ms, row.timezone)) },
    { title: "", value: (row) => (row.ends_ms === null && may("operator") ? h("button", { type: "button", class: "small-button", onclick: () => ask(t("places.end_sure", { trap: row.trap }), async () => {
      const { id, ...rest } = row;
      await api(`/api/v1/deployments/${id}`, { method: "PUT", body: { ...rest, ends_ms: Date.now() } });
      await show(panel);
    }) }, t("places.end")) : "") },
  ], found, "places.none");
}

/** @returns {Promise<any[]>} every deployment, those that stand first */
async function all() {
  const found = [];
  let cursor = 0;
  do {
    const answer = await api(`/api/v1/deployments?limit=1000&cursor=${cursor}`);
    found.push(...answer.deployments);
    cursor = answer.next_cursor;
  } while (cursor);
  return found.sort((a, b) => Number(a.ends_ms !== null) - Number(b.ends_ms !== null) || a.trap.localeCompare(b.trap, undefined, { numeric: true }));
}

/** @param {number} ms @returns {string} as a date field wants it */
function local(ms) {
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
