// The requests through the tunnels, live: the latest first, and one in detail.

import { address, get, stream } from "./api.js";
import { debounce, fill, h, oncePerFrame, row as tr, setText, table } from "./dom.js";
import * as exchange from "./exchange.js";
import { count, fineClock, none, seconds } from "./format.js";

export const title = "Requests";

const maxRows = 500;
const methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const statuses = [["", "Any status"], ["2xx", "2xx"], ["3xx", "3xx"], ["4xx", "4xx"], ["5xx", "5xx"], ["4xx,5xx", "4xx and 5xx"]];

export function open(root, { params, snapshot: latest }) {
  const choice = (id, options) => h("select", { id }, options.map(([value, text]) => h("option", { value }, text)));
  const silo = choice("f-silo", [["", "All silos"]]);
  const status = choice("f-status", statuses);
  const method = choice("f-method", [["", "Any method"], ...methods.map((name) => [name, name])]);
  const path = h("input", { id: "f-path", type: "search", "data-filter": "", placeholder: "Path contains…", autocomplete: "off", spellcheck: "false" });
  const crossing = h("input", { id: "f-crossing", type: "checkbox" });
  const from = h("button", { class: "chip", hidden: true, onclick: () => { caller = ""; read(); } });
  const pause = h("button", { "aria-pressed": "false", onclick: () => { paused = !paused; pause.setAttribute("aria-pressed", paused); draw(); } }, "Pause");
  const har = h("a", { class: "button", download: "" }, "Download HAR");
  const sum = h("p", { class: "sum" });
  const list = table("Requests, latest first", ["Time", "Method", "Path", "From", "To", "Status", "Took"], { class: "requests" });
  const empty = h("p", { class: "empty" });
  const detail = h("aside", { class: "detail box", hidden: true, "aria-label": "Request" });
  const head = h("div", { class: "head" }, h("h2", {}, "Requests"), sum, h("div", { class: "tools" }, pause, har));
  const form = h("form", { class: "filters", role: "search", "aria-label": "Filter requests", onsubmit: (event) => event.preventDefault() },
    h("label", { class: "unseen", for: "f-path" }, "Path contains"), path,
    h("label", { class: "unseen", for: "f-silo" }, "Silo"), silo,
    h("label", { class: "unseen", for: "f-status" }, "Status"), status,
    h("label", { class: "unseen", for: "f-method" }, "Method"), method,
    h("label", { class: "check" }, crossing, "Crossing regions"), from);
  const box = h("div", { class: "box list" }, list, empty);
  root.append(head, form, h("div", { class: "split" }, box, detail));

  const kept = new Map(); // id → exchange, in order of arrival
  const rows = new Map(); // id → { element, link, update }
  let caller = params.get("from") ?? "", wanted = params.get("silo") ?? "";
  let paused = false, reset = false, version = 0, loaded = false, selected = null, stop = () => {}, names = [];

  const filter = () => ({ silo: wanted || silo.value, from: caller, method: method.value, path: path.value, status: status.value, crossing: crossing.checked });
  const body = list.tBodies[0];

  const draw = oncePerFrame(() => {
    if (paused && rows.size > 0) return setText(sum, "paused");
    if (reset) {
      rows.clear();
      body.replaceChildren();
      reset = false;
    }
    while (kept.size > maxRows) kept.delete(kept.keys().next().value);
    for (const [id, row] of rows) if (!kept.has(id)) { row.element.remove(); rows.delete(id); }
    for (const [id, e] of kept) {
      let row = rows.get(id);
      if (row?.drawn === e) continue;
      if (!row) {
        rows.set(id, (row = makeRow(id)));
        let younger = null; // the filter may match an older request later
        for (let at = body.firstChild; at && Number(at.dataset.id) > id; at = at.nextSibling) younger = at;
        younger ? younger.after(row.element) : body.prepend(row.element);
      }
      row.update(e);
    }
    updateTabStop();
    setText(sum, kept.size === maxRows ? `the latest ${maxRows}` : count(kept.size, "request"));
    empty.hidden = !loaded || kept.size > 0;
    setText(empty, Object.values(filter()).some(Boolean) ? "No recorded request matches the filter." : "No requests yet. Requests to a silo’s address appear here.");
  });

  // updateTabStop keeps exactly one row in the tab order; the arrow keys reach the others.
  function updateTabStop() {
    const tabbable = rows.get(selected) ?? [...rows.values()].at(-1);
    for (const row of rows.values()) row.link.tabIndex = row === tabbable || row.link === document.activeElement ? 0 : -1;
  }

  function makeRow(id) {
    const td = (kind, ...children) => h("td", { role: "cell", class: kind }, ...children);
    const time = td("faint num time"), verb = td("verb"), by = td("by"), to = td("to"), took = td("num took");
    const link = h("a", { href: `#/requests?id=${id}`, onclick: (event) => { event.preventDefault(); show(id); } });
    const code = h("span", { class: "code" });
    const element = tr({ "data-id": id, onclick: (event) => { if (!event.target.closest("a")) { show(id); link.focus(); } } },
      time, verb, td("path mono", link), by, to, td("status", code), took);
    const row = {
      element, link, drawn: null,
      update(e) {
        row.drawn = e;
        setText(time, fineClock(e.started_at));
        setText(verb, e.method);
        setText(link, e.path);
        link.title = e.path;
        setText(by, exchange.callerName(e));
        by.dataset.to = e.silo;
        setText(to, e.silo);
        element.classList.toggle("crossed", e.crossing);
        code.dataset.class = exchange.classOf(e);
        setText(code, exchange.statusOf(e));
        setText(took, e.seconds === null ? none : seconds(e.seconds));
      },
    };
    if (id === selected) highlight(row, true);
    return row;
  }

  const narrow = matchMedia("(max-width: 1000px)");
  narrow.addEventListener("change", cover);

  // cover makes the page inert behind a detail view that fills it.
  function cover() {
    const covered = narrow.matches && !detail.hidden;
    for (const behind of [document.querySelector(".top"), head, form, box]) behind.inert = covered;
  }

  async function show(id, move = narrow.matches) {
    select(id);
    detail.hidden = false;
    root.classList.add("detailed");
    cover();
    try {
      const e = await get(`requests/${id}`);
      if (selected === id) fill(detail, exchange.pane(e, { names, close, show }));
    } catch (error) {
      if (selected === id) fill(detail, exchange.missing(id, error.message, close));
    }
    if (move) detail.querySelector("h3")?.focus();
  }

  function select(id) {
    highlight(rows.get(selected), false);
    selected = id;
    highlight(rows.get(id), true);
    updateTabStop();
  }

  function highlight(row, on) {
    row?.element.toggleAttribute("data-selected", on);
    on ? row?.link.setAttribute("aria-current", "true") : row?.link.removeAttribute("aria-current");
  }

  function close() {
    const row = rows.get(selected);
    select(null);
    detail.hidden = true;
    root.classList.remove("detailed");
    cover();
    fill(detail);
    (row?.link ?? list.querySelector("tbody a"))?.focus();
  }

  function keys(event) {
    if (event.key === "Escape" && !detail.hidden && !event.target.closest?.("dialog")) return close();
    if (!event.target.closest?.(".list tbody a")) return event.key === "ArrowDown" && enterList(event);
    const row = event.target.closest("tr");
    const next = { ArrowDown: row.nextElementSibling, j: row.nextElementSibling, ArrowUp: row.previousElementSibling, k: row.previousElementSibling,
      Home: body.firstElementChild, End: body.lastElementChild }[event.key];
    if (!next) return;
    event.preventDefault();
    const link = next.querySelector("a");
    link.tabIndex = 0;
    link.focus();
    detail.hidden ? updateTabStop() : show(Number(next.dataset.id), false);
  }

  // enterList moves the focus from the filter, or from nowhere, to the list.
  function enterList(event) {
    if (![path, root, document.body].includes(event.target)) return;
    event.preventDefault();
    list.querySelector("tbody a[tabindex='0']")?.focus();
  }

  // read starts again with the recorded requests that match the filter.
  async function read() {
    stop();
    const ended = new AbortController();
    stop = () => ended.abort();
    from.hidden = caller === "";
    paused = false;
    pause.setAttribute("aria-pressed", "false");
    fill(from, `from ${caller} `, h("span", { "aria-hidden": "true" }, "✕"), h("span", { class: "unseen" }, "remove"));
    har.href = address("requests.har", filter());
    har.download = `${latest()?.name ?? "silo"}.har`;
    try {
      const first = await get("requests", { ...filter(), n: maxRows }, ended.signal);
      if (ended.signal.aborted) return;
      kept.clear();
      for (const e of first.requests ?? []) kept.set(e.id, e);
      version = first.version;
      loaded = reset = true;
      draw();
    } catch {
      if (ended.signal.aborted) return;
    }
    stop = stream("requests/watch", {
      params: () => ({ ...filter(), since: version }),
      line(change) {
        version = change.version;
        kept.set(change.request.id, change.request);
        draw();
        if (change.request.id === selected && change.request.state !== "open") show(selected, false);
      },
    });
  }

  for (const field of [silo, status, method, crossing]) field.addEventListener("change", read);
  path.addEventListener("input", debounce(250, read));
  document.addEventListener("keydown", keys);

  const route = (fresh) => {
    caller = fresh.get("from") ?? "";
    wanted = fresh.get("silo") ?? "";
    if (names.length > 0) { silo.value = wanted; wanted = ""; }
    read();
    if (fresh.get("id")) show(Number(fresh.get("id")));
  };
  route(params);
  return {
    route,
    update(s) {
      const fresh = s.silos.map((one) => one.name);
      if (fresh.join() === names.join()) return;
      const chosen = wanted || silo.value;
      names = fresh;
      wanted = "";
      fill(silo, h("option", { value: "" }, "All silos"), names.map((name) => h("option", { value: name }, name)));
      silo.value = names.includes(chosen) ? chosen : "";
      har.download = `${s.name}.har`;
    },
    close() {
      stop();
      document.removeEventListener("keydown", keys);
      root.classList.remove("detailed");
      narrow.removeEventListener("change", cover);
      detail.hidden = true;
      cover();
    },
  };
}
