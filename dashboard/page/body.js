// A body as text: decompressed, indented if it is JSON, in hexadecimal if it is
// binary.

import { h } from "./dom.js";
import { bytes } from "./format.js";

const maxText = 256 * 1024; // characters
const maxDump = 512; // bytes of a binary body

export async function render(message, name) {
  const raw = Uint8Array.from(atob(message.body), (c) => c.charCodeAt(0));
  const headers = new Map(Object.entries(message.headers ?? {}).map(([name, values]) => [name.toLowerCase(), values.join(", ")]));
  const encoding = headers.get("content-encoding")?.toLowerCase() ?? "";
  const { data, cut } = await decompress(raw, encoding);
  const notes = [];
  if (message.truncated) notes.push(`Only the first ${bytes(raw.length)} of ${bytes(message.bytes)} are kept.`);
  if (data !== raw) notes.push(`Decompressed from ${encoding}${cut ? ", truncated" : ""}.`);
  const plain = decode(data, message.truncated || cut);
  const parts = notes.map((note) => h("p", { class: "faint" }, note));
  if (plain === null) {
    parts.push(h("p", { class: "faint" }, `Binary, ${bytes(data.length)}${encoding && data === raw ? `, ${encoding}` : ""}.`), code(dump(data), name));
    return parts;
  }
  parts.push(code(pretty(plain, headers.get("content-type") ?? ""), name));
  return parts;
}

function code(text, name) {
  const more = text.length > maxText;
  return h("pre", { tabindex: "0", role: "region", "aria-label": name }, h("code", {}, more ? text.slice(0, maxText) + "\n…" : text));
}

async function decompress(raw, encoding) {
  if (encoding !== "gzip" && encoding !== "deflate") return { data: raw, cut: false };
  const parts = [];
  let size = 0, cut = false;
  const reader = new Blob([raw]).stream().pipeThrough(new DecompressionStream(encoding)).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      parts.push(value);
      if ((size += value.length) > maxText) { cut = true; reader.cancel().catch(() => {}); break; }
    }
  } catch {
    if (size === 0) return { data: raw, cut: false };
    cut = true; // the body was truncated
  }
  return { data: new Uint8Array(await new Blob(parts).arrayBuffer()), cut };
}

// decode returns the text, or null for binary data. A truncated body may end within a
// character.
function decode(data, cut) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(data, { stream: cut });
    return /[\u0000-\u0008\u000e-\u001a]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

function pretty(text, type) {
  if (!/json/i.test(type) && !/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function dump(data) {
  const lines = [];
  for (let at = 0; at < Math.min(data.length, maxDump); at += 16) {
    const row = [...data.subarray(at, Math.min(at + 16, maxDump))];
    const hex = row.map((b) => b.toString(16).padStart(2, "0")).join(" ").padEnd(47);
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex}  ${row.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : ".")).join("")}`);
  }
  return lines.join("\n") + (data.length > maxDump ? "\n…" : "");
}
