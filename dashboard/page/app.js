// The frame around the views: which one is shown, what is known of the instance,
// and whether the supervisor is there at all.

import { Refused, stream } from "./api.js";
import { fill, h, say, tell } from "./dom.js";
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
let over = false; // the instance is on its way down, or has ended

// route shows the view that the address names: #/requests?silo=eu.
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

function see({ snapshot: fresh }) {
  announce(snapshot, fresh);
  snapshot = fresh;
  over = fresh.state === "stopping" || fresh.state === "stopped";
  say(document.getElementById("name"), fresh.name);
  const state = document.getElementById("state");
  state.dataset.state = fresh.state;
  say(state, fresh.state);
  document.title = title();
  if (fresh.state === "stopped") ended();
  shown?.update?.(fresh);
}

// announce tells what has changed to those who do not see it.
function announce(before, now) {
  const old = new Map((before?.silos ?? []).map((silo) => [silo.name, silo]));
  const news = now.silos.filter((silo) => old.has(silo.name) && old.get(silo.name).state !== silo.state)
    .map((silo) => `${silo.name} is ${silo.state}`);
  if (before && before.state !== now.state) news.push(`${now.name} is ${now.state}`);
  if (news.length > 0) tell(news.join(", "));
}

function linked(kind, text) {
  const link = document.getElementById("link");
  link.dataset.kind = kind;
  say(link, text);
}

function warn(...parts) {
  if (parts.length === 0) { banner.hidden = true; return; }
  const next = h("div", {}, ...parts);
  if (banner.textContent !== next.textContent) fill(banner, next);
  banner.hidden = false;
}

function ended() {
  linked("off", "Ended");
  warn("silo has ended. ", h("code", {}, "silo up"), " starts it again, and ", h("code", {}, "silo dashboard"), " opens its page.");
}

function lost(error, wait) {
  if (error instanceof Refused && error.status === 404) {
    linked("off", "Moved");
    warn("silo has been started again, and this page’s address is of the run before. ", h("code", {}, "silo dashboard"), " opens the new one.");
  } else if (over) {
    ended();
  } else {
    linked("off", "Reconnecting");
    warn(`The connection to silo is lost. Trying again in ${wait < 1 ? "a moment" : Math.round(wait) + " s"}.`);
  }
}

stream("watch", { opened: () => { over = false; warn(); linked("on", "Live"); }, line: see, lost });
window.addEventListener("hashchange", route);
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea, dialog");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const filter = main.querySelector("[data-filter]");
    if (filter) { event.preventDefault(); filter.focus(); filter.select(); }
  }
});
route();
