// "Wrong? It was …": one button an action. What is corrected is saved as a clip, and learned by the
// next training, which begins from here.

import { h, fill, keyed, say, swatch } from "./dom.js";

/**
 * {element, update(state), keys}. onCorrect(action) saves a clip -> Promise of its id, or of null
 * where nothing was saved. onLook(id): looks closer at that clip, offered where canLook() says so.
 */
export function correctingCard(app, onCorrect, onLook, canLook) {
  let last = null; // {action, id}
  let wasTraining = false;
  let isTraining = false;
  let names = [];
  const list = h("div", { class: "row", role: "group", "aria-label": "It was" });
  const told = h("p", { role: "status", id: "corrected" });
  const train = h("button", {
    class: "button primary small", type: "button",
    onclick: async () => {
      train.disabled = true;
      if ((await app.run(() => app.api.post("/api/training"))) === null) train.disabled = false;
    },
  }, "Train again");
  const look = h("button", {
    class: "button small", type: "button", onclick: () => onLook(last.id),
  }, "Why was it wrong?");
  const bar = h("progress", { max: "1", "aria-label": "Training" });
  const after = h("div", { class: "row" }, train, look);
  const element = h("section", { class: "card stack", "aria-label": "Correct it" },
    h("h2", null, "Wrong? It was…"), list, told, bar, after);

  const press = async (action) => {
    if (!names.includes(action)) return;
    say(told, `Saving into ${action}…`);
    const id = await onCorrect(action);
    if (id === null) return say(told, "");
    last = { action, id };
    draw();
  };
  const draw = () => {
    after.hidden = !last || isTraining;
    look.hidden = !last || !canLook();
    bar.hidden = !isTraining;
    if (isTraining) return;
    train.disabled = false;
    if (last) say(told, `Saved into ${last.action}; train again to learn it.`);
  };
  const make = ({ name }) => {
    const place = h("kbd", { "aria-hidden": "true" });
    const button = h("button", {
      class: "button", type: "button", dataset: { correct: name }, onclick: () => press(name),
    });
    const square = swatch(app.colour(name));
    fill(button, place, square, h("span", { dir: "auto" }, name));
    button.show = (number, colour) => {
      say(place, number < 9 ? String(number + 1) : "");
      place.hidden = number > 8;
      square.style.background = colour;
    };
    return button;
  };
  const update = (state) => {
    // The background is the last, as in every other list: a key means one action everywhere.
    const actions = (state.actions ?? []).toSorted((one, two) => one.background - two.background);
    names = actions.map((action) => action.name);
    keyed(list, actions, (action) => action.name, make,
      (button, action) => button.show(names.indexOf(action.name), action.colour));
    const training = state.training ?? {};
    isTraining = training.state === "running";
    if (isTraining) {
      say(told, "Training again…");
      if (training.share == null) bar.removeAttribute("value");
      else bar.value = training.share;
    } else if (wasTraining && training.state === "idle") {
      last = null;
      say(told, `It has learned from ${state.model?.clips ?? "all"} clips. Try it again.`);
    }
    wasTraining = isTraining;
    draw();
  };
  const keys = Array.from({ length: 9 }, (_, at) => ({
    key: String(at + 1), shown: "1 … 9", text: at ? "" : "Wrong? It was the action of this number",
    run: () => press(names[at]),
  }));
  return { element, update, keys };
}
