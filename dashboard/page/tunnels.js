// The tunnels: where each one leads, and what is wrong with it.

import { cell, h, head, keep, lead, row, say, table } from "./dom.js";
import { none } from "./format.js";

export const title = "Tunnels";

const providers = {
  local: "on this machine alone", ngrok: "through ngrok", external: "made by somebody else", none: "none: silos are reached on their ports",
};

export function open(root) {
  const sum = h("p", { class: "sum" });
  const tunnels = table("Tunnels", ["Silo", "Tunnel", "Address", "Leads to", "Trouble"], { class: "cards" });
  root.append(h("div", { class: "head" }, h("h2", {}, "Tunnels"), sum), h("div", { class: "box" }, tunnels));
  return {
    update(s) {
      say(sum, `${s.provider}: ${providers[s.provider] ?? ""}`);
      keep(tunnels.tBodies[0], s.silos, (silo) => silo.name, line);
    },
    close() {},
  };
}

function line({ name }) {
  const state = h("span", { class: "state" });
  const address = h("a", { rel: "noopener noreferrer", target: "_blank", class: "mono" });
  const browse = h("a", { rel: "noopener noreferrer", target: "_blank", class: "mono faint" }), attempt = h("div", { class: "faint" });
  const bind = h("span", { class: "mono" });
  const code = h("a", { class: "mono", rel: "noopener noreferrer", target: "_blank" }), text = h("span"), hint = h("div", { class: "faint" });
  return {
    element: row({ "data-silo": name },
      head("Silo", h("span", { class: "name" }, name)),
      cell("Tunnel", state, attempt), cell("Address", h("div", {}, address), browse), cell("Leads to", bind),
      cell("Trouble", h("div", {}, code, " ", text), hint)),
    update({ url, browse_url: named, bind: to, tunnel }) {
      state.dataset.state = tunnel.state;
      say(state, tunnel.state);
      say(address, url ?? "");
      lead(address, url);
      say(browse, named ?? "");
      lead(browse, named);
      say(attempt, tunnel.attempt > 0 ? `attempt ${tunnel.attempt}` : "");
      say(bind, to);
      const error = tunnel.error;
      say(code, error?.code ?? "");
      lead(code, /^ERR_NGROK_\d+$/.test(error?.code ?? "") ? `https://ngrok.com/docs/errors/${error.code.toLowerCase()}` : null);
      say(text, error?.text ?? none);
      say(hint, error?.hint ?? "");
    },
  };
}
