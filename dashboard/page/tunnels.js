// The tunnels: their addresses, upstreams and problems.

import { cell, h, reconcile, row, rowHeader, setHref, setText, table } from "./dom.js";
import { none } from "./format.js";

export const title = "Tunnels";

const providers = {
  local: "only on this machine", ngrok: "through ngrok", external: "provided by you", none: "silos are reached on their ports",
};

export function open(root) {
  const sum = h("p", { class: "sum" });
  const tunnels = table("Tunnels", ["Silo", "Tunnel", "Address", "Upstream", "Problem"], { class: "cards" });
  root.append(h("div", { class: "head" }, h("h2", {}, "Tunnels"), sum), h("div", { class: "box" }, tunnels));
  return {
    update(s) {
      setText(sum, `${s.provider}: ${providers[s.provider] ?? ""}`);
      reconcile(tunnels.tBodies[0], s.silos, (silo) => silo.name, line);
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
      rowHeader("Silo", h("span", { class: "name" }, name)),
      cell("Tunnel", state, attempt), cell("Address", h("div", {}, address), browse), cell("Upstream", bind),
      cell("Problem", h("div", {}, code, " ", text), hint)),
    update({ url, browse_url: named, bind: to, tunnel }) {
      state.dataset.state = tunnel.state;
      setText(state, tunnel.state);
      setText(address, url ?? "");
      setHref(address, url);
      setText(browse, named ?? "");
      setHref(browse, named);
      setText(attempt, tunnel.attempt > 0 ? `attempt ${tunnel.attempt}` : "");
      setText(bind, to);
      const error = tunnel.error;
      setText(code, error?.code ?? "");
      setHref(code, /^ERR_NGROK_\d+$/.test(error?.code ?? "") ? `https://ngrok.com/docs/errors/${error.code.toLowerCase()}` : null);
      setText(text, error?.text ?? none);
      setText(hint, error?.hint ?? "");
    },
  };
}
