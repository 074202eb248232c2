// The two sliders of the step Try. They last as long as the page is open.

import { MIDDLE } from "./answers.js";
import { h, say } from "./dom.js";

export const settings = { ...MIDDLE };
const SLIDERS = [
  {
    name: "sensitivity", title: "Sensitivity",
    words: ["only when it is quite certain", "carefully", "balanced", "readily", "at the least sign"],
  },
  {
    name: "background", title: "“Nothing in particular”",
    words: ["hardly ever sees nothing", "sees nothing less often", "balanced",
      "sees nothing more often", "sees nothing unless it is clear"],
  },
];

const wordsAt = (list, value) => list[Math.min(list.length - 1, Math.floor(value * list.length))];

function slider({ name, title, words }, onChange) {
  const now = h("span", { class: "small muted" });
  const field = h("input", {
    type: "range", min: 0, max: 100, id: `slider-${name}`,
    oninput: () => {
      settings[name] = Number(field.value) / 100;
      show();
      onChange();
    },
  });
  const show = () => {
    field.value = String(Math.round(100 * settings[name]));
    say(now, wordsAt(words, settings[name]));
    field.setAttribute("aria-valuetext", now.textContent);
  };
  show();
  const element = h("label", { class: "field slider" }, h("span", null, title), field, now);
  return { element, field, show };
}

/** {element, update(background)}. onChange() after each move of a slider. */
export function settingsCard(onChange) {
  const sliders = SLIDERS.map((one) => slider(one, onChange));
  const none = h("p", { class: "small muted" },
    "This model has no background action, so there is no “nothing” to see more or less of.");
  const reset = h("button", {
    class: "button small quiet", type: "button",
    onclick: () => {
      Object.assign(settings, MIDDLE);
      sliders.forEach((one) => one.show());
      onChange();
    },
  }, "Back to the middle");
  const element = h("section", { class: "card stack", "aria-label": "Settings" },
    h("h2", null, "How it answers"), sliders.map((one) => one.element), none,
    h("div", null, reset));
  const update = (background) => {
    none.hidden = !background || background.length > 0;
    sliders[1].field.disabled = !none.hidden;
  };
  update(null);
  return { element, update };
}
