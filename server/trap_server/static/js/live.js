// @ts-check
/** Committed news by Server-Sent Events; after a break it goes on where it was, so that nothing is missed. */

import { api, clock, context, find, Refused, t } from "./page.js";

const RETRY_MS = 3_000; // a browser gives up by itself after an answer that is an error

/** @param {string} state @param {string} text */
function showLink(state, text) {
  const link = find("link");
  if (link.dataset.link === state) return;
  link.dataset.link = state;
  link.firstElementChild.textContent = text;
}

/** @param {string} health Shows the notice, if any, for the state of ingest. */
function showIngest(health) {
  for (const notice of document.querySelectorAll("[data-ingest]")) {
    notice.toggleAttribute("hidden", /** @type {HTMLElement} */ (notice).dataset.ingest !== health);
  }
}

/**
 * @param {Record<string, string>} query what to hear of: `kinds`, and `trap` for one alone
 * @param {Record<string, (data: any) => void>} handlers by kind of event
 * @param {() => void} [again] called when the line is back after a break
 */
export function listen(query, handlers, again = () => {}) {
  let last = String(context.newest);
  let broken = false;
  const kinds = [...Object.keys(handlers), "ingest"].join(",");

  function connect() {
    const events = new EventSource(`/api/v1/events?${new URLSearchParams({ ...query, kinds, after: last })}`);
    events.addEventListener("open", () => {
      showLink("live", t("link.live"));
      if (broken) again();
      broken = false;
    });
    events.addEventListener("error", () => {
      broken = true;
      showLink("lost", t("link.lost", { time: clock(Date.now()) }));
      if (events.readyState === EventSource.CLOSED) setTimeout(retry, RETRY_MS);
    });
    events.addEventListener("ingest", (event) => showIngest(JSON.parse(event.data).ingest));
    for (const [kind, handle] of Object.entries(handlers)) {
      events.addEventListener(kind, (event) => {
        if (event.lastEventId) last = event.lastEventId;
        handle(JSON.parse(event.data));
      });
    }
  }

  /** An error may mean that the session has ended: then `api` leads to the login. */
  async function retry() {
    try {
      await api("/api/v1/me");
    } catch (error) {
      if (error instanceof Refused && error.status === 401) return;
    }
    connect();
  }

  connect();
}
