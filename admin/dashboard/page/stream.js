// The stream of events. It is read by fetch and not by EventSource, which could not send the
// token; the form is the same (text/event-stream).

const firstRetry = 300, lastRetry = 5000; // ms
const silence = 10000; // ms without an event, beyond what was announced, after which a stream is given up

// Stream follows one address for as long as it is started. It calls
//   look(data)            for each event
//   ended(why)            when the server says that it ends
//   refused(status, text) when the server says no; it asks again if that was 5xx
//   lost(why)             when there is no answer, or not any more
export class Stream {
  constructor(on) {
    this.on = on;
    this.run = 0; // of start: who finds another number is out of date
  }

  start(url, token) {
    this.stop();
    this.follow(++this.run, url, token);
  }

  stop() {
    this.run++;
    clearTimeout(this.timer);
    this.abort?.abort();
  }

  async follow(run, url, token) {
    for (let wait = firstRetry; run === this.run; wait = Math.min(2 * wait, lastRetry)) {
      try {
        const answer = await this.once(run, url, token);
        if (run !== this.run) return;
        if (answer.refused) {
          this.on.refused(answer.status, answer.text);
          if (answer.status < 500) return;
        } else if (answer.looks > 0) {
          wait = firstRetry;
          if (!answer.ended) this.on.lost("the stream ended");
        }
      } catch (fault) {
        if (run !== this.run) return;
        if (this.looked) wait = firstRetry;
        this.on.lost(fault.name === "AbortError" ? "nothing came any more" : "no answer");
      }
      await new Promise(done => setTimeout(done, wait));
    }
  }

  // once opens the stream and reads it to its end.
  async once(run, url, token) {
    this.looked = false;
    this.abort = new AbortController();
    this.alive(0);
    const headers = {Accept: "text/event-stream"};
    if (token) headers.Authorization = "Bearer " + token;
    try {
      const res = await fetch(url, {headers, signal: this.abort.signal, cache: "no-store", redirect: "error"});
      if (!res.ok) return {refused: true, status: res.status, text: await said(res)};
      const answer = {looks: 0, ended: false};
      for await (const [event, data] of events(res.body)) {
        if (run !== this.run) break;
        if (event === "look") {
          const look = JSON.parse(data);
          this.alive(look.next_ms);
          this.looked = true;
          answer.looks++;
          this.on.look(look);
        } else if (event === "end") {
          answer.ended = true;
          this.on.ended(JSON.parse(data).why);
        }
      }
      return answer;
    } finally {
      clearTimeout(this.timer);
    }
  }

  // alive puts off the end of patience.
  alive(next) {
    clearTimeout(this.timer);
    const abort = this.abort;
    this.timer = setTimeout(() => abort.abort(), silence + 3 * next);
  }
}

// said is the text of an error.
export async function said(res) {
  try {
    return (await res.json()).error || res.statusText;
  } catch {
    return res.status + " " + res.statusText;
  }
}

// events cuts a body into events: name and data.
async function* events(body) {
  const reader = body.getReader(), decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const {done, value} = await reader.read();
      if (done) return;
      rest += decoder.decode(value, {stream: true});
      const parts = rest.split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        let event = "message", data = [];
        for (const line of part.split("\n")) {
          if (line.startsWith("event: ")) event = line.slice(7);
          else if (line.startsWith("data: ")) data.push(line.slice(6));
        }
        yield [event, data.join("\n")];
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
