// The page: one stream of looks, drawn as they come. The token lives in this module's memory
// and nowhere else.

import {needsToken} from "./door.js";
import {$, text, attr, show} from "./dom.js";
import {Stream} from "./stream.js";
import {History} from "./rates.js";
import {Acts, tell} from "./acts.js";
import {nameOf, drawState, drawSteps, leftOf} from "./state.js";
import {drawBoard} from "./board.js";
import {drawTraffic} from "./traffic.js";
import {drawHealth, drawPolicy, drawUpstreams, drawGenerations} from "./health.js";
import {clock, plural, seconds, total} from "./words.js";

const hiddenFor = 60000; // ms out of sight after which the stream is given back

let token = "", generation = 0, last = null, end = "", lostAt = 0;
const history = new History();

const base = () => generation ? "../generations/" + generation + "/" : "../";
const acts = new Acts(base, () => token);
const stream = new Stream({look, ended, refused, lost});

function start() {
  end = "";
  stream.start(base() + "dashboard/events", token);
}

// look draws a look.
function look(now) {
  const before = last;
  if (!before || before.status.pid !== now.status.pid || before.status.generation !== now.status.generation) {
    history.clear();
    if (before && !generation) tell("ok", "Another process answers here now: " + now.status.pid + ".");
  }
  last = now;
  lostAt = 0;
  end = "";
  history.add(Date.parse(now.at), now.traffic);
  show($("gate"), false);
  show($("all"), true);
  show($("forget"), token !== "");
  line("ok", "Live, " + clock(now.at));
  text($("who"), ["process " + now.status.pid, now.status.version, "generation " + now.status.generation].filter(Boolean).join(" · "));
  drawState(now);
  drawBoard(now, (id, what) => acts.close(id, what));
  drawTraffic(now, history);
  drawHealth(now);
  drawPolicy(now);
  drawUpstreams(now);
  drawGenerations(now, generation, choose);
  title(now);
  announce(before, now);
}

// announce says aloud what changed of the state, and nothing else.
function announce(before, now) {
  if (before && before.status.drain.state === now.status.drain.state && before.status.ready === now.status.ready) return;
  text($("say"), nameOf(now) + ". " + $("means").textContent);
}

function title(now) {
  const d = now.status.drain, left = leftOf(now);
  const more = d.state === "draining" ? " " + plural(total(now.holders.total), "connection") + (left === null ? "" : ", " + seconds(left / 1000)) : "";
  document.title = nameOf(now) + more + " · Sluice";
}

function ended(why) {
  end = why;
  if (why === "withdrawn") gate("The token is not valid any more.");
}

// lost is told each time that there is no answer. A stream that is cut and comes back at
// once is nothing to worry about.
function lost(why) {
  lostAt ||= Date.now();
  if (!last) line("bad", "Not connected: " + why);
  else if (over()) gone();
  else if (Date.now() - lostAt > 2000) line("bad", "No answer since " + clock(lostAt) + "; asking again");
}

// over reports whether the process has said that this is its end.
const over = () => end === "drained" || end === "over";

// gone draws the end of a process that stopped.
function gone() {
  line("wait", "Gone; this is how it was at " + clock(last.at));
  attr($("state"), "data-tone", "wait");
  if ($("word").textContent === "Gone") return;
  text($("word"), "Gone");
  text($("means"), "The process is over" + (last.account ? ": " + last.account : "") + ".");
  drawSteps("drained");
  $("bars").replaceChildren();
  $("facts").replaceChildren();
  text($("h-board"), "Who held the drain");
  show($("undo"), false);
  show($("ack"), false);
  show($("holders"), false);
  show($("board-rest"), false);
  text($("board-text"), "What was left is in the receipt.");
  document.title = "Gone · Sluice";
  text($("say"), $("means").textContent);
}

function refused(status, words) {
  if (status === 401) {
    gate(token ? words : "");
    return;
  }
  if (status === 503 && over()) return; // on its way out
  line("bad", "Refused: " + words);
  if (generation) {
    tell("wait", words);
    choose(0);
  }
}

// gate asks for the token.
function gate(fault) {
  stream.stop();
  token = "";
  line("wait", "Waiting for a token");
  show($("all"), false);
  show($("forget"), false);
  show($("gate"), true);
  text($("gate-fault"), fault);
  $("token").value = "";
  $("token").focus();
  document.title = "Sluice";
}

// choose looks at another generation; 0 is the one that answers here.
function choose(n) {
  generation = n;
  last = null;
  start();
}

function line(tone, words) {
  attr($("link"), "data-tone", tone);
  text($("link-text"), words);
}

$("gate-form").addEventListener("submit", event => {
  event.preventDefault();
  const given = $("token").value.trim();
  if (!/^[\x21-\x7e]+$/.test(given)) {
    text($("gate-fault"), "A token has no spaces, and only characters of ASCII.");
    return;
  }
  token = given;
  text($("gate-fault"), "");
  line("wait", "Connecting");
  start();
});
$("forget").addEventListener("click", () => gate(""));

let hidden = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) {
    hidden = setTimeout(() => { hidden = -1; stream.stop(); line("wait", "Paused: this page is not looked at"); }, hiddenFor);
  } else if (hidden === -1) {
    hidden = 0;
    if ($("gate").hidden) start();
  }
});

if (needsToken) gate("");
else start();
