// Elements are created only here. Data becomes text or an attribute's value, never
// markup.

// h creates an element: h("a", { class: "x", href: "…", onclick: f }, "text", child…).
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  if (name === "button") element.type = "button"; // no form here is submitted
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(key.slice(2), (event) => isDisabled(element) || value(event));
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// disable turns a button off or on. It stays focusable, unlike a button with the
// attribute disabled, which would drop the focus to the top of the page.
export function disable(button, off) {
  button.setAttribute("aria-disabled", String(off));
}

function isDisabled(element) {
  return element.getAttribute("aria-disabled") === "true";
}

// setText changes an element's text only if it differs, so that no screen reader
// reads it twice.
export function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

// setHref sets a link's address if it is a web address. Otherwise the link is text.
export function setHref(link, url) {
  if (/^https?:\/\//.test(url ?? "")) link.setAttribute("href", url);
  else link.removeAttribute("href");
}

// fill replaces an element's children.
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter(Boolean));
  return element;
}

// reconcile gives parent one child per item and reuses existing ones, so that focus
// and selection stay. create(item) returns { element, update(item) }.
export function reconcile(parent, items, key, create) {
  const known = (parent.byKey ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [name, row] of known) {
    if (!wanted.has(name)) { row.element.remove(); known.delete(name); }
  }
  let after = null;
  for (const item of items) {
    let row = known.get(key(item));
    if (!row) known.set(key(item), (row = create(item)));
    row.update(item);
    const place = after ? after.nextSibling : parent.firstChild;
    if (place !== row.element) parent.insertBefore(row.element, place);
    after = row.element;
  }
}

// table creates a table with column headers; its body is table.tBodies[0]. On a
// narrow page its rows become cards, and the labels of cell() name their fields. The
// roles are explicit because some browsers drop the implicit ones of a table with
// another CSS display.
export function table(caption, columns, attributes = {}) {
  return h("table", { role: "table", ...attributes },
    h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      columns.map((column) => h("th", { scope: "col", role: "columnheader", class: column.class }, h("span", { class: column.inner }, column.title ?? column))))),
    h("tbody", { role: "rowgroup" }));
}

// row creates a row of such a table.
export function row(attributes, ...cells) {
  return h("tr", { role: "row", ...attributes }, ...cells);
}

// rowHeader creates the cell that names its row.
export function rowHeader(label, ...children) {
  return h("th", { scope: "row", role: "rowheader", "data-label": label }, ...children);
}

export function cell(label, ...children) {
  return h("td", { role: "cell", "data-label": label }, ...children);
}

// oncePerFrame returns a function that calls draw at most once per frame.
export function oncePerFrame(draw) {
  let pending = false;
  return () => {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; draw(); });
  };
}

// debounce returns a function that calls f when it was not called for ms milliseconds.
export function debounce(ms, f) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(f, ms); };
}

// announce makes screen readers read a text.
export function announce(text) {
  document.getElementById("live").textContent = text;
}

// toast shows an error until it is closed, for ten seconds at most.
export function toast(text) {
  const close = () => element.remove();
  const element = h("div", { class: "toast" }, h("span", {}, text),
    h("button", { class: "quiet", "aria-label": "Dismiss", onclick: close }, "✕"));
  document.getElementById("toasts").append(element);
  setTimeout(close, 10000);
}
