// Short messages at the bottom of the page. An error stays until it is closed.

import { h, sentence } from "./dom.js";

const STAY_MS = 8000;

/** Undo takes the newest step back, so an older message must not offer it any more. */
export function endUndo() {
  for (const card of document.querySelectorAll(".toast.undoable")) card.remove();
}

/** Shows one message; `undo: true` adds a button that calls `onUndo`. */
export function toast(text, { undo = false, level = "info", onUndo = () => {} } = {}) {
  const place = document.getElementById("toasts");
  const same = [...place.children].find((old) => old.dataset.text === text);
  same?.remove(); // told again, not twice
  if (undo) endUndo();
  const card = h("div", { class: `toast ${level}${undo ? " undoable" : ""}`, dataset: { text } },
    h("span", { dir: "auto" }, sentence(text)),
    undo && h("button", {
      class: "button quiet", type: "button",
      onclick: () => {
        card.remove();
        onUndo();
      },
    }, "Undo"),
    h("button", {
      class: "button quiet round", type: "button", "aria-label": "Close this message",
      onclick: () => card.remove(),
    }, "×"),
  );
  place.append(card);
  while (place.children.length > 3) place.firstElementChild.remove();
  if (level !== "error") setTimeout(() => card.remove(), STAY_MS);
}
