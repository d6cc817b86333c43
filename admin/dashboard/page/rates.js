// Rates out of counters: two looks make a rate.

const keep = 150000; // ms of looks that are remembered

// History remembers looks of one process.
export class History {
  constructor() { this.clear(); }

  clear() { this.all = []; }

  // add remembers the counters of a look taken at the server's time at, in ms.
  add(at, traffic) {
    const last = this.all[this.all.length - 1];
    if (last && at <= last.at) return;
    this.all.push({at, traffic});
    while (this.all.length > 2 && at - this.all[0].at > keep) this.all.shift();
  }

  // since is the newest look that is at least ms older than the last one, or the oldest.
  since(ms) {
    const last = this.all[this.all.length - 1];
    for (let i = this.all.length - 2; i >= 0; i--) if (last.at - this.all[i].at >= ms) return this.all[i];
    return this.all[0];
  }

  // grown is by how much a counter grew in the last ms, and in how many ms really; a counter
  // that went back (its cluster is new) did not grow.
  grown(read, ms) {
    if (this.all.length < 2) return {n: 0, ms: 0};
    const last = this.all[this.all.length - 1], first = this.since(ms);
    return {n: Math.max(0, read(last.traffic) - read(first.traffic)), ms: last.at - first.at};
  }

  // rate is the growth a second over the last ms; null: nobody knows yet.
  rate(read, ms = 10000) {
    const g = this.grown(read, ms);
    return g.ms > 0 ? 1000 * g.n / g.ms : null;
  }

  // series is n rates, each of step ms, the last one up to now; null where nothing is known.
  series(read, n = 60, step = 2000) {
    const out = new Array(n).fill(null);
    if (this.all.length < 2) return out;
    const end = this.all[this.all.length - 1].at;
    for (let k = 0; k < n; k++) {
      const to = this.at(read, end - (n - 1 - k) * step), from = this.at(read, end - (n - k) * step);
      if (to !== null && from !== null) out[k] = Math.max(0, to - from) * 1000 / step;
    }
    return out;
  }

  // at is what a counter was at a moment, between two looks in proportion.
  at(read, at) {
    if (at < this.all[0].at) return null;
    let i = this.all.length - 1;
    while (i > 0 && this.all[i - 1].at >= at) i--;
    const b = this.all[i], a = this.all[Math.max(0, i - 1)];
    if (a === b || b.at === a.at) return read(b.traffic);
    return read(a.traffic) + (read(b.traffic) - read(a.traffic)) * (at - a.at) / (b.at - a.at);
  }

  // quantile is how long a share p of the requests of the last ms took, in seconds; null:
  // there were none. Infinity: longer than the last bound.
  quantile(p, ms = 10000) {
    if (this.all.length < 2) return null;
    const last = this.all[this.all.length - 1].traffic, first = this.since(ms).traffic;
    const counts = last.duration_buckets.map((n, i) => Math.max(0, n - first.duration_buckets[i]));
    const all = counts.reduce((a, b) => a + b, 0);
    if (all === 0) return null;
    let below = 0;
    for (let i = 0; i < counts.length; i++) {
      if (below + counts[i] >= p * all) {
        if (i === last.duration_bounds.length) return Infinity;
        const low = i ? last.duration_bounds[i - 1] : 0;
        return low + (last.duration_bounds[i] - low) * (p * all - below) / counts[i];
      }
      below += counts[i];
    }
    return Infinity;
  }
}
