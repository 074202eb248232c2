// The clips that a model gets wrong: each beside one of the action it was taken for, with what can
// be done about it.

import { percent } from "./curve.js";
import { count, fill, h, keyed, say, swatch } from "./dom.js";
import { playOn, thumb } from "./thumb.js";

const AT_FIRST = 6;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const inView = new Set();
let areHeld = false;

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) inView.add(target);
    else inView.delete(target);
    turn(target);
  }
});

function turn(loop) {
  if (inView.has(loop) && !areHeld) loop.play();
  else loop.rest();
}

function holdLoops(held) {
  areHeld = held;
  inView.forEach(turn);
}

/** A clip that loops while it is seen; where less motion is wanted, under the pointer alone. */
function loopOf(app, clip) {
  const loop = thumb(app, clip);
  if (calm.matches) {
    loop.tabIndex = 0;
    playOn(loop, loop);
  } else {
    watcher.observe(loop);
  }
  return loop;
}

const named = (app, name) =>
  h("span", { class: "named" }, swatch(app.colour(name)), h("span", { dir: "auto" }, name));

function figure(app, id, clips, words) {
  return h("figure", { class: "pair-clip" }, loopOf(app, clips.get(id)),
    h("figcaption", { class: "small" }, words));
}

function relabelMenu(app, mistake) {
  const choice = h("select", {
    class: "small", "aria-label": `What ${mistake.clip} really is`,
    onchange: async () => {
      const action = choice.value;
      if (!action) return;
      choice.disabled = true;
      const done = await app.run(() =>
        app.api.post("/api/clips/change", { ids: [mistake.clip], action }));
      choice.disabled = false;
      choice.value = "";
      if (done !== null) app.toast(`Moved to ${action}. Train again to learn it.`, { undo: true });
    },
  });
  choice.offer = (names) => {
    const list = JSON.stringify(names);
    if (choice.dataset.list === list) return;
    choice.dataset.list = list;
    fill(choice, h("option", { value: "" }, "It is really…"),
      names.map((name) => h("option", { value: name }, name)));
  };
  return choice;
}

function pair(app, mistake, clips) {
  const { clip, was, said, score, like } = mistake;
  const menu = relabelMenu(app, mistake);
  const remove = async () => {
    const done = await app.run(() => app.api.post("/api/clips/delete", { ids: [clip] }));
    if (done !== null) app.toast("Clip deleted.", { undo: true });
  };
  const taken = ["It was taken for ", named(app, said), score == null ? "" : ` (${percent(score)})`];
  const row = h("li", { class: "card pair", dataset: { mistake: clip } },
    h("div", { class: "pair-clips" },
      figure(app, clip, clips, ["You recorded it as ", named(app, was)]),
      like
        ? figure(app, like, clips, taken)
        : h("p", { class: "pair-clip pair-empty small" }, h("span", null, taken))),
    h("div", { class: "row" }, menu,
      h("button", {
        class: "button small", type: "button", onclick: () => app.record(was),
        "aria-label": `Record more of ${was}`,
      }, "Record more"),
      h("button", {
        class: "button small danger", type: "button", onclick: remove, "aria-label": `Delete ${clip}`,
      }, "Delete")));
  row.offer = menu.offer;
  return row;
}

/** {element, update(model, state)}. */
export function mistakesPart(app) {
  let isFull = false;
  let newest = null;
  const list = h("ul", { class: "pairs" });
  const title = h("h2", null, "Mistakes");
  const hold = h("button", {
    class: "button small quiet", type: "button", "aria-pressed": "false",
    onclick: () => {
      const held = hold.getAttribute("aria-pressed") !== "true";
      hold.setAttribute("aria-pressed", String(held));
      say(hold, held ? "Play the clips" : "Pause the clips");
      holdLoops(held);
    },
  }, "Pause the clips");
  const more = h("button", {
    class: "button small show-all", type: "button",
    onclick: () => {
      isFull = true;
      update(...newest);
    },
  });
  const element = h("section", { class: "stack", "aria-label": "Mistakes" },
    h("div", { class: "row spread" }, title, hold),
    h("p", { class: "muted" }, "Clips it had never seen and got wrong. Is one in the wrong action? ",
      "Say what it really is. Does it show nothing useful? Delete it."),
    list, more);

  const update = (model, state) => {
    newest = [model, state];
    const clips = new Map((state.clips ?? []).map((clip) => [clip.id, clip]));
    const all = (model?.mistakes ?? []).filter((mistake) => clips.has(mistake.clip));
    element.hidden = !all.length;
    hold.hidden = calm.matches;
    say(title, count(all.length, "mistake"));
    more.hidden = isFull || all.length <= AT_FIRST;
    say(more, `Show all ${all.length}`);
    const names = (state.actions ?? []).map((action) => action.name);
    keyed(list, isFull ? all : all.slice(0, AT_FIRST), (one) => `${model.run} ${one.clip}`,
      (one) => pair(app, { ...one, like: clips.has(one.like) ? one.like : null }, clips),
      (row, one) => row.offer(names.filter((name) => name !== one.was)));
  };
  const unmount = () => {
    inView.forEach((loop) => loop.rest());
    inView.clear();
    areHeld = false;
  };
  return { element, update, unmount };
}
