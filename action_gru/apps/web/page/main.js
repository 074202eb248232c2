// The page for visitors: a video or the camera, one large answer, its best scores, what is known.
// Everything on it is a module of the studio's page.

import { labelCard } from "/page/answer_card.js";
import * as api from "/page/api.js";
import { scoreBars } from "/page/bars.js";
import { camera } from "/page/camera.js";
import { cameraControls } from "/page/dock.js";
import { count, fill, h, swatch } from "/page/dom.js";
import { acceptFiles } from "/page/drops.js";
import { bindKeys, showKeys } from "/page/keys.js";
import { clock } from "/page/segments.js";
import { toast } from "/page/toast.js";
import { fileMode } from "/page/try_file.js";
import { liveMode } from "/page/try_live.js";
import { droppedFiles } from "/page/try_many.js";

const SEEK_S = 0.5;
const MODES = [["file", "A video"], ["camera", "Camera"]];
const at = (id) => document.getElementById(id);

/** Why a file would be refused, told before it is sent; "" if it would not. */
function refusalOf(file, { megabytes, suffixes }) {
  const suffix = file.name.slice(file.name.lastIndexOf(".")).toLowerCase();
  if (!suffixes.includes(suffix)) {
    return `${file.name}: not a video that is read here, such as .mp4, .mov, .avi, .mkv or .webm.`;
  }
  const size = file.size / 1e6;
  if (size <= megabytes) return "";
  return `${file.name}: ${size.toFixed(1)} MB, and ${megabytes} MB is the limit here.`;
}

function knownCard(colours) {
  const names = Object.keys(colours);
  return h("section", { class: "card stack", "aria-label": "What it knows" },
    h("h2", null, `It knows ${count(names.length, "action")}`),
    h("ul", { class: "row known" }, names.map((name) =>
      h("li", { class: "chip" }, swatch(colours[name]), h("span", { dir: "auto" }, name)))));
}

function start(model) {
  const { colours } = model;
  const app = {
    api, camera, toast,
    isVisit: true,
    state: { model },
    colour: (name) => colours[name] ?? colours[name.split(" + ")[0]] ?? "#888888",
    refuses: (file) => refusalOf(file, model),
    whereFilesGo: `Up to ${clock(model.seconds, 0)} and ${model.megabytes} MB. It is sent to this `
      + "server, read, and removed.",
  };
  let mode = null; // what liveMode or fileMode gives
  let kind = "";
  const label = labelCard(app);
  const place = h("div", { class: "stack" });
  const scores = h("section", { class: "card stack", "aria-label": "Scores" });
  const controls = cameraControls(app);
  const about = h("p", { class: "small muted" },
    "Each picture of the camera goes to this server, is looked at once and is not kept.");
  const live = h("div", { class: "stack" }, controls, about);
  const buttons = MODES.map(([name, text]) => h("button", {
    class: "button", type: "button", dataset: { mode: name }, onclick: () => choose(name),
  }, text));
  fill(at("top"), h("h1", null, "What happens when?"),
    h("div", { class: "row switch", role: "group", "aria-label": "Try with" }, buttons),
    h("button", {
      class: "button quiet round", type: "button", "aria-label": "Keys", onclick: showKeys,
    }, "?"));
  fill(at("work"),
    h("div", { class: "stack" }, label.element, h("div", { class: "card stack" }, place, live)),
    h("div", { class: "stack" }, scores, knownCard(colours)));

  function choose(name) {
    if (name === kind) return;
    mode?.close();
    if (kind === "camera") camera.close(); // the lamp beside it must go out
    kind = name;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.mode === name));
    const bars = scoreBars(app.colour);
    fill(scores, h("h2", null, name === "camera" ? "Now" : "Over the whole video"), bars.element);
    mode = name === "camera"
      ? liveMode(app, label, () => {}, bars)
      : fileMode(app, label, () => {}, null, bars);
    live.hidden = name !== "camera";
    place.replaceChildren(mode.element);
    mode.update(app.state);
  }
  const onFile = (run) => () => kind === "file" && run();
  bindKeys([
    { key: "?", text: "Show the keys", run: showKeys },
    { key: " ", shown: "Space", text: "Play or pause the video", run: onFile(() => mode.toggle()) },
    { key: "ArrowLeft", shown: "← →", text: "Half a second back or on", run: onFile(() => mode.step(-SEEK_S)) },
    { key: "ArrowRight", run: onFile(() => mode.step(SEEK_S)) },
  ]);
  acceptFiles(document.body, async (transfer) => {
    const found = await droppedFiles(transfer);
    if (!found.files.length) return;
    choose("file");
    mode.take(found);
  });
  addEventListener("pagehide", (event) => event.persisted || mode.close());
  choose(MODES[0][0]);
}

async function begin() {
  try {
    start(await api.get("/api/model"));
  } catch (error) {
    fill(at("work"), h("p", { class: "notice error", role: "alert" }, error.message));
    throw error; // a fault in our own code: the console tells where
  }
}

begin();
