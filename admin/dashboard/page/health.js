// Health as a tree by the names of the checks, policy, upstreams, generations.

import {$, el, text, attr, show, keyed, rows} from "./dom.js";
import {short, plural, clock} from "./words.js";

const tones = {RUNNING: "ok", DEGRADED: "warn", STARTING: "wait", TERMINATING: "wait", FAILED: "bad"};
const order = ["FAILED", "STARTING", "DEGRADED", "TERMINATING", "RUNNING"]; // the worst first

export function drawHealth(look) {
  const at = Date.parse(look.at), families = new Map();
  for (const name of Object.keys(look.status.statuses).sort()) {
    const [family] = name.split(".");
    if (!families.has(family)) families.set(family, []);
    families.get(family).push({name, ...look.status.statuses[name]});
  }
  const worst = checks => order.find(s => checks.some(c => c.status === s)) || "RUNNING";
  keyed($("tree"), [...families], ([family]) => family, ([family]) => {
    return el("li", {}, el("div", {class: "node"}, el("span", {class: "name"}, family), el("span", {class: "badge"})), el("ul"));
  }, (li, [, checks]) => {
    badge(li.querySelector(".badge"), worst(checks));
    keyed(li.lastElementChild, checks, c => c.name, c => el("li", {}, el("div", {class: "node"},
      el("span", {class: "name"}, c.name.slice(c.name.indexOf(".") + 1)), el("span", {class: "badge"}), el("span", {class: "age"})), el("div", {class: "why"})),
    (item, c) => drawCheck(item, c, at));
  });
}

function drawCheck(item, c, at) {
  badge(item.querySelector(".badge"), c.status);
  text(item.querySelector(".age"), "for " + short(at - Date.parse(c.since)) + (c.class === "required" ? "" : ", " + c.class));
  const why = [c.error, ...(c.attributes || []).map(a => a.Key + ": " + a.Value)].filter(Boolean).join("\n");
  drawWhy(item.querySelector(".why"), why);
}

// drawWhy shows a reason; of one with several lines the first, and the rest on demand.
function drawWhy(e, why) {
  show(e, why !== "");
  const [first, ...rest] = why.split("\n");
  keyed(e, rest.length ? ["more"] : ["one"], kind => kind, kind =>
    kind === "one" ? el("span") : el("details", {}, el("summary"), el("p", {class: "words"})), (x, kind) => {
    if (kind === "one") text(x, first);
    else { text(x.children[0], first); text(x.children[1], rest.join("\n")); }
  });
}

function badge(e, status) {
  text(e, status.toLowerCase());
  attr(e, "data-tone", tones[status] || "wait");
}

export function drawPolicy(look) {
  const p = look.status.policy, at = Date.parse(look.at), parts = [];
  parts.push({key: "version", class: "version", text: p.version ? "Version " + p.version : "None in force"});
  const facts = [];
  if (p.applied_at) facts.push("in force for " + short(at - Date.parse(p.applied_at)));
  if (p.source) facts.push("from " + p.source);
  if (p.last_known_good) facts.push("last known good, not from the source");
  if (p.stale_seconds >= 1) facts.push("not seen to be the newest for " + short(1000 * p.stale_seconds));
  if (facts.length) parts.push({key: "facts", class: "faint", text: facts.join("; ")});
  if (p.rejected) {
    parts.push({key: "rejected", class: "fault", text: "Version " + p.rejected.version + " is kept out" + (p.rejected.since ? " since " + clock(p.rejected.since) : "")});
    parts.push({key: "rejection", class: "words", text: p.rejected.error});
  }
  if (p.source_error) parts.push({key: "source", class: "words", text: "The source: " + p.source_error});
  keyed($("policy"), parts, x => x.key, x => el("p", {class: x.class}), (e, x) => text(e, x.text));
  const stages = Object.entries(p.stages || {});
  show($("stage-table"), stages.length > 0);
  rows($("stages"), stages, ([stage, version]) => [stage, version || "none"]);
}

export function drawUpstreams(look) {
  const u = look.status.upstreams;
  text($("up-text"), u.endpoints === 0 ? "None." :
    u.healthy + " of " + plural(u.endpoints, "endpoint") + (u.healthy === 1 ? " gets" : " get") + " requests" + (u.waiting ? "; " + plural(u.waiting, "request waits", "requests wait") + " for a connection" : "") + ".");
  keyed($("up-out"), u.out || [], o => o.cluster + " " + o.endpoint, o => el("li", {}, el("span", {class: "badge", "data-tone": "bad"}), " ", el("code"), el("span", {class: "second"})), (li, o) => {
    text(li.children[0], o.state);
    text(li.children[1], o.endpoint);
    text(li.children[2], "of " + o.cluster);
  });
}

// drawGenerations lists whom one can look at: those that drain still, and the one that serves.
export function drawGenerations(look, watched, choose) {
  const list = (look.draining_generations || []).map(g => ({key: g.generation, text: "Generation " + g.generation + " drains (process " + g.pid + ").", to: g.generation, action: "Watch it"}));
  if (watched) list.unshift({key: "back", text: "This is generation " + watched + ", which drains.", to: 0, action: "Back to the one that serves"});
  show($("generations"), list.length > 0);
  keyed($("gens"), list, g => g.key, g => {
    const b = el("button", {type: "button", class: "quiet"}, g.action);
    b.addEventListener("click", () => choose(g.to));
    return el("li", {}, el("span"), " ", b);
  }, (li, g) => text(li.firstElementChild, g.text));
}
