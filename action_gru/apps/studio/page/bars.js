// The best scores of one answer, a bar each. Knows no model.

import { percent } from "./curve.js";
import { h, keyed, say, swatch } from "./dom.js";

/** {element, draw(pairs, thresholds)}. pairs: [[name, score]], the best first; thresholds: {name:
 * score from which it counts as shown} where several may be shown at once, else null. */
export function scoreBars(colour) {
  const list = h("ol", { class: "bars" });
  const make = ([name]) => {
    const score = h("b");
    const fill = h("i", { style: { background: colour(name) } });
    const limit = h("i", { class: "limit", hidden: true });
    const row = h("li", null, swatch(colour(name)), h("span", { class: "grow", dir: "auto" }, name), score,
      h("span", { class: "bar", "aria-hidden": "true" }, fill, limit));
    row.show = (value, threshold) => {
      say(score, percent(value));
      fill.style.width = percent(value);
      limit.hidden = threshold === undefined;
      row.classList.toggle("below", threshold > value);
      if (!limit.hidden) {
        limit.style.left = percent(threshold);
        row.title = `counts as shown from ${percent(threshold)} on`;
      }
    };
    return row;
  };
  return {
    element: list,
    draw: (pairs, thresholds) => keyed(list, pairs, ([name]) => name, make,
      (row, [name, score]) => row.show(score, thresholds?.[name])),
  };
}

/** The best of scores [C], as pairs for `draw`; those that count as shown before the others. */
export function best(classes, scores, thresholds, most = 5) {
  const isBelow = ([name, score]) => thresholds?.[name] > score;
  return classes.map((name, at) => [name, scores[at]])
    .sort((one, other) => isBelow(one) - isBelow(other) || other[1] - one[1]).slice(0, most);
}
