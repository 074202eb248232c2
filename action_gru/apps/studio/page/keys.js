// Single keys, and the list of them. A key works only while no field has the focus.

import { h, fill } from "./dom.js";

const bindings = new Set();
const TYPED = "input:not([type=checkbox]):not([type=radio]):not([type=button]), textarea, select, "
  + "[contenteditable]";

/** bindKeys([{key: "r", text: "Record one clip", run(event), up(event)}]) -> a function that ends it.
 * `key` is as in KeyboardEvent.key, with "Ctrl+" before it for Ctrl or Cmd. `up` runs as the
 * key is let go; with `always` it works in fields too. */
export function bindKeys(list) {
  for (const binding of list) bindings.add(binding);
  return () => list.forEach((binding) => bindings.delete(binding));
}

function find(event) {
  if (event.altKey || document.querySelector("dialog[open]")) return null;
  const held = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  const name = held + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  const typing = event.target.closest?.(TYPED);
  return [...bindings].reverse().find(
    (binding) => binding.key === name && (binding.always || !typing)) ?? null;
}

document.addEventListener("keydown", (event) => {
  const binding = find(event);
  if (!binding) return;
  const onControl = event.target.closest?.("button, a, summary, [role=slider], [role=button]");
  if (onControl && ["Enter", " "].includes(event.key)) return; // they press what has the focus
  event.preventDefault();
  binding.run(event);
});

document.addEventListener("keyup", (event) => {
  for (const binding of bindings) {
    if (binding.up && binding.key === event.key.toLowerCase()) binding.up(event);
  }
});

/** Opens the list of the keys that work now. */
export function showKeys() {
  const dialog = document.getElementById("keylist");
  if (dialog.open) return;
  fill(dialog,
    h("h2", { id: "keylist-title" }, "Keys"),
    h("dl", { class: "keys" }, [...bindings].filter((binding) => binding.text).map((binding) => [
      h("dt", null, h("kbd", null, binding.shown ?? binding.key.replace("Ctrl+z", "Ctrl+Z"))),
      h("dd", null, binding.text),
    ])),
    h("p", { class: "muted" }, "They work while no text field has the focus."),
    h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Close"),
  );
  dialog.showModal();
}
