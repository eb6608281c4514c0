// Elements are made here and nowhere else. Data becomes text or an attribute's
// value, never markup.

// h makes an element: h("a", { class: "x", href: "…", onclick: f }, "text", child…).
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  if (name === "button") element.type = "button"; // no form here is ever sent
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// say sets an element's text only where it changes: no screen reader is told twice.
export function say(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

// lead makes a link lead to a web address; anything else stays text.
export function lead(link, url) {
  if (/^https?:\/\//.test(url ?? "")) { if (link.getAttribute("href") !== url) link.setAttribute("href", url); } else link.removeAttribute("href");
}

// fill replaces an element's children.
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter(Boolean));
  return element;
}

// keep makes the children of parent those of items, one each, and reuses what is
// there: focus and selection stay. make(item) gives { element, update(item) }.
export function keep(parent, items, key, make) {
  const known = (parent.kept ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [name, row] of known) {
    if (!wanted.has(name)) { row.element.remove(); known.delete(name); }
  }
  let after = null;
  for (const item of items) {
    let row = known.get(key(item));
    if (!row) known.set(key(item), (row = make(item)));
    row.update(item);
    const place = after ? after.nextSibling : parent.firstChild;
    if (place !== row.element) parent.insertBefore(row.element, place);
    after = row.element;
  }
}

// table makes a table with column headers; its body is table.tBodies[0]. On a narrow
// page its rows become cards, whose fields are named by what cell() was given. The
// roles say again what the elements are: without them a table that is laid out as
// something else is none to some browsers' accessibility.
export function table(caption, columns, attributes = {}) {
  return h("table", { role: "table", ...attributes },
    h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      columns.map((column) => h("th", { scope: "col", role: "columnheader", class: column.class }, h("span", { class: column.inner }, column.title ?? column))))),
    h("tbody", { role: "rowgroup" }));
}

// row makes a row of such a table.
export function row(attributes, ...cells) {
  return h("tr", { role: "row", ...attributes }, ...cells);
}

// head is the cell that names its row.
export function head(label, ...children) {
  return h("th", { scope: "row", role: "rowheader", "data-label": label }, ...children);
}

export function cell(label, ...children) {
  return h("td", { role: "cell", "data-label": label }, ...children);
}

// once a frame, however often it is asked.
export function framed(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };
}

// later calls f once nobody has asked for that many milliseconds.
export function later(ms, f) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(f, ms); };
}

// tell lets screen readers know, politely.
export function tell(text) {
  document.getElementById("live").textContent = text;
}

// toast shows what has gone wrong, until it is closed or ten seconds have passed.
export function toast(text, kind = "bad") {
  const close = () => element.remove();
  const element = h("div", { class: `toast ${kind}` }, h("span", {}, text),
    h("button", { class: "quiet", "aria-label": "Dismiss", onclick: close }, "✕"));
  document.getElementById("toasts").append(element);
  setTimeout(close, 10000);
}
