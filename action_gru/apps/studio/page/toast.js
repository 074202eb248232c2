// Short messages at the bottom of the page. An error stays until it is closed.

import { h } from "./dom.js";

const STAY_MS = 8000;

/** Shows one message; `undo: true` adds a button that calls `onUndo`. */
export function toast(text, { undo = false, level = "info", onUndo = () => {} } = {}) {
  const place = document.getElementById("toasts");
  const same = [...place.children].find((old) => old.dataset.text === text);
  same?.remove(); // told again, not twice
  const card = h("div", { class: `toast ${level}`, dataset: { text } },
    h("span", { dir: "auto" }, text),
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
