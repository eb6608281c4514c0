// The silos' output, live.

import { stream } from "./api.js";
import { debounce, fill, h, oncePerFrame, setText } from "./dom.js";
import { count, fineClock } from "./format.js";

export const title = "Logs";

const maxLines = 1000;

export function open(root, { params, snapshot: latest }) {
  const silo = h("select", { id: "log-silo" }, h("option", { value: "" }, "All silos"));
  const grep = h("input", { id: "log-grep", type: "search", "data-filter": "", placeholder: "Filter (regular expression)", autocomplete: "off", spellcheck: "false" });
  const follow = h("input", { id: "log-follow", type: "checkbox" });
  follow.checked = true;
  const sum = h("p", { class: "sum" });
  const pane = h("div", { class: "log box", role: "log", "aria-live": "off", "aria-label": "Log lines", tabindex: "0" });
  root.append(
    h("div", { class: "head" }, h("h2", {}, "Logs"), sum),
    h("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
      h("label", { class: "unseen", for: "log-silo" }, "Silo"), silo,
      h("label", { class: "unseen", for: "log-grep" }, "Lines matching"), grep,
      h("label", { class: "check" }, follow, "Follow")),
    pane);

  let names = [], waiting = [], total = 0, stop = () => {}, atEnd = true;
  const updateAtEnd = () => { atEnd = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 24; };
  pane.addEventListener("scroll", updateAtEnd);
  // Lines that wrap differently, as on a rotated phone, push the latest out of view.
  const resized = new ResizeObserver(() => { if (atEnd) pane.scrollTop = pane.scrollHeight; });
  resized.observe(pane);
  const draw = oncePerFrame(() => {
    updateAtEnd();
    const lines = waiting.slice(-maxLines);
    waiting = [];
    pane.append(...lines.map(line));
    while (pane.childElementCount > maxLines) pane.firstElementChild.remove();
    if (atEnd) pane.scrollTop = pane.scrollHeight;
    setText(sum, total > maxLines ? `the latest ${maxLines} of ${count(total, "line")}` : count(total, "line"));
  });
  const line = ({ silo: name, at, text }) => h("div", { class: "line" },
    at && h("time", { datetime: at }, fineClock(at)),
    h("span", { class: `who hue${Math.max(0, names.indexOf(name)) % 6}` }, name), h("span", { class: "text" }, text));
  const read = () => {
    stop();
    stop = stream("logs", {
      params: () => ({ silo: silo.value, n: 200, follow: follow.checked, grep: grep.value }),
      opened() { fill(pane); waiting = []; total = 0; grep.removeAttribute("aria-invalid"); draw(); },
      line(value) { waiting.push(value); total++; draw(); },
      lost(error) {
        if (!error && !follow.checked) stop(); // all lines have been read
        if (error?.status !== 400) return;
        stop();
        grep.setAttribute("aria-invalid", "true");
        fill(pane, h("p", { class: "empty" }, error.message));
      },
    });
  };
  silo.addEventListener("change", read);
  follow.addEventListener("change", read);
  grep.addEventListener("input", debounce(300, read));

  let wanted = params.get("silo") ?? "";
  const update = (s) => {
    const fresh = s.silos.map((one) => one.name);
    if (fresh.join() === names.join()) return;
    names = fresh;
    pane.style.setProperty("--who", `${Math.max(...names.map((name) => name.length))}ch`);
    const chosen = wanted || silo.value;
    wanted = "";
    fill(silo, h("option", { value: "" }, "All silos"), names.map((name) => h("option", { value: name }, name)));
    silo.value = names.includes(chosen) ? chosen : "";
    read();
  };
  if (!latest()) read();
  return { update, close: () => { stop(); resized.disconnect(); } };
}
