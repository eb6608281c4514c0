// The silos: their state, and actions on them.

import { get, poll, post } from "./api.js";
import { cell, disable, h, reconcile, row, rowHeader, setHref, setText, table, toast } from "./dom.js";
import { bytes, none, since } from "./format.js";

export const title = "Silos";

const resting = new Set(["stopped", "failed", "planned"]);
const quiet = new Set(["online", "none"]); // states of a tunnel without a problem
const interval = 10000; // milliseconds: each probe requests every silo's health path, which the silo may log

export function open(root, { snapshot: latest }) {
  const measured = new Map(); // name → silo of the last probe, with memory and CPU
  let inStep = null;
  const facts = h("dl", { class: "facts" });
  const sum = h("p", { class: "sum" });
  const restartAll = h("button", { onclick: () => act("restart", {}) }, "Restart all");
  const down = h("button", { class: "danger", onclick: () => confirmDown(latest()) }, "Shut down…");
  const note = h("p", { class: "note", hidden: true }, "Start and stop these silos yourself: ", h("code", {}, "silo run SILO -- CMD…"), ".");
  const silos = table("Silos", ["Silo", "State", "Address", "Process", "Memory", "Restarts", { title: "Actions", inner: "unseen" }], { class: "cards silos" });
  root.append(
    h("div", { class: "head" }, h("h2", {}, "Silos"), sum, h("div", { class: "tools" }, restartAll, down)),
    note, h("div", { class: "box" }, silos), facts);

  const draw = (s) => {
    const ready = s.silos.filter((silo) => silo.state === "ready").length;
    setText(sum, `${ready} of ${s.silos.length} ready`);
    const managed = s.managed !== false, over = s.state === "stopping" || s.state === "stopped";
    note.hidden = managed;
    restartAll.hidden = !managed;
    for (const button of [restartAll, down]) disable(button, over);
    reconcile(silos.tBodies[0], s.silos, (silo) => silo.name, line);
    for (const silo of s.silos) silos.tBodies[0].byKey.get(silo.name).measure(measured.get(silo.name), managed, over);
    reconcile(facts, factsOf(s, inStep), (fact) => fact[0], fact);
  };
  const stop = poll(interval, async (signal) => {
    const fresh = await get("snapshot", { probe: 1 }, signal);
    for (const silo of fresh.silos) measured.set(silo.name, silo);
    inStep = fresh.config.in_step;
    if (latest()) draw(latest());
  });
  return { update: draw, close: stop };
}

async function act(verb, body, button) {
  if (button) disable(button, true);
  try {
    await post(verb, body);
  } catch (error) {
    toast(`${verb}: ${error.message}`);
  } finally {
    if (button) disable(button, false);
  }
}

function line(first) {
  const name = first.name;
  let silo = first;
  const state = h("span", { class: "state" }), reason = h("div", { class: "reason" });
  const address = h("a", { rel: "noopener noreferrer", target: "_blank", class: "mono" });
  const process = h("span", { class: "num" }), up = h("div", { class: "faint" });
  const memory = h("span", { class: "num" }), cpu = h("div", { class: "faint" }), restarts = h("span", { class: "num" });
  const port = h("div", { class: "faint" }), tunnel = h("div", { class: "bad" });
  const kind = h("div", { class: "faint" });
  const restart = h("button", { "aria-label": `Restart ${name}`, onclick: () => act("restart", { silos: [name] }, restart) }, "Restart");
  const toggle = h("button", { onclick: () => act(resting.has(silo.state) ? "start" : "stop", { silos: [name] }, toggle) });
  const to = (view) => h("a", { href: `#/${view}?silo=${encodeURIComponent(name)}`, "aria-label": `${view} of ${name}` }, view);
  const element = row({ "data-silo": name },
    rowHeader("Silo", h("span", { class: "name" }, name), kind, h("div", { class: "links" }, to("logs"), to("requests"))),
    cell("State", state, reason), cell("Address", address, port, tunnel), cell("Process", process, up),
    cell("Memory", memory, cpu), cell("Restarts", restarts), h("td", { role: "cell", class: "actions" }, restart, toggle));
  return {
    element,
    update(now) {
      silo = now;
      state.dataset.state = now.state;
      setText(state, now.state);
      setText(reason, now.reason ?? exitOf(now));
      reason.hidden = reason.textContent === "";
      setText(kind, now.region_id === null ? `${now.mode.toLowerCase()} silo` : `region ${now.region_id} · ${now.category.toLowerCase().replace("_", " ")}`);
      setText(address, withoutScheme(now.browse_url ?? now.url));
      setHref(address, now.browse_url ?? now.url);
      setText(port, now.browse_url ? `${withoutScheme(now.url)}, listens on ${now.port}` : `listens on ${now.port}`);
      setText(tunnel, quiet.has(now.tunnel.state) ? "" : `tunnel ${now.tunnel.state}`);
      setText(process, now.pid ?? none);
      setText(up, now.pid && now.ready_at ? `ready for ${since(now.ready_at)}` : "");
      setText(restarts, now.restarts);
      const verb = resting.has(now.state) ? "Start" : "Stop";
      setText(toggle, verb);
      toggle.setAttribute("aria-label", `${verb} ${name}`);
    },
    measure(probed, managed, over) {
      const known = probed && probed.pid !== null && probed.pid === silo.pid;
      setText(memory, known ? bytes(probed.rss_bytes) : none);
      setText(cpu, known && probed.cpu_percent !== null ? `${probed.cpu_percent.toFixed(1)} % CPU` : "");
      restart.hidden = toggle.hidden = !managed;
      disable(restart, over || resting.has(silo.state));
      disable(toggle, over || silo.state === "stopping");
    },
  };
}

function withoutScheme(url) {
  return (url ?? "").replace(/^https?:\/\//, "");
}

function exitOf(silo) {
  if (silo.state === "ready" || !silo.exit) return "";
  return silo.exit.signal ? `ended by ${silo.exit.signal}` : `exited with code ${silo.exit.code}`;
}

function factsOf(s, inStep) {
  const step = { true: " · in step", false: " · out of step: silo up rewrites it" }[inStep] ?? "";
  return [
    ["Topology", s.file], ["Region config", s.config.path + step],
    ["Dialect", s.found ? `${s.dialect} (${s.found})` : s.dialect], ["Tunnels", s.provider],
    ["Supervisor", s.pid ? `pid ${s.pid}, for ${since(s.started_at)}` : none], ["Version", s.version],
  ];
}

function fact([name]) {
  const value = h("dd");
  return { element: h("div", {}, h("dt", {}, name), value), update: ([, text]) => setText(value, text) };
}

function confirmDown(snapshot) {
  const dialog = h("dialog", { "aria-labelledby": "down-title", onclose: () => dialog.remove() },
    h("h2", { id: "down-title" }, `Shut ${snapshot.name} down?`),
    h("p", {}, "Regions stop first, then control, then the tunnels. This page stops too."),
    h("div", { class: "tools" },
      h("button", { autofocus: true, onclick: () => dialog.close() }, "Cancel"),
      h("button", { class: "danger filled", onclick: () => { dialog.close(); act("down", {}); } }, "Shut down")));
  document.body.append(dialog);
  dialog.showModal();
}
