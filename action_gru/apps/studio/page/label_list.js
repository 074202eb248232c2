// The segments as a list of fields: the same as the track, for keyboards and screen readers.

import { h, keyed, say } from "./dom.js";
import { clock, seconds } from "./segments.js";

/** makeList({go(one), change(one, fields), remove(one), colour(label)}) -> {element, show(model)}. */
export function makeList(on) {
  const body = h("ol", { class: "segment-rows", "aria-label": "Segments" });
  const labels = { names: [] };

  function make(one) {
    const at = h("button", { class: "button quiet small segment-go", type: "button" });
    const label = h("select", { "aria-label": "Action" });
    const start = field("Start");
    const end = field("End");
    const length = h("span", { class: "muted small segment-length" });
    const remove = h("button", { class: "button quiet small", type: "button" }, "Delete");
    const colour = h("span", { class: "swatch", "aria-hidden": "true" });
    const row = h("li", { class: "segment-row", dataset: { segment: one.id } },
      at, h("span", { class: "segment-action" }, colour, label), start, end, length, remove);
    row.parts = { at, label, start, end, length, remove, colour, one };
    at.addEventListener("click", () => on.go(row.parts.one));
    remove.addEventListener("click", () => on.remove(row.parts.one));
    label.addEventListener("change", () => on.change(row.parts.one, { label: label.value }));
    for (const [side, input] of [["start_s", start], ["end_s", end]]) {
      input.addEventListener("change", () => commit(row, side, input));
    }
    return row;
  }

  function commit(row, side, input) {
    const time_s = seconds(input.value);
    const refused = time_s === null ? `${input.value} is no time; write 75.5 or 1:15.5` : on.time(row.parts.one, side, time_s);
    input.setCustomValidity(refused ?? "");
    if (refused) input.reportValidity();
    else input.value = clock(row.parts.one[side]);
  }

  function update(row, one) {
    const isSelected = labels.selected === one.id;
    const drawn = row.drawn ?? {}; // segments are never changed in place: the same one looks the same
    if (drawn.one === one && drawn.names === labels.names && drawn.isSelected === isSelected) return;
    row.drawn = { one, names: labels.names, isSelected };
    const { at, label, start, end, length, remove, colour } = row.parts;
    row.parts.one = one;
    const names = labels.names.includes(one.label) ? labels.names : [...labels.names, one.label];
    if (label.dataset.names !== names.join("\n")) {
      label.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
      label.dataset.names = names.join("\n");
    }
    if (label.value !== one.label) label.value = one.label;
    for (const [input, time_s] of [[start, one.start_s], [end, one.end_s]]) {
      if (document.activeElement !== input) input.value = clock(time_s);
    }
    colour.style.background = on.colour(one.label);
    const named = `${one.label} at ${clock(one.start_s, 1)}`;
    say(at, "Show");
    say(length, `${(one.end_s - one.start_s).toFixed(2)} s`);
    at.setAttribute("aria-label", `Show ${named}`);
    remove.setAttribute("aria-label", `Delete ${named}`);
    label.setAttribute("aria-label", `Action of ${named}`);
    start.setAttribute("aria-label", `Start of ${named}`);
    end.setAttribute("aria-label", `End of ${named}`);
    if (isSelected) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }

  return {
    element: body,
    show({ list, names, selected }) {
      Object.assign(labels, { names, selected });
      keyed(body, list, (one) => one.id, make, update);
    },
    focus: (id) => body.querySelector(`[data-segment="${id}"] select`)?.focus(),
  };
}

function field(name) {
  return h("input", {
    type: "text", class: "segment-time", inputmode: "decimal", "aria-label": name, spellcheck: "false",
    autocomplete: "off",
  });
}
