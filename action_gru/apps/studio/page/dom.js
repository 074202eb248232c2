// Makes elements and keeps lists of them. Knows nothing of the studio.
// Text only ever goes in through textContent: a name can hold no markup.

const AS_PROPERTY = new Set([
  "checked", "disabled", "hidden", "indeterminate", "loop", "muted", "open", "playsInline",
  "selected", "srcObject", "value",
]);

function set(element, name, value) {
  if (name === "class") element.className = value;
  else if (name === "dataset") Object.assign(element.dataset, value);
  else if (name === "style") Object.assign(element.style, value);
  else if (name.startsWith("on")) element.addEventListener(name.slice(2).toLowerCase(), value);
  else if (AS_PROPERTY.has(name)) element[name] = value;
  else if (value === null || value === undefined) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** h("button", {class: "button", onclick: run, "aria-label": "Save"}, "Save") -> element.
 * Children are elements, strings, numbers, or arrays of them; null and false draw nothing. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name.includes("-") || !(value === false || value === null || value === undefined)) {
      set(element, name, value);
    }
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Shows these children alone. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** Sets the text if it differs, so that a screen reader hears only news. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Keeps one child an item: `make(item)` once, `update(child, item)` on each call.
 * A child stays in the document while its key does, so focus and playing videos survive. */
export function keyed(container, items, key, make, update = () => {}) {
  const rows = (container.keyedRows ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [id, row] of rows) {
    if (!wanted.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  let place = container.firstElementChild;
  for (const item of items) {
    const id = key(item);
    let row = rows.get(id);
    if (!row) rows.set(id, (row = make(item)));
    update(row, item);
    if (row === place) place = place.nextElementSibling;
    else container.insertBefore(row, place);
  }
}

/** The child of `old` becomes that of `key`, so that a renamed thing keeps its place and focus. */
export function rekey(container, old, key) {
  const row = container.keyedRows?.get(old);
  if (!row || container.keyedRows.has(key)) return;
  container.keyedRows.delete(old);
  container.keyedRows.set(key, row);
}

/** An icon of a few strokes, as wide as the text is high: paths of a 24 x 24 box. */
export function icon(...paths) {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  const facts = { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" };
  for (const [name, value] of Object.entries(facts)) drawing.setAttribute(name, value);
  for (const path of paths) {
    const stroke = document.createElementNS(space, "path");
    stroke.setAttribute("d", path);
    drawing.append(stroke);
  }
  return drawing;
}

/** The small square in an action's colour that stands beside its name. */
export function swatch(colour) {
  return h("span", { class: "swatch", "aria-hidden": "true", style: { background: colour } });
}

/** The server's words as a sentence of the page: "record more" -> "Record more". A file's name at
 * the beginning stays as it is. */
export function sentence(text) {
  return /^[a-z]+[ ,]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
}

/** "1 clip", "7 clips". */
export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}
