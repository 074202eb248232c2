// The answer, large and steady, with its score; the background shows as calm grey.

import { words } from "./answers.js";
import { percent } from "./curve.js";
import { h, say } from "./dom.js";

const SPEAK_MS = 2500; // a screen reader hears at most one label in this time

/** {element, show(answer, text)}: text, if given, stands for the answer's own words. */
export function labelCard(app) {
  const edge = h("span", { class: "label-edge", "aria-hidden": "true" });
  const label = h("p", { id: "live-label", class: "label-text", dir: "auto" });
  const score = h("p", { class: "label-score muted" });
  const spoken = h("p", { class: "visually-hidden", role: "status" });
  const element = h("section", { class: "card label-card", "aria-label": "Answer" },
    edge, h("div", { class: "grow" }, label, score), spoken);
  let timer = 0;
  let next = "";

  const speak = (text) => {
    next = text;
    if (timer) return;
    say(spoken, text);
    timer = setTimeout(() => {
      timer = 0;
      if (next !== spoken.textContent) speak(next);
    }, SPEAK_MS);
  };
  const show = (answer, text = words(answer)) => {
    const isKnown = answer.kind === "action" || answer.kind === "background";
    element.dataset.kind = answer.kind;
    label.dataset.label = isKnown ? answer.label : "";
    label.dataset.kind = answer.kind;
    say(label, text);
    say(score, isKnown && answer.score !== null ? percent(answer.score) : "\u00a0");
    edge.style.background = answer.kind === "action" ? app.colour(answer.label) : "";
    if (isKnown) speak(text);
  };
  return { element, show, close: () => clearTimeout(timer) };
}
