// One exchange in detail: caller, timing, request and response, and replay.

import { post } from "./api.js";
import { disable, fill, h, toast } from "./dom.js";
import * as text from "./body.js";
import { bytes, count, fineClock, none, seconds } from "./format.js";

export function callerName({ caller }) {
  return caller.silo ?? caller.program ?? "outside";
}

export function statusOf(e) {
  if (e.status) return String(e.status);
  return e.state === "open" ? "open" : e.state === "broken" ? "broken" : none;
}

// classOf returns the class of a status, which decides its colour.
export function classOf(e) {
  if (e.state === "broken" || e.fault) return "bad";
  if (!e.status) return "open";
  return { 2: "good", 3: "plain", 4: "warn", 5: "bad" }[Math.floor(e.status / 100)] ?? "plain";
}

// pane returns the content of the detail view. show(id) shows another exchange.
export function pane(e, { names, close, show }) {
  return [
    head(`${e.method} ${e.path}`, close),
    h("div", { class: "gist" },
      h("span", { class: "code", "data-class": classOf(e) }, statusOf(e)),
      h("span", {}, `${callerName(e)} → ${e.silo}`),
      h("span", { class: "faint num" }, fineClock(e.started_at)),
      h("span", { class: "faint" }, `#${e.id}`)),
    e.crossing && h("p", { class: "crossing" }, "From one region to another. Regions must not call each other: in production they cannot.", e.blocked ? " It was blocked." : ""),
    e.error && h("p", { class: "crossing" }, e.error),
    e.fault && h("p", { class: "note" }, "The silo did not answer this itself: ", h("code", {}, e.fault), "."),
    e.replay_of && h("p", { class: "note" }, "Replay of ", h("button", { class: "inline", onclick: () => show(e.replay_of, true) }, `#${e.replay_of}`), "."),
    replay(e, names, show),
    timings(e),
    facts(e),
    message("Request", e.request), message("Response", e.response),
  ];
}

export function missing(id, reason, close) {
  return [head(`Request ${id}`, close), h("p", { class: "empty" }, reason)];
}

function head(title, close) {
  return h("div", { class: "detail-head" }, h("h3", { class: "mono", tabindex: "-1" }, title),
    h("button", { class: "quiet", "aria-label": "Close (Esc)", title: "Close (Esc)", onclick: close }, "✕"));
}

function replay(e, names, show) {
  const to = h("select", { id: "replay-to" }, names.map((name) => h("option", { value: name }, name)));
  to.value = e.silo;
  const button = h("button", { class: "filled", onclick: async () => {
    disable(button, true);
    try {
      const again = await post("replay", to.value === e.silo ? { id: e.id } : { id: e.id, to: to.value });
      show(again.id, true);
    } catch (error) {
      toast(`Replay: ${error.message}`);
    } finally {
      disable(button, false);
    }
  } }, "Replay");
  return h("div", { class: "replay" }, h("label", { for: "replay-to" }, "Send again to"), to, button);
}

function timings(e) {
  if (e.seconds === null) return h("p", { class: "note" }, e.state === "open" ? "In progress." : "");
  const first = Math.min(e.first_byte_seconds ?? e.seconds, e.seconds);
  const wait = h("span", { class: "wait" }), rest = h("span", { class: "rest" });
  const share = e.seconds > 0 ? first / e.seconds : 1;
  wait.style.flexGrow = Math.max(100 * share, 0.5);
  rest.style.flexGrow = Math.max(100 - 100 * share, 0.5);
  return h("section", { "aria-label": "Timings" }, h("h4", {}, "Timings"),
    h("div", { class: "track", "aria-hidden": "true" }, wait, rest),
    h("dl", { class: "pairs" },
      h("dt", {}, h("span", { class: "key wait", "aria-hidden": "true" }), "First byte"), h("dd", { class: "num" }, seconds(e.first_byte_seconds)),
      h("dt", {}, h("span", { class: "key rest", "aria-hidden": "true" }), "Rest"), h("dd", { class: "num" }, seconds(e.seconds - first)),
      h("dt", {}, "Total"), h("dd", { class: "num" }, seconds(e.seconds))));
}

function facts(e) {
  const caller = [e.caller.program, e.caller.pid && `pid ${e.caller.pid}`, e.caller.address].filter(Boolean).join(", ");
  return h("section", { "aria-label": "Facts" }, h("dl", { class: "pairs" },
    h("dt", {}, "Host"), h("dd", { class: "mono" }, e.host || none),
    h("dt", {}, "Protocol"), h("dd", {}, e.proto || none),
    h("dt", {}, "Caller"), h("dd", {}, caller || none)));
}

function message(name, m) {
  const headers = Object.entries({ ...m.headers, ...m.trailers }).flatMap(([key, values]) => values.map((value) => [key, value]));
  const body = h("div", { class: "body" });
  if (m.body) {
    text.render(m, `${name} body`).then((parts) => fill(body, parts));
  } else {
    fill(body, h("p", { class: "faint" }, m.bytes > 0 ? `${bytes(m.bytes)}, not kept` : "No body"));
  }
  return h("section", { "aria-label": name },
    h("h4", {}, name, h("span", { class: "faint" }, ` ${bytes(m.bytes)}`)),
    h("details", { open: true }, h("summary", {}, count(headers.length, "header")),
      h("table", { class: "headers" }, h("caption", { class: "unseen" }, `${name} headers`),
        h("tbody", {}, headers.sort(([a], [b]) => a.localeCompare(b)).map(([key, value]) => h("tr", {}, h("th", { scope: "row" }, key), h("td", { class: "mono" }, value)))))),
    body);
}
