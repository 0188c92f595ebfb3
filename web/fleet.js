// All balancers of a fleet: what each does, and what each thinks of the endpoints. The one that the page came from
// has asked the others.

import { ask } from "./access.js";
import { age, byId, make, ms, newTable, pill, rate, setState, showRows, text, twoLines, whole } from "./parts.js";

const members = newTable(byId("members"), "Balancers of the fleet", [
  ["who", "Balancer", null, "left bare"], ["state", "State", 148, "left side"], ["rate", "Rate", 104], ["flight", "In flight", 96],
  ["waiting", "Queued", 96], ["p99", "p99", 96], ["up", "Endpoints up", 128], ["age", "Up for", 96]]);
const pools = new Map();  // By upstream: { section, table, key }.

const nameOf = (member, i, all) => member.self ? member.name || "this balancer"
  : member.name && all.filter(m => m.name === member.name).length === 1 ? member.name : member.address.replace(/^https?:\/\//, "");

function fillMember(row, { member, name }) {
  if (!row.state) { [row.name, row.sub] = twoLines(row, "who", "name"); row.state = pill(row, "state"); }
  const lost = member.error !== "";
  text(row.name, name); row.name.title = name;
  text(row.sub, lost ? member.error : member.self ? "this balancer" : member.address); row.sub.className = lost ? "sub bad" : "sub";
  row.sub.title = row.sub.textContent;
  setState(row.state, lost ? "no answer" : "ready");
  text(row.cell.rate, lost ? "–" : rate(member.rate_1s) + " /s");
  text(row.cell.flight, lost ? "–" : whole(member.in_flight));
  text(row.cell.waiting, lost ? "–" : whole(member.waiting));
  text(row.cell.p99, lost ? "–" : ms(member.latency_p99_ms));
  text(row.cell.up, lost ? "–" : `${member.up} of ${member.endpoints}`);
  row.cell.up.classList.toggle("bad", !lost && member.up < member.endpoints);
  text(row.cell.age, lost ? "–" : age(member.uptime_s));
}

// The table of one pool: a column for each balancer that has answered. It is made anew when those change.
function tableOf(upstream, columns) {
  let shown = pools.get(upstream);
  if (!shown) {
    const section = make("section"), title = make("h2", "", upstream), panel = make("div", "panel");
    title.id = `fleet-${pools.size}`; title.append(make("small"));
    panel.tabIndex = 0; panel.setAttribute("role", "region");
    for (const part of [section, panel]) part.setAttribute("aria-labelledby", title.id);
    section.append(title, panel); byId("fleet-pools").append(section);
    pools.set(upstream, shown = { section, panel, note: title.lastChild, key: "" });
  }
  const key = JSON.stringify(columns);
  if (shown.key !== key) {
    shown.key = key;
    shown.table = newTable(shown.panel, `Endpoints of ${upstream}, as each balancer sees them`,
      [["who", "Endpoint", null, "left bare"], ["verdict", "Balancers", 116, "left side"], ...columns.map((name, i) => ["m" + i, name, 176, "left"])], "No endpoints.");
  }
  return shown;
}

function fillEndpoint(row, { endpoint, heard }) {
  if (!row.name) {
    [row.name, row.sub] = twoLines(row, "who", "name");
    row.verdict = make("span", "verdict"); row.cell.verdict.append(row.verdict);
    row.states = heard.map((_, i) => pill(row, "m" + i)); row.rates = heard.map((_, i) => { const sub = make("div", "sub"); row.cell["m" + i].append(sub); return sub; });
  }
  text(row.name, endpoint.name); row.name.title = endpoint.name;
  text(row.sub, endpoint.name === endpoint.address ? "" : endpoint.address);
  text(row.verdict, endpoint.differs ? "differ" : "agree");
  row.tr.classList.toggle("differs", endpoint.differs);
  heard.forEach((at, i) => {
    setState(row.states[i], endpoint.states[at] ?? "absent");
    text(row.rates[i], endpoint.rates[at] == null ? "" : rate(endpoint.rates[at]) + " /s");
  });
}

export async function showFleet() {
  const answer = await ask("/api/tepal/fleet");
  if (!answer.ok) throw Error((await answer.json().catch(() => null))?.error || `the balancer answers ${answer.status}`);
  const fleet = await answer.json();
  const names = fleet.members.map(nameOf);
  const rows = fleet.members.map((member, i) => ({ member, name: names[i] }));
  showRows(members, rows, ({ member }) => member.address, fillMember);
  for (const [upstream, shown] of pools) if (!fleet.pools.some(pool => pool.upstream === upstream)) { shown.section.remove(); pools.delete(upstream); }
  for (const pool of fleet.pools) {
    const heard = fleet.members.map((_, i) => i).filter(i => pool.heard[i]);
    const shown = tableOf(pool.upstream, heard.map(i => names[i]));
    const differ = pool.endpoints.filter(e => e.differs).length;
    text(shown.note, differ ? `balancers differ about ${differ} of ${pool.endpoints.length}` : "all balancers agree");
    shown.note.className = differ ? "warn" : "";
    showRows(shown.table, pool.endpoints.map(endpoint => ({ endpoint, heard })), ({ endpoint }) => endpoint.address, fillEndpoint);
  }
}
