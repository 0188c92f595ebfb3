// The autoscaler and the slots of `tepal up`.

import { byId, make, put } from "./parts.js";

export function showScaler(extra) {
  const a = extra && (extra.autoscaler || extra);
  const shown = a && a.desired != null;
  byId("scaler").hidden = !shown;
  if (!shown) return;
  const ready = a.replicas && typeof a.replicas === "object" ? a.replicas.ready || 0 : a.replicas;
  byId("replicas").replaceChildren(String(ready), make("small", "", ` of ${a.desired} wanted`));
  put("bounds", `between ${a.min} and ${a.max}`);
  put("reason", a.reason || "No step yet.");
  byId("metrics").replaceChildren(...(a.metrics || []).map(m => {
    const line = make("span", "metric soft", m.name + ": ");
    const number = v => v == null ? "no value" : Number(v.toPrecision(3)).toLocaleString("en");
    line.append(make("b", m.value > m.target ? "bad" : "good", number(m.value)), ` (target ${number(m.target)} ${m.unit || ""})`);
    return line;
  }));
  byId("slots").replaceChildren(...(a.slots || []).map(s => {
    const on = s.state === "ready", off = s.state === "empty" || s.state === "free";
    const slot = make("div", "slot " + (on ? "on" : off ? "off" : "mid"));
    slot.append(make("b", "", s.name), make("span", "", s.state + (s.pid ? ` · pid ${s.pid}` : "")));
    return slot;
  }));
}
