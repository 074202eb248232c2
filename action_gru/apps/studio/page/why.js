// Why this answer: three moments of a tried file, with what mattered in them.

import { fill, h } from "./dom.js";
import { clock } from "./segments.js";

/** {element, show(id, time_s), clear()}. onSeek(time_s): a moment was chosen. */
export function whyCard(app, onSeek) {
  const place = h("div", { "aria-live": "polite" });
  const element = h("section", { class: "card stack", "aria-label": "Why", hidden: true },
    h("h2", null, "Why"), place);
  let turn = 0;

  const moment = ({ time_s, picture, text }) => h("li", null,
    h("button", {
      class: "moment", type: "button", onclick: () => onSeek(time_s),
      "aria-label": `Go to ${clock(time_s, 1)}`,
    }, h("img", { src: picture, alt: "" }), h("span", { class: "small" }, clock(time_s, 1))),
    h("p", { class: "small" }, text));

  const show = async (id, time_s) => {
    const mine = ++turn;
    element.hidden = false;
    fill(place, h("p", { class: "row" }, h("span", { class: "moving", "aria-hidden": "true" }),
      "Hiding one moment after another to see which ones matter…"));
    try {
      const address = `/api/tries/${encodeURIComponent(id)}/why?time_s=${time_s.toFixed(3)}`;
      const answer = await app.api.get(address);
      if (mine !== turn) return;
      const moments = answer.moments ?? [];
      fill(place, h("p", null, answer.text || `What spoke most for ${answer.label}:`),
        h("ul", { class: "moments" }, moments.map(moment)));
    } catch (error) {
      if (mine === turn) fill(place, h("p", { class: "notice error" }, error.message));
    }
  };
  const clear = () => {
    turn += 1;
    element.hidden = true;
  };
  return { element, show, clear };
}
