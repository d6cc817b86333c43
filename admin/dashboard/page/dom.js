// Small helpers for the document. Nothing here takes markup: all text is text.

export const $ = id => document.getElementById(id);

// el makes an element; props are attributes, or properties where they begin with a dot.
export function el(name, props = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith(".")) e[key.slice(1)] = value;
    else e.setAttribute(key, value === true ? "" : value);
  }
  e.append(...children.filter(c => c !== null && c !== undefined));
  return e;
}

export function svg(name, attributes = {}) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  return e;
}

// text sets the text of an element, if it is another: what does not change is not touched,
// so that a selection stays and nothing is read out again.
export function text(e, value) {
  const s = String(value);
  if (e.textContent !== s) e.textContent = s;
  return e;
}

// attr sets an attribute; null takes it away.
export function attr(e, name, value) {
  if (value === null || value === undefined) e.removeAttribute(name);
  else if (e.getAttribute(name) !== String(value)) e.setAttribute(name, value);
}

// show hides an element or not.
export function show(e, on) {
  if (e.hidden === on) e.hidden = !on;
}

// keyed makes the children of parent one for each item, in their order. One whose key was
// there before is kept, with the focus that it may have; make makes a new one, and update
// fills it.
export function keyed(parent, items, key, make, update) {
  const focused = document.activeElement, wanted = new Set(items.map(item => String(key(item)))), there = new Map();
  for (const e of [...parent.children]) {
    if (wanted.has(e.dataset.key)) there.set(e.dataset.key, e);
    else e.remove();
  }
  let at = parent.firstElementChild;
  for (const item of items) {
    const k = String(key(item));
    let e = there.get(k);
    if (!e) { e = make(item); e.dataset.key = k; }
    if (e === at) at = at.nextElementSibling;
    else parent.insertBefore(e, at);
    update(e, item);
  }
  if (focused && focused !== document.activeElement && parent.contains(focused)) focused.focus({preventScroll: true});
}

// rows fills the body of a table: each item gives an array, a text for each cell, the first
// of which names the row.
export function rows(body, items, cells) {
  keyed(body, items, item => cells(item)[0], item => {
    const tr = el("tr");
    cells(item).forEach((_, i) => tr.append(i ? el("td", {class: "num"}) : el("th", {scope: "row"})));
    return tr;
  }, (tr, item) => cells(item).forEach((value, i) => text(tr.children[i], value)));
}
