// The step Try: the camera or a file, one large answer, two sliders, and what to do when it is
// wrong.

import { fileName } from "./clips.js";
import { correctingCard } from "./correcting.js";
import { h, say } from "./dom.js";
import { labelCard } from "./answer_card.js";
import { settingsCard } from "./settings.js";
import { fileMode } from "./try_file.js";
import { liveMode } from "./try_live.js";
import { whyCard } from "./why.js";

const SEEK_S = 0.5;
const SAVED_S = 2; // of a correction's clip
let lastMode = "camera";

/** Camera or file, as two buttons of which one is pressed. */
function modeSwitch(onChoose) {
  const buttons = [["camera", "Camera"], ["file", "A video"]].map(([mode, text]) =>
    h("button", {
      class: "button", type: "button", dataset: { mode }, onclick: () => onChoose(mode),
    }, text));
  const element = h("div", { class: "row switch", role: "group", "aria-label": "Try with" }, buttons);
  element.show = (mode) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
  };
  return element;
}

function emptyCard(app) {
  const text = h("p");
  const element = h("section", { class: "empty stack" }, text,
    h("div", null, h("button", {
      class: "button primary", type: "button", onclick: () => app.go("train"),
    }, "Go to Train")));
  element.show = ({ model, training }) => {
    element.hidden = !!model;
    say(text, training?.state === "running"
      ? "It is learning now; in a moment you can try it here."
      : "There is no model yet. Train one first; it takes less than a minute.");
  };
  return element;
}

/** A saved clip as a file, so that it can be read like any other. */
async function clipFile(app, id) {
  const response = await fetch(app.clipVideo(id));
  if (!response.ok) throw new Error(`${id}: the clip is not there any more.`);
  return new File([await response.blob()], fileName(id));
}

function mount(root, app) {
  let mode = null; // what liveMode or fileMode gives
  let kind = "";
  const label = labelCard(app);
  const sliders = settingsCard(() => mode?.recompute());
  const why = whyCard(app, (time_s) => kind === "file" && mode.seekTo(time_s));
  const look = (id) => app.run(async () => {
    const file = await clipFile(app, id);
    choose("file");
    await mode.open(file);
    mode.step(SAVED_S / 2); // its middle
    mode.ask();
  });
  const correcting = correctingCard(app, (action) => mode.correct(action), look,
    () => kind === "camera");
  const modes = modeSwitch((name) => choose(name));
  const place = h("div", { class: "stack" });
  const works = h("div", { class: "try-works" },
    h("div", { class: "stack" }, label.element, h("div", { class: "card stack" }, place), why.element),
    h("div", { class: "stack" }, correcting.element, sliders.element));
  const empty = emptyCard(app);
  root.append(h("div", { class: "row spread" }, h("h1", { id: "step-title" }, "Try"), modes), empty, works);

  const choose = (name) => {
    if (name === kind) return;
    mode?.close();
    why.clear();
    sliders.update(null);
    kind = lastMode = name;
    modes.show(name);
    const onModel = (model) => sliders.update(model.background);
    mode = name === "camera" ? liveMode(app, label, onModel) : fileMode(app, label, onModel, why);
    place.replaceChildren(mode.element);
    mode.update(app.state);
  };
  const onFile = (run) => () => kind === "file" && run();
  const unbind = app.keys([
    ...correcting.keys,
    { key: " ", shown: "Space", text: "Play or pause the video", run: onFile(() => mode.toggle()) },
    { key: "ArrowLeft", shown: "← →", text: "Half a second back or on", run: onFile(() => mode.step(-SEEK_S)) },
    { key: "ArrowRight", run: onFile(() => mode.step(SEEK_S)) },
    { key: "w", text: "Why this answer (of a video)", run: onFile(() => mode.ask()) },
  ]);
  return {
    update(state) {
      const isThere = !!state.model;
      empty.show(state);
      works.hidden = modes.hidden = !isThere;
      if (isThere && !mode) choose(lastMode);
      if (!isThere && mode) { // the last model was deleted
        mode.close();
        mode = null;
        kind = "";
      }
      correcting.update(state);
      mode?.update(state);
    },
    unmount() {
      unbind();
      label.close();
      why.clear();
      mode?.close();
    },
  };
}

function hint({ model, training }) {
  if (!model) return "Train first; then you can try it here.";
  if (training?.state === "running") return "It is learning. The model of before answers meanwhile.";
  if (training?.clips_new) return "New clips are not learned yet: train again.";
  return "Do an action in front of the camera. Wrong? Press its number.";
}

export const step = { hint, mount };
