// What a trained model can do, in words and bars: the verdict, the advice, each action's share.

import { fill, h, icon, keyed, say, swatch } from "./dom.js";

const SIGNS = {
  good: ["M12 12m-9 0a9 9 0 1 0 18 0a9 9 0 1 0 -18 0", "M8 12.5l3 3 5-6"],
  fair: ["M12 12m-9 0a9 9 0 1 0 18 0a9 9 0 1 0 -18 0", "M8 12h8"],
  poor: ["M12 4l9 16H3z", "M12 10v4", "M12 17v.01"],
};
const LEVELS = { good: "Good", fair: "Usable", poor: "Not there yet" };

/** A row "wave ▇▇▇▁ 4 of 5". */
export function actionBar(name) {
  const mark = h("span", { class: "bar-mark" });
  const numbers = h("span", { class: "bar-numbers" });
  const square = swatch("transparent");
  const row = h("li", { class: "bar-row", dataset: { bar: name } },
    h("span", { class: "bar-name" }, square, h("span", { dir: "auto" }, name)),
    h("span", { class: "bar", "aria-hidden": "true" }, mark), numbers);
  row.show = ({ right, total }, colour) => {
    mark.style.width = `${total ? (100 * right) / total : 0}%`;
    mark.style.background = square.style.background = colour;
    say(numbers, total ? `${right} of ${total}` : "no clip to test on");
  };
  return row;
}

/** {element, update(model)}: hides itself without a model. */
export function verdictCard(app) {
  const sign = h("span", { class: "verdict-sign" });
  const level = h("p", { class: "verdict-level small" });
  const text = h("p", { class: "verdict-text", id: "verdict" });
  const facts = h("p", { class: "small muted" });
  const advice = h("ul", { class: "advice" });
  const adviceTitle = h("h3", null, "What would help most");
  const bars = h("ul", { class: "bars" });
  const barsTitle = h("h3", null, "Each action, on clips it had never seen");
  const element = h("section", { class: "card stack verdict", "aria-label": "How good it is" },
    h("div", { class: "verdict-head" }, sign, h("div", null, level, text, facts)),
    adviceTitle, advice,
    barsTitle, bars);

  const update = (model) => {
    element.hidden = !model;
    if (!model) return;
    const grade = model.verdict?.level ?? "fair";
    if (element.dataset.level !== grade) fill(sign, icon(...(SIGNS[grade] ?? SIGNS.fair)));
    element.dataset.level = grade;
    say(level, LEVELS[grade] ?? "");
    say(text, model.verdict?.text ?? "");
    const tested = model.held_out ? `, tested on ${model.held_out}` : ""; // a command line's run
    say(facts, `${model.run}: learned from ${model.clips} clips${tested}`);
    barsTitle.hidden = !model.actions?.length;
    const hints = model.advice ?? [];
    advice.hidden = adviceTitle.hidden = !hints.length;
    keyed(advice, hints, (hint) => hint, (hint) => h("li", { dir: "auto" }, hint));
    keyed(bars, model.actions ?? [], (action) => action.name, (action) => actionBar(action.name),
      (row, action) => row.show(action, app.colour(action.name)));
  };
  return { element, update };
}
