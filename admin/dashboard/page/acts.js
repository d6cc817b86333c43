// Actions, each after a question.

import {$, text, attr, show} from "./dom.js";
import {said} from "./stream.js";

const patience = 10000; // ms for an answer
const shown = 6000, shownFault = 20000; // ms that a word about it stays

// ask resolves to whether the operator says yes.
function ask(title, words, yes) {
  const dialog = $("confirm");
  text($("confirm-h"), title);
  text($("confirm-text"), words);
  text($("confirm-yes"), yes);
  return new Promise(done => {
    const answer = value => { dialog.returnValue = value; dialog.close(); };
    $("confirm-yes").onclick = () => answer("yes");
    $("confirm-no").onclick = () => answer("no");
    dialog.onclose = () => done(dialog.returnValue === "yes");
    dialog.returnValue = "no"; // Escape
    dialog.showModal();
    $("confirm-no").focus();
  });
}

let told = 0;

// tell shows how something went, for a while, or until the next time.
export function tell(tone, words) {
  const e = $("said");
  clearTimeout(told);
  if (words !== "") told = setTimeout(() => tell("", ""), tone === "bad" ? shownFault : shown);
  attr(e, "data-tone", tone);
  text(e, words);
  show(e, words !== "");
}

// Acts sends actions to the process that at() names, with the token that token() gives.
export class Acts {
  constructor(at, token) {
    this.at = at;
    this.token = token;
    $("undo").addEventListener("click", () => this.undo());
    $("ack").addEventListener("click", () => this.ack());
  }

  async close(id, what) {
    if (await ask("Close connection " + id + "?", (what ? "It carries " + what + ". " : "") + "What it carries ends: an exchange without an answer gets 503, a WebSocket a Close frame. The receipt names it.", "Close connection " + id))
      await this.send({action: "close", id}, "Connection " + id + " was told to go.");
  }

  async undo() {
    if (await ask("Back to serving?", "The drain is taken back: this process becomes ready again. If the platform is about to end it, it will do so all the same.", "Back to serving"))
      await this.send({action: "undo"}, "The drain is taken back.");
  }

  async ack() {
    if (await ask("End the lame duck?", "Say so only if balancers have stopped sending here: no connection is taken from now on, and that cannot be taken back.", "End the lame duck"))
      await this.send({action: "ack"}, "The lame duck ends.");
  }

  async send(action, done) {
    const headers = {"Content-Type": "application/json"};
    if (this.token()) headers.Authorization = "Bearer " + this.token();
    try {
      const res = await fetch(this.at() + "drain", {method: "POST", headers, body: JSON.stringify(action), signal: AbortSignal.timeout(patience), redirect: "error"});
      if (res.ok) tell("ok", done);
      else tell("bad", "Refused: " + await said(res) + ".");
    } catch {
      tell("bad", "No answer: nobody knows whether that was done.");
    }
  }
}
