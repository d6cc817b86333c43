// Traffic, and what went wrong.

import {$, el, svg, text, attr, show, rows, keyed} from "./dom.js";
import {count, rate, classes, plural, total} from "./words.js";

const requests = t => t.requests.ok + t.requests.redirect + t.requests.client + t.requests.server + t.requests.other;
const failures = t => t.requests.server;

const over = "> 10";

// took writes how long a request took.
function took(s) {
  if (s === null) return ["–", ""];
  if (s === Infinity) return [over, "s"];
  return s < 1 ? [s < .01 ? (s * 1000).toFixed(1) : Math.round(s * 1000), "ms"] : [s.toFixed(1), "s"];
}

function slowest(p99, unit) {
  if (unit === "") return "no requests in the last 10 s";
  return p99 === over ? "1 % took longer than 10 s" : "99 % below " + p99 + " " + unit;
}

export function drawTraffic(look, history) {
  const errors = history.rate(failures), all = history.rate(requests);
  const share = all > 0 ? 100 * errors / all : 0;
  const [p50, unit50] = took(history.quantile(.5)), [p99, unit99] = took(history.quantile(.99));
  const c = look.status.connections;
  keyed($("tiles"), [
    {name: "Requests", value: rate(all), unit: "/s", series: history.series(requests), said: "requests a second"},
    {name: "Server errors", value: rate(errors), unit: "/s" + (errors > 0 ? ", " + share.toFixed(share < 10 ? 1 : 0) + "\u00a0%" : ""), series: history.series(failures), said: "answers with 5xx a second", bad: errors > 0},
    {name: "Median latency", value: p50, unit: unit50, more: slowest(p99, unit99)},
    {name: "Connections", value: count(total(c)), unit: "", more: classes(c) + "; " + plural(look.traffic.active, "exchange runs", "exchanges run")},
  ], t => t.name, t => {
    const tile = el("div", {class: "tile"}, el("h3", {}, t.name), el("p", {}, el("span", {class: "value"}), el("span", {class: "unit"})));
    tile.append(t.series ? spark() : el("p", {class: "faint"}));
    return tile;
  }, (tile, t) => {
    attr(tile, "data-tone", t.bad ? "bad" : null);
    text(tile.querySelector(".value"), t.value);
    text(tile.querySelector(".unit"), t.unit);
    if (t.series) draw(tile.lastElementChild, t.series, t.said);
    else text(tile.lastElementChild, t.more);
  });
  rows($("answers"), [["1xx, 2xx", "ok"], ["3xx", "redirect"], ["4xx", "client"], ["5xx", "server"], ["no status", "other"]],
    ([name, key]) => [name, rate(history.rate(t => t.requests[key])), count(look.traffic.requests[key])]);
  drawRoutes(look.traffic, history);
  drawTroubles(look.traffic, history);
}

function drawRoutes(traffic, history) {
  const routes = traffic.routes || [];
  show($("routes-part"), routes.length > 0);
  const of = (t, name) => (t.routes || []).find(r => r.route === name)?.requests;
  const sum = r => r ? r.ok + r.redirect + r.client + r.server + r.other : 0;
  rows($("routes"), routes, r => [r.route || "(none)", rate(history.rate(t => sum(of(t, r.route)))),
    rate(history.rate(t => of(t, r.route)?.server || 0)), count(r.requests.server)]);
  show($("routes-rest"), traffic.routes_not_listed > 0);
  text($("routes-rest"), "and " + count(traffic.routes_not_listed) + " more; /metrics has all of them");
}

function drawTroubles(traffic, history) {
  const there = traffic.troubles.filter(t => t.count > 0);
  const minute = what => history.grown(t => t.troubles.find(x => x.what === what)?.count || 0, 60000).n;
  show($("no-trouble"), there.length === 0);
  show($("trouble"), there.length > 0);
  keyed($("troubles"), there, t => t.what, t => el("tr", {}, el("th", {scope: "row"}, t.what, el("code", {class: "second"}, t.metric)), el("td", {class: "num"}), el("td", {class: "num"})),
    (tr, t) => {
      const n = minute(t.what);
      attr(tr, "data-tone", n > 0 ? "bad" : null);
      text(tr.children[1], count(n));
      text(tr.children[2], count(t.count));
    });
}

// spark is an empty line of rates.
function spark() {
  const s = svg("svg", {viewBox: "0 0 100 20", preserveAspectRatio: "none", role: "img"});
  s.append(svg("path", {class: "spark-base", d: "M0 19.5H100"}), svg("path", {class: "spark-under"}), svg("path", {class: "spark"}));
  return s;
}

function draw(s, series, said) {
  const known = series.filter(v => v !== null), peak = Math.max(0, ...known), top = Math.max(peak, 1e-9);
  let line = "", under = "", first = null, x = 0;
  series.forEach((v, i) => {
    if (v === null) return;
    x = 100 * i / (series.length - 1);
    const y = 19 - 17 * v / top;
    line += (first === null ? "M" : "L") + x.toFixed(2) + " " + y.toFixed(2);
    first ??= x;
  });
  if (first !== null) under = line + "L" + x.toFixed(2) + " 20L" + first.toFixed(2) + " 20Z";
  attr(s.children[1], "d", under || "M0 0");
  attr(s.children[2], "d", line || "M0 0");
  attr(s, "aria-label", "The last two minutes, " + said + ": " + (known.length ? "now " + rate(known[known.length - 1]) + ", at most " + rate(peak) : "nothing known yet"));
}
