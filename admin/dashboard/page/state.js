// The process: its state, how far a stop has come, and what may be done about it.

import {$, el, text, attr, show, keyed} from "./dom.js";
import {short, seconds, clock, plural, total} from "./words.js";

const steps = [["starting", "Starting"], ["serving", "Serving"], ["lame_duck", "Lame duck"], ["draining", "Draining"], ["drained", "Drained"]];

const states = {
  starting: ["Starting", "wait", "Nothing is admitted yet."],
  serving: ["Serving", "ok", "Ready: balancers should send."],
  lame_duck: ["Lame duck", "warn", "Not ready any more and still accepting, until balancers have noticed."],
  draining: ["Draining", "warn", "Nothing new is taken; what is open finishes."],
  drained: ["Drained", "wait", "Nothing is left; parked until a signal."],
  stopped: ["Stopped", "wait", "The process exits."],
  failed: ["Failed", "bad", "Something went wrong."],
};

// nameOf is the state in a word or two.
export const nameOf = look => states[look.status.drain.state]?.[0] || look.status.drain.state;

export function drawState(look) {
  const s = look.status, d = s.drain;
  let [word, tone, means] = states[d.state] || [d.state, "wait", ""];
  if (d.state === "serving" && !s.ready) [tone, means] = ["bad", "Not ready: " + s.readiness];
  if (d.state === "starting" && !s.ready) means += " " + s.readiness;
  attr($("state"), "data-tone", tone);
  text($("word"), word);
  text($("means"), means);
  drawSteps(d.state);
  drawBars(look);
  show($("undo"), look.acts && d.state === "lame_duck");
  show($("ack"), look.acts && d.state === "lame_duck");
  show($("no-acts"), !look.acts && ["lame_duck", "draining"].includes(d.state));
  drawFacts(look);
}

// drawSteps draws the way from start to end, and how far it is gone.
export function drawSteps(state) {
  const now = steps.findIndex(([key]) => key === state);
  keyed($("steps"), steps, ([key]) => key, ([, name]) => el("li", {}, el("span", {}, name)), (li, [key]) => {
    const i = steps.findIndex(([k]) => k === key);
    attr(li, "aria-current", i === now ? "step" : null);
    li.classList.toggle("past", now >= 0 && i < now);
  });
}

// leftOf is how many ms the phase under way has; null: it has no end.
export function leftOf(look) {
  const d = look.status.drain;
  return d.until ? Math.max(0, Date.parse(d.until) - Date.parse(look.at)) : null;
}

function drawBars(look) {
  const d = look.status.drain, at = Date.parse(look.at), left = leftOf(look), bars = [];
  if (left !== null && (d.state === "lame_duck" || d.state === "draining")) {
    const whole = Math.max(1, Date.parse(d.until) - Date.parse(d.since));
    bars.push(d.state === "lame_duck" ?
      {key: "duck", name: "Accepting still, at most", value: left, max: whole, said: seconds(left / 1000) + " more", tone: "warn"} :
      {key: "deadline", name: "Until the rest is cut", value: left, max: whole, said: seconds(left / 1000), tone: left / whole < .25 ? "bad" : "warn"});
  }
  const initial = total(d.initial), remaining = Math.min(initial, total(d.remaining));
  if (d.state === "draining" && initial > 0)
    bars.push({key: "gone", name: "Connections that are gone", value: initial - remaining, max: initial, said: (initial - remaining) + " of " + initial});
  if (d.budget && d.state !== "serving") {
    const over = Math.max(0, Date.parse(d.budget) - at);
    bars.push({key: "budget", name: "Until the process is over at the latest", value: over, max: Math.max(over, Date.parse(d.budget) - Date.parse(d.since)), said: seconds(over / 1000), tone: "wait"});
  }
  keyed($("bars"), bars, b => b.key, b => {
    const id = "bar-" + b.key;
    return el("div", {class: "bar"}, el("label", {for: id}, el("span", {}, b.name), el("b")), el("progress", {id, max: 1}));
  }, (e, b) => {
    const bar = e.lastElementChild;
    text(e.querySelector("b"), b.said);
    attr(bar, "data-tone", b.tone);
    bar.max = b.max;
    bar.value = Math.min(b.value, b.max);
    attr(bar, "aria-valuetext", b.said);
  });
}

function drawFacts(look) {
  const s = look.status, d = s.drain, at = Date.parse(look.at), facts = [];
  if (d.since) facts.push(["For", short(at - Date.parse(d.since)) + ", since " + clock(d.since)]);
  if (d.reason) facts.push(["Because of", d.reason]);
  if (d.holding) facts.push(["Under way", d.holding]);
  if (d.state === "draining" && d.until) facts.push(["Deadline", clock(d.until) + (d.latest ? ", to be moved to " + clock(d.latest) + " at the latest" : "")]);
  if (d.next_signal && d.state !== "serving") facts.push(["One more signal", d.next_signal]);
  if (d.told > 0) facts.push(["Told to leave", plural(d.told, "connection")]);
  if (look.account && ["drained", "stopped", "failed"].includes(d.state)) facts.push(["Account", look.account]);
  keyed($("facts"), facts.flatMap(([name, value]) => [{key: name, tag: "dt", value: name}, {key: name + "=", tag: "dd", value}]),
    f => f.key, f => el(f.tag), (e, f) => text(e, f.value));
}
