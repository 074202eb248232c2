// The step Train: one button, the curve while it learns, then what came of it.

import { curvePlot } from "./curve.js";
import { count, h, say, sentence } from "./dom.js";
import { mistakesPart } from "./mistakes.js";
import { verdictCard } from "./verdict.js";
import { versionsPart } from "./versions.js";

const STAGES = ["reading clips", "training", "scoring", "finishing"];
const STAGE_WORDS = ["Reading the clips", "Learning", "Scoring", "Finishing"];

/** What there is to learn from, and what is new, in one line. */
function stockWords({ clips = [], actions = [], training = {}, model }) {
  const begun = new Set(clips.map((clip) => clip.action));
  const empty = actions.map((action) => action.name).filter((name) => !begun.has(name));
  const left = begun.size && empty.length ? ` Left out, without a clip: ${empty.join(", ")}.` : "";
  const stock = `${count(clips.length, "clip")} of ${count(begun.size, "action")}.${left}`;
  const fresh = training.clips_new ?? 0;
  if (!model || !fresh || training.state === "running") return stock;
  return `${stock} ${count(fresh, "new clip")}: train again to learn ${fresh === 1 ? "it" : "them"}.`;
}

function stageList() {
  const element = h("ol", { class: "stages", "aria-label": "Stages" },
    STAGE_WORDS.map((words) => h("li", null, words)));
  element.show = (now) => {
    [...element.children].forEach((item, at) => {
      item.dataset.state = at < now ? "done" : at === now ? "now" : "next";
      if (at === now) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
  };
  return element;
}

/** The button and what it does now. {element, update(state), press()}. */
function trainCard(app) {
  let asked = null; // pressed, and the state does not tell of it yet: "start" or "cancel"
  const stock = h("p", { id: "train-stock" });
  const whyNot = h("p", { class: "notice warn", id: "why-not" });
  const failed = h("p", { class: "notice error", role: "alert" });
  const cancelled = h("p", { class: "notice" }, "Training was cancelled. The model in use is as before.");
  const button = h("button", {
    class: "button primary large", id: "train", type: "button",
    "aria-describedby": "why-not train-stock", onclick: () => press(),
  });
  const cancel = h("button", {
    class: "button large", id: "cancel-training", type: "button", onclick: () => stop(),
  }, "Cancel");
  const stages = stageList();
  const bar = h("progress", { max: "1", "aria-label": "Training" });
  const share = h("span", { class: "share small" });
  const running = h("div", { class: "stack running" }, stages, h("div", { class: "row" }, bar, share));
  const draft = h("p", { class: "notice good", role: "status", id: "draft" });
  const curve = curvePlot();
  const element = h("section", { class: "card stack", "aria-label": "Training" },
    stock, h("div", { class: "row" }, button, cancel), whyNot, failed, cancelled, running, draft,
    curve.element);
  let newest = {};
  let reached = { at: 0, share: 0 }; // the bar and the stages never go back within one training

  const press = async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    asked = "start";
    draw();
    if ((await app.run(() => app.api.post("/api/training"))) === null) asked = null;
    draw();
  };
  const stop = async () => {
    asked = "cancel";
    draw();
    if ((await app.run(() => app.api.post("/api/training/cancel"))) === null) asked = null;
    draw();
  };

  const draw = () => {
    const training = newest.training ?? { state: "idle" };
    const isRunning = training.state === "running";
    if ((asked === "start" && isRunning) || (asked === "cancel" && !isRunning)) asked = null;
    const starts = asked === "start";
    const why = isRunning ? null : training.why_not;
    say(stock, stockWords(newest));
    say(button, isRunning ? "Training…" : starts ? "Starting…" : newest.model ? "Train again" : "Train");
    button.setAttribute("aria-disabled", String(isRunning || starts || !!why));
    cancel.hidden = !isRunning;
    cancel.disabled = asked === "cancel";
    say(cancel, asked === "cancel" ? "Cancelling…" : "Cancel");
    whyNot.hidden = !why;
    say(whyNot, sentence(why ?? ""));
    failed.hidden = training.state !== "failed" || starts;
    say(failed, failed.hidden ? "" : sentence(training.error ?? "Training failed; train again."));
    cancelled.hidden = training.state !== "cancelled" || starts;
    running.hidden = !isRunning && !starts;
    if (!isRunning) reached = { at: 0, share: 0 };
    else {
      reached.at = Math.max(reached.at, STAGES.indexOf(training.stage));
      reached.share = Math.max(reached.share, training.share ?? 0);
    }
    stages.show(reached.at);
    if (reached.share > 0) bar.value = reached.share;
    else bar.removeAttribute("value"); // it moves while nobody knows how far it is
    say(share, reached.share > 0 ? `${Math.round(100 * reached.share)}%` : "");
    draft.hidden = !isRunning || !training.draft;
    say(draft, draft.hidden ? "" : sentence(training.draft.text));
    const points = training.curve ?? [];
    curve.element.hidden = !isRunning && !points.length;
    if (!curve.element.hidden) curve.draw(points, training.draft);
  };
  const update = (state) => {
    newest = state;
    draw();
  };
  return { element, update, press };
}

function mount(root, app) {
  const title = h("h1", { id: "step-title" }, "Train");
  const train = trainCard(app);
  const verdict = verdictCard(app);
  const mistakes = mistakesPart(app);
  const versions = versionsPart(app);
  const next = h("button", {
    class: "button primary", type: "button", onclick: () => app.go("try"),
  }, "Try it");
  const news = h("p", { class: "visually-hidden", role: "status" }); // read aloud once a training
  root.append(title, train.element, news, verdict.element, h("div", { class: "row" }, next),
    mistakes.element, versions.element);
  const unbind = app.keys([{ key: "t", text: "Train", run: () => train.press() }]);
  let wasRunning = false;
  return {
    update(state) {
      const isRunning = state.training?.state === "running";
      train.update(state);
      verdict.update(state.model ?? null);
      mistakes.update(state.model ?? null, state);
      versions.update(state.versions);
      next.parentElement.hidden = !state.model;
      if (wasRunning && !isRunning && state.training?.state === "idle" && state.model)
        say(news, `Training is done. ${state.model.verdict?.text ?? ""}`);
      if (isRunning) say(news, "");
      wasRunning = isRunning;
    },
    unmount() {
      unbind();
      mistakes.unmount();
    },
  };
}

function hint({ training, model }) {
  if (training?.state === "running") return "It is learning. You may go on recording meanwhile.";
  if (training?.why_not) return "It cannot learn yet; what is missing is said below.";
  if (!model) return "Press Train. A first answer comes after a moment.";
  if (training?.clips_new) return `${count(training.clips_new, "new clip")}: train again.`;
  return "";
}

export const step = { hint, mount };
