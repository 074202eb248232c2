// The shell: six steps, the state that the server pushes, and what stays over all steps.
// A step is a module of its own and knows nothing of its neighbours.

import * as api from "./api.js";
import { camera } from "./camera.js";
import { mountDock } from "./dock.js";
import { h, fill, icon, say, sentence } from "./dom.js";
import { bindKeys, showKeys } from "./keys.js";
import { endUndo, toast } from "./toast.js";
import { uploads } from "./uploads.js";

const STEPS = ["actions", "record", "label", "train", "try", "use"];
const TITLES = {
  actions: "Actions", record: "Record", label: "Label", train: "Train", try: "Try", use: "Use",
};
const ICONS = {
  actions: ["M4 6h16", "M4 12h16", "M4 18h10"],
  record: ["M12 12m-8 0a8 8 0 1 0 16 0a8 8 0 1 0 -16 0", "M12 12m-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0"],
  label: ["M4 8h16v8H4z", "M9 8v8", "M15 8v8"],
  train: ["M4 19V5", "M4 19h16", "M7 15l4-5 3 3 5-7"],
  try: ["M3 12s3.5-6 9-6 9 6 9 6-3.5 6-9 6-9-6-9-6z", "M12 12m-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0"],
  use: ["M12 4v11", "M7 11l5 5 5-5", "M5 20h14"],
};
const at = (id) => document.getElementById(id);
const loaded = new Map(); // step id -> its module's step
let shown = null; // {id, step, part}
let started = false; // sending what an earlier page left
let turn = 0; // a step that loads late must not replace a later choice

const app = {
  state: {},
  api,
  toast: (text, options = {}) => toast(text, { ...options, onUndo: undo }),
  camera,
  go: (id) => void (location.hash = id),
  clipVideo: (id) => api.withQuery("/api/clips/video", { id }),
  poster: (id) => api.withQuery("/api/clips/poster", { id }),
  colour: (name) => app.state.actions?.find((action) => action.name === name)?.colour ?? "#888888",
  keys: bindKeys,
  /** The action that is recorded; a reload keeps it. */
  get chosen() {
    return sessionStorage.getItem("chosen");
  },
  set chosen(name) {
    sessionStorage.setItem("chosen", name ?? "");
  },
  /** Opens the step Record with this action. */
  record: (name) => {
    app.chosen = name;
    app.go("record");
  },
  /** Runs what a button asks for; a refusal is told in the server's words. -> answer, or
   * null if it was refused. */
  async run(work) {
    const button = document.activeElement?.closest("button");
    button?.classList.add("busy");
    try {
      return (await work()) ?? {};
    } catch (error) {
      toast(error.message, { level: "error" });
      return null;
    } finally {
      button?.classList.remove("busy");
    }
  },
};

async function undo() {
  endUndo();
  const answer = await app.run(() => api.post("/api/undo"));
  if (answer?.undone) toast(`Undone: ${answer.undone}`);
}

function drawSteps() {
  fill(at("steps"), STEPS.map((id, number) => h(
    "a", { href: `#${id}`, dataset: { step: id }, class: "step-link" },
    icon(...ICONS[id]),
    h("span", { class: "step-name" }, h("span", { class: "step-number" }, `${number + 1} `), TITLES[id]),
  )));
}

async function load(id) {
  if (!loaded.has(id)) loaded.set(id, (await import(`./step_${id}.js`)).step);
  return loaded.get(id);
}

async function show(id) {
  const mine = ++turn;
  document.body.dataset.step = id;
  for (const link of at("steps").children) {
    if (link.dataset.step === id) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shown?.part.unmount?.();
  shown = null;
  const root = h("section", { class: "step", "aria-labelledby": "step-title" });
  fill(at("step"), root);
  document.title = `${TITLES[id]} · action_gru studio`;
  try {
    const step = await load(id);
    if (mine !== turn) return;
    shown = { id, step, part: step.mount(root, app) };
    draw();
  } catch (error) {
    loaded.delete(id);
    fill(root, h("h1", { id: "step-title" }, TITLES[id]),
      h("p", { class: "notice error" }, `This step could not be opened: ${error.message}`));
    if (shown) throw error; // a fault in our own code: the console tells where
  }
}

function drawEngines(engines = {}) {
  const all = Object.values(engines);
  const lines = all.filter((engine) => engine.state !== "ready");
  const failed = lines.find((engine) => engine.state === "failed");
  const note = all.find((engine) => engine.text)?.text; // once ready, what stays to be known
  const words = failed
    ? `Not working: ${failed.text}`
    : [...new Set(lines.map((engine) => engine.text || "starting"))].sort().join(" · ")
      || sentence(note ?? "");
  const place = at("engines");
  if (place.dataset.words === words) return; // the moving bar would start anew
  place.dataset.words = words;
  place.className = failed ? "failed" : words && !lines.length ? "note" : "";
  if (!lines.length || failed) fill(place, words);
  else fill(place, h("span", { class: "moving", "aria-hidden": "true" }), `Getting ready: ${words}`);
}

function drawHint() {
  const { state } = app;
  const text = state.actions ? shown?.step.hint?.(state) ?? "" : "";
  const next = shown?.step.next ?? STEPS[STEPS.indexOf(shown?.id) + 1];
  const words = text || (state.actions && next ? `Next: ${STEPS.indexOf(next) + 1} ${TITLES[next]}.` : "");
  at("hint").hidden = !words;
  say(at("hint"), words);
  for (const link of at("steps").children) {
    link.classList.toggle("next", !text && link.dataset.step === next);
  }
}

function draw() {
  const { state } = app;
  const { project } = state;
  if (project && !started) {
    started = true;
    uploads.start(project.folder, (text) => toast(text, { level: "error" }));
  }
  say(at("project"), project?.name ?? "Studio");
  say(at("folder"), project?.folder ?? "");
  at("problem").hidden = !project?.problem;
  say(at("problem"), project?.problem ?? "");
  at("undo").hidden = !project?.undo;
  if (at("undo").dataset.text !== project?.undo) {
    at("undo").dataset.text = project?.undo ?? "";
    fill(at("undo"), "Undo", h("span", { class: "detail", dir: "auto" }, `: ${project?.undo}`));
  }
  drawEngines(state.engines);
  drawHint();
  if (state.actions) shown?.part.update?.(state);
}

function drawLink(linked) {
  at("offline").hidden = linked;
  say(at("offline"), linked ? "" : "The studio does not answer. Is `action-gru studio` still "
    + "running? What you recorded is kept here and sent as soon as it answers.");
  document.dispatchEvent(new CustomEvent("studio-link", { detail: linked }));
}

function chosen() {
  const id = location.hash.slice(1);
  return STEPS.includes(id) ? id : STEPS[0];
}

function start() {
  drawSteps();
  mountDock(at("dock"), app);
  at("undo").addEventListener("click", undo);
  at("keys").addEventListener("click", showKeys);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address names the step, so the link must not change it
    at("step").focus();
  });
  bindKeys([
    { key: "?", text: "Show the keys", run: showKeys },
    { key: "Ctrl+z", text: "Undo", run: () => void (app.state.project?.undo && undo()) },
  ]);
  for (const name of ["dragover", "drop"]) { // beside a drop area, a browser would leave the page
    window.addEventListener(name, (event) => event.preventDefault());
  }
  window.addEventListener("hashchange", () => show(chosen()));
  api.follow((state) => {
    app.state = state;
    draw();
  }, drawLink);
  show(chosen());
}

start();
