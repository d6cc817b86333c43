// Who holds the drain, or would.

import {$, el, text, attr, show, keyed} from "./dom.js";
import {short, bytes, plural, count, classes, total} from "./words.js";
import {leftOf} from "./state.js";

const stopping = ["lame_duck", "draining"];

// While nothing stops, only what a drain would wait for long is worth a line; and of what is
// idle, which a rule will close, a few are enough.
const longAlready = 1000; // ms
const maxIdle = 5, maxBefore = 10;

const busy = c => c.class === "active" || c.class === "tunnel";

function choose(all, stops) {
  if (!stops) return all.filter(c => busy(c) && c.class_ms >= longAlready).slice(0, maxBefore);
  let idle = 0;
  return all.filter(c => busy(c) || ++idle <= maxIdle);
}

export function drawBoard(look, close) {
  const d = look.status.drain, stops = stopping.includes(d.state), h = look.holders;
  const all = h.connections || [];
  const shown = choose(all, stops);
  text($("h-board"), d.state === "draining" ? "Who holds the drain" : "Who would hold a drain");
  text($("board-text"), sentence(d.state, h.total, shown.length));
  show($("holders"), shown.length > 0);
  const held = document.activeElement?.closest?.("#holder-rows tr");
  keyed($("holder-rows"), shown, c => c.id, c => line(c, close), (tr, c) => fill(tr, c, look));
  if (held && !held.isConnected) $("h-board").focus({preventScroll: true}); // it is gone, and with it the button
  const rest = {...h.total};
  for (const c of shown) rest[c.class] = Math.max(0, rest[c.class] - 1);
  show($("board-rest"), stops && total(rest) > 0);
  text($("board-rest"), "and " + plural(total(rest), "more", "more") + ": " + classes(rest));
}

function sentence(state, n, shown) {
  const all = total(n);
  if (state === "drained" || state === "stopped" || state === "failed") return all ? classes(n) : "Nobody: nothing is open.";
  if (all === 0) return "Nobody: nothing is open.";
  if (stopping.includes(state)) return plural(all, "connection") + ": " + classes(n) + ".";
  return plural(all, "connection") + " open: " + classes(n) + "." + (shown ? " These have been at it for a second or more:" : " Nothing has been at it for a second or more.");
}

function line(c, close) {
  const cell = (label, more) => el("td", {role: "cell", "data-label": label, ...more});
  const what = [c.protocol, c.route].filter(Boolean).join(" ");
  const button = el("button", {type: "button", "aria-label": "Close connection " + c.id + (what ? ", " + what : "")}, "Close");
  button.addEventListener("click", () => close(c.id, what));
  const bar = el("progress", {max: 1, "aria-label": "Share of the time left that connection " + c.id + " is expected to take"});
  return el("tr", {role: "row"},
    cell("ID", {class: "num"}), cell("What"), cell("Who", {class: "wide"}), cell("Age", {class: "num"}), cell("Bytes", {class: "num"}), cell("Why", {class: "wide"}),
    el("td", {role: "cell", "data-label": "Expected end", class: "wide"}, bar, el("span")), el("td", {role: "cell", class: "wide"}, button));
}

function fill(tr, c, look) {
  const [id, what, who, age, size, why, end, act] = tr.children, left = leftOf(look);
  text(id, c.id);
  two(what, c.protocol + (c.listener && c.listener !== c.protocol ? " on " + c.listener : ""), c.route);
  two(who, c.identity || "anonymous", "peer " + c.peer);
  text(age, short(c.age_ms));
  two(size, bytes(c.bytes_in) + " in", bytes(c.bytes_out) + " out");
  two(why, c.why, "for " + short(c.class_ms) + (c.queued ? ", " + bytes(c.queued) + " to be sent" : ""));
  const [bar, said] = end.children, known = look.status.drain.state === "draining" && left !== null && c.ends && c.ends.by !== "unknown";
  show(bar, Boolean(known));
  if (known) {
    bar.max = Math.max(left, 1);
    bar.value = Math.min(c.ends.in_ms, bar.max);
    attr(bar, "data-tone", c.ends.by === "observed" ? null : c.ends.by === "idle_close" ? "wait" : "bad");
  }
  text(said, expected(c.ends, look.status.drain.state));
  show(act, look.acts);
}

// two fills a cell with a text and a fainter one under it.
function two(cell, first, second) {
  if (!cell.firstElementChild) cell.append(el("span"), el("span", {class: "second"}));
  text(cell.firstElementChild, first || "–");
  text(cell.lastElementChild, second || "");
}

// expected says when, and on what that rests.
function expected(e, state) {
  if (!e || e.by === "unknown") return "not known";
  const after = short(e.in_ms);
  const when = {
    observed: "in about " + after, idle_close: "closed as idle within " + after,
    deadline: "cut in " + after, route_deadline: "cut in " + after + " (its route)",
  }[e.by] || after;
  const chance = e.cut_chance === undefined ? "" : ", " + count(100 * e.cut_chance) + " % to be cut";
  return state === "draining" || e.by === "observed" ? when + chance : when + " of a drain" + chance;
}
