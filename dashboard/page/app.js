// The frame around the views: the current view, the instance's state, and the
// connection to the supervisor.

import { ApiError, stream } from "./api.js";
import { announce, fill, h, setText } from "./dom.js";
import * as calls from "./calls.js";
import * as logs from "./logs.js";
import * as requests from "./requests.js";
import * as silos from "./silos.js";
import * as tunnels from "./tunnels.js";

const views = { silos, tunnels, calls, requests, logs };
const main = document.getElementById("main");
const banner = document.getElementById("banner");

let shown = null; // { name, update?(snapshot), route?(params), close() }
let snapshot = null;
let over = false; // the instance is stopping or has ended

// route shows the view in the address: #/requests?silo=eu.
function route() {
  const [, name = "silos", query = ""] = /^#\/(\w+)\??(.*)$/.exec(location.hash) ?? [];
  const view = views[name] ?? silos;
  const params = new URLSearchParams(query);
  if (shown?.view === view && shown.route) {
    shown.route(params);
    return;
  }
  const first = shown === null;
  shown?.close();
  fill(main);
  shown = { view, ...view.open(main, { params, snapshot: () => snapshot }) };
  for (const link of document.querySelectorAll("nav a")) {
    const current = views[link.hash.slice(2)] === view;
    current ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  document.title = title();
  if (snapshot) shown.update?.(snapshot);
  if (!first) main.focus({ preventScroll: true });
}

function title() {
  return [shown?.view.title, snapshot?.name, "silo"].filter(Boolean).join(" · ");
}

function update({ snapshot: fresh }) {
  announceChanges(snapshot, fresh);
  snapshot = fresh;
  over = fresh.state === "stopping" || fresh.state === "stopped";
  setText(document.getElementById("name"), fresh.name);
  const state = document.getElementById("state");
  state.dataset.state = fresh.state;
  setText(state, fresh.state);
  document.title = title();
  if (fresh.state === "stopped") showEnded();
  shown?.update?.(fresh);
}

// announceChanges makes screen readers read what has changed.
function announceChanges(before, now) {
  const old = new Map((before?.silos ?? []).map((silo) => [silo.name, silo]));
  const changed = (was, silo) => was && (was.state !== silo.state || silo.state === "ready" && was.pid !== silo.pid); // a quick restart
  const changes = now.silos.filter((silo) => changed(old.get(silo.name), silo))
    .map((silo) => `${silo.name} is ${silo.state}`);
  if (before && before.state !== now.state) changes.push(`${now.name} is ${now.state}`);
  if (changes.length > 0) announce(changes.join(", "));
}

function showConnection(kind, text) {
  const link = document.getElementById("link");
  link.dataset.kind = kind;
  setText(link, text);
}

function showBanner(...parts) {
  if (parts.length === 0) { banner.hidden = true; return; }
  const next = h("div", {}, ...parts);
  if (banner.textContent !== next.textContent) fill(banner, next);
  banner.hidden = false;
}

function showEnded() {
  showConnection("off", "Ended");
  showBanner("silo has ended. ", h("code", {}, "silo up"), " starts it again, and ", h("code", {}, "silo dashboard"), " opens its dashboard.");
}

function lost(error, wait) {
  if (error instanceof ApiError && error.status === 404) {
    showConnection("off", "Moved");
    showBanner("silo was restarted, and this page belongs to the previous run. ", h("code", {}, "silo dashboard"), " opens the new one.");
  } else if (over) {
    showEnded();
  } else {
    showConnection("off", "Reconnecting");
    showBanner(`The connection to silo is lost. Retrying in ${wait < 1 ? "a moment" : Math.round(wait) + " s"}.`);
  }
}

stream("watch", { opened: () => { over = false; showBanner(); showConnection("on", "Live"); }, line: update, lost });
window.addEventListener("hashchange", route);
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea, dialog");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const filter = main.querySelector("[data-filter]");
    if (filter) { event.preventDefault(); filter.focus(); filter.select(); }
  }
});
route();
