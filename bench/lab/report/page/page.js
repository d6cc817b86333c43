"use strict";
(() => {
  const file = JSON.parse(document.getElementById("data").textContent);
  const runs = file.runs.filter(r => !r.skipped);
  const $ = id => document.getElementById(id);
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const phases = ["starting", "ready", "lame_duck", "draining", "gone"];
  const seconds = ms => (ms / 1000).toFixed(2) + " s";
  const latency = us => us >= 10000 ? Math.round(us / 1000) + " ms" : (us / 1000).toFixed(2) + " ms";
  let charts = [];

  // Phases of a replica as spans in seconds, to the end of the run.
  const spans = (replica, end) => replica.phases.map((p, i) => ({
    phase: p.phase, from: p.at_ms / 1000, to: i + 1 < replica.phases.length ? replica.phases[i + 1].at_ms / 1000 : end,
  }));

  const axes = () => [
    {stroke: colour("faint"), grid: {stroke: colour("grid"), width: 1}, ticks: {stroke: colour("grid")}, values: (u, v) => v.map(x => x + " s")},
    {stroke: colour("faint"), grid: {stroke: colour("grid"), width: 1}, ticks: {stroke: colour("grid")}, size: 70},
  ];

  // Under each line: when any replica was leaving.
  function bands(run) {
    return u => {
      const end = run.timeline.length;
      u.ctx.save();
      u.ctx.globalAlpha = 0.25;
      for (const r of run.replicas) for (const s of spans(r, end)) {
        if (s.phase !== "lame_duck" && s.phase !== "draining") continue;
        const from = u.valToPos(Math.max(s.from, 0), "x", true), to = u.valToPos(Math.min(s.to, end), "x", true);
        if (to <= from) continue;
        u.ctx.fillStyle = colour(s.phase);
        u.ctx.fillRect(from, u.bbox.top, to - from, u.bbox.height);
      }
      u.ctx.restore();
    };
  }

  function options(run, title, height, series, more) {
    return Object.assign({
      title, height, width: $("charts").clientWidth, axes: axes(), series: [{label: "time", value: (u, v) => v == null ? "" : v + " s"}].concat(series),
      scales: {x: {time: false, range: () => [0, Math.max(run.timeline.length, 1)]}, y: {range: (u, min, max) => [0, Math.max((max || 0) * 1.1, 1)]}},
      cursor: {sync: {key: "run"}, drag: {x: false, y: false}}, hooks: {drawClear: [bands(run)], setCursor: [tell(run)]},
    }, more);
  }

  function tell(run) {
    return u => {
      const t = u.cursor.left == null || u.cursor.left < 0 ? null : u.posToVal(u.cursor.left, "x");
      if (t == null) { $("now").textContent = ""; return; }
      const where = run.replicas.map(r => {
        const s = spans(r, run.timeline.length).filter(s => s.from <= t && t < s.to).pop();
        return s ? r.name + " " + s.phase.replace("_", " ") : null;
      }).filter(Boolean);
      $("now").textContent = t.toFixed(1) + " s: " + where.join(", ");
    };
  }

  const line = (label, name, value) => ({label, stroke: colour(name), width: 2, points: {show: false}, value: value || ((u, v) => v == null ? "" : String(v))});
  const bars = (label, name) => ({label, stroke: colour(name), fill: colour(name), width: 0, paths: uPlot.paths.bars({size: [0.8, 40]}), points: {show: false}});

  // A lane for each replica.
  function lanes(run) {
    const end = run.timeline.length, names = run.replicas.map(r => r.name), n = Math.max(names.length, 1);
    const o = options(run, "replicas", 60 + 24 * n, [{label: "replicas", show: false}], {legend: {show: false}});
    o.scales.y = {range: () => [0, n]};
    o.axes[1] = Object.assign(o.axes[1], {splits: () => names.map((_, i) => n - i - 0.5), values: () => names, grid: {show: false}});
    o.hooks = {setCursor: [tell(run)], draw: [u => {
      run.replicas.forEach((r, i) => {
        const top = u.valToPos(n - i - 0.15, "y", true), bottom = u.valToPos(n - i - 0.85, "y", true);
        for (const s of spans(r, end)) {
          const from = u.valToPos(Math.max(s.from, 0), "x", true), to = u.valToPos(Math.min(s.to, end), "x", true);
          if (to <= from) continue;
          u.ctx.fillStyle = colour(s.phase);
          u.ctx.fillRect(from, top, to - from, bottom - top);
        }
      });
    }]};
    return [o, [run.timeline.map((_, i) => i), run.timeline.map(() => 0)]];
  }

  function draw(run) {
    charts.forEach(c => c.destroy());
    $("charts").textContent = "";
    charts = [];
    const x = run.timeline.map((_, i) => i), of = f => run.timeline.map(f);
    const ms = (u, v) => v == null ? "" : v.toFixed(v < 10 ? 2 : 0) + " ms";
    const all = [
      lanes(run),
      [options(run, "arrivals and successes a second", 160, [line("due", "faint"), line("ok", "rate")]), [x, of(s => s.sent), of(s => s.ok)]],
      [options(run, "lost and refused a second", 130, [bars("lost", "lost"), bars("refused", "refused")]), [x, of(s => s.lost), of(s => s.refused)]],
      [options(run, "latency of short, keep-alive and per-request", 160, [line("p50", "p50", ms), line("p99", "p99", ms)]), [x, of(s => s.p50_us / 1000), of(s => s.p99_us / 1000)]],
      [options(run, "open connections of clients", 130, [line("open", "open")]), [x, of(s => s.open)]],
    ];
    for (const [o, data] of all) {
      const div = document.createElement("div");
      div.className = "chart";
      $("charts").append(div);
      charts.push(new uPlot(o, data, div));
    }
    const key = document.createElement("p");
    for (const p of phases) {
      const box = document.createElement("span");
      box.className = "key";
      box.style.background = colour(p);
      key.append(box, p.replace("_", " "));
    }
    $("charts").append(key);
  }

  function table(id, heads, rows, none) {
    const t = $(id);
    t.textContent = "";
    if (!rows.length) { t.textContent = none; return; }
    const row = (cells, tag) => {
      const tr = document.createElement("tr");
      cells.forEach((c, i) => {
        const td = document.createElement(tag), v = c && c.bad !== undefined ? c.bad : c;
        td.textContent = v;
        if (heads[i].endsWith(" ") || i === 0) td.classList.add("text");
        if (c && c.bad) td.classList.add("bad");
        tr.append(td);
      });
      t.append(tr);
    };
    row(heads.map(h => h.trim()), "th");
    rows.forEach(r => row(r, "td"));
  }

  function show(run) {
    const s = run.settings;
    $("summary").textContent = `${run.proxy} ${run.version}, plan ${run.plan}: ${s.replicas} replicas, ${s.rate} arrivals/s for ${Math.round(run.seconds)} s, lame duck ${s.lame_duck_ms} ms, ` +
      `drain ${s.drain_ms} ms, balancer ${s.balancer} (poll ${s.poll_ms} ms, propagation ${s.propagation_ms} ms), seed ${s.seed}; ${run.began}; ${file.machine.os}/${file.machine.arch}, ${file.machine.cpus} CPUs, ${file.machine.go}`;
    const v = run.verdict || {exit: 0};
    $("verdict").className = v.exit ? "bad" : "";
    $("verdict").textContent = v.exit ? (v.reasons || []).join("\n") : `Nothing lost of ${run.total.sent}, every restart proven. Longest gap between successes ${run.gap.ms} ms.`;
    draw(run);
    table("classes", ["class", "sent", "ok", "lost", "refused", "p50", "p90", "p99", "max", "causes "],
      run.classes.map(c => [c.class, c.sent, c.ok, {bad: c.lost}, c.refused, ...[c.latency.p50_us, c.latency.p90_us, c.latency.p99_us, c.latency.max_us].map(latency),
        Object.entries(c.causes || {}).map(([k, n]) => k + " " + n).join(", ")]), "");
    table("restarts", ["replica", "successor ", "began", "took", "proof "],
      run.restarts.map(r => [r.replica || "-", r.successor || "-", seconds(new Date(r.began) - new Date(run.began)), seconds(new Date(r.ended) - new Date(r.began)), r.proven ? "proven" : r.why]), "none");
    table("failures", ["id", "cause ", "at", "took", "replica ", "phase ", "connection", "use", "reached upstream ", "likely cause "],
      run.failures.slice(0, 200).map(f => [f.id, f.cause, seconds(f.at_ms), f.took_ms + " ms", f.replica || "", f.phase || "", f.conn_age_ms + " ms old", f.conn_uses, f.reached_upstream ? "yes" : "no", f.likely_cause]), "nothing");
  }

  runs.forEach((r, i) => {
    const o = document.createElement("option");
    o.value = i;
    o.textContent = `${r.proxy}, ${r.plan}${runs.filter(x => x.proxy === r.proxy && x.plan === r.plan).length > 1 ? " " + (i + 1) : ""}`;
    $("run").append(o);
  });
  const current = () => runs[$("run").value];
  if (!runs.length) { $("summary").textContent = "no run"; return; }
  $("run").addEventListener("change", () => show(current()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(current()));
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => charts.forEach(c => c.setSize({width: $("charts").clientWidth, height: c.height})), 100); });
  show(runs[0]);
})();
