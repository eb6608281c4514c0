// The number of calls from each caller (rows) to each silo (columns). In production
// no region can reach another, so such calls are shown as errors.

import { get, poll } from "./api.js";
import { fill, h } from "./dom.js";
import { count, seconds } from "./format.js";

export const title = "Calls";

const interval = 2000; // milliseconds

export function open(root, { snapshot: latest }) {
  const sum = h("p", { class: "sum" });
  const crossings = h("div", { class: "crossings" });
  const box = h("div", { class: "box scroll", tabindex: "0", role: "region", "aria-label": "Call matrix" });
  root.append(h("div", { class: "head" }, h("h2", {}, "Calls"), sum), crossings, box,
    h("p", { class: "note" }, "Counted since the instance started. Rows call columns. Each cell shows the number of requests, the failed ones (broken, or with a status of 500 or more) and the mean time."));
  let calls = null, drawn = "";
  const draw = () => {
    const names = (latest()?.silos ?? []).map((silo) => silo.name);
    const state = JSON.stringify([names, calls]);
    if (calls === null || state === drawn) return;
    drawn = state;
    const focused = box.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    sum.textContent = count(calls.reduce((n, call) => n + call.requests, 0), "request");
    fill(crossings, calls.filter((call) => call.crossing).map(warning));
    fill(box, calls.length === 0 ? h("p", { class: "empty" }, "No silo has been called through its address yet.") : matrix(names, calls));
    if (focused) box.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  };
  const stop = poll(interval, async (signal) => {
    calls = (await get("calls", {}, signal)).calls ?? [];
    draw();
  });
  return { update: draw, close: stop };
}

function warning(call) {
  const blocked = call.blocked > 0 ? ` ${count(call.blocked, "of them was", "of them were")} blocked.` : "";
  return h("p", { class: "crossing" },
    h("strong", {}, `${call.from} → ${call.to}`), ` ${count(call.requests, "request")}. Regions must not call each other: in production they cannot.${blocked}`);
}

function matrix(names, calls) {
  const columns = [...names, ...new Set(calls.map((call) => call.to).filter((to) => !names.includes(to)))];
  const callers = [...names, ...new Set(calls.map((call) => call.from).filter((from) => !names.includes(from)))];
  const at = new Map(calls.map((call) => [call.from + "\n" + call.to, call]));
  return h("table", { class: "matrix" },
    h("caption", { class: "unseen" }, "Requests by caller and silo"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "from \\ to"), columns.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, callers.map((from) => h("tr", {}, h("th", { scope: "row" }, from, !names.includes(from) && from !== "outside" && h("span", { class: "faint" }, " outside")),
      columns.map((to) => field(at.get(from + "\n" + to), from, to))))));
}

function field(call, from, to) {
  if (!call) return h("td", { class: "void" }, h("span", { class: "unseen" }, "none"));
  const mean = call.requests > 0 ? call.seconds / call.requests : null;
  return h("td", { class: call.crossing ? "crossed" : "" },
    h("a", { href: `#/requests?${new URLSearchParams({ from, silo: to })}`, "aria-label": `${from} to ${to}: ${count(call.requests, "request")}` },
      h("span", { class: "big num" }, call.requests.toLocaleString("en"))),
    h("div", { class: "faint num" }, seconds(mean)),
    call.errors > 0 && h("div", { class: "bad num" }, `${call.errors.toLocaleString("en")} failed`),
    call.blocked > 0 && h("div", { class: "bad num" }, `${call.blocked.toLocaleString("en")} blocked`),
    call.crossing && h("div", { class: "bad" }, "crosses regions"));
}
