// Numbers as a person would say them.

// short writes milliseconds.
export function short(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 9.95) return (Math.round(s * 10) / 10).toFixed(s < .05 ? 0 : 1) + " s";
  if (s < 99.5) return Math.round(s) + " s";
  const m = Math.round(s / 60);
  if (m < 100) return m + " min";
  const h = Math.round(m / 60);
  if (h < 72) return h + " h";
  return Math.round(h / 24) + " d";
}

// seconds writes a time that runs, in whole seconds from ten on.
export function seconds(s) {
  if (s < 10) return Math.max(0, s).toFixed(1) + " s";
  const whole = Math.round(s);
  return whole < 100 ? whole + " s" : Math.floor(whole / 60) + " min " + whole % 60 + " s";
}

// bytes writes a number of bytes in three digits.
export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1024;
  return (i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + " " + units[i];
}

// count writes a whole number in groups.
export const count = n => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");

// rate writes how often a second.
export function rate(r) {
  if (r === null) return "–";
  if (r === 0) return "0";
  if (r < .1) return "< 0.1";
  return r < 10 ? r.toFixed(1) : count(r);
}

// clock is the time of day here.
export const clock = at => new Date(at).toLocaleTimeString([], {hour12: false});

// plural counts things.
export const plural = (n, one, many = one + "s") => count(n) + " " + (n === 1 ? one : many);

// classes writes counts of connections by what they do, without those that are none.
export function classes(c) {
  const said = [["active", c.active], ["tunnel", c.tunnel], ["idle", c.idle], ["handshake", c.handshake]]
    .filter(([, n]) => n > 0).map(([what, n]) => count(n) + " " + what);
  return said.length ? said.join(", ") : "none";
}

export const total = c => c.active + c.tunnel + c.idle + c.handshake;
