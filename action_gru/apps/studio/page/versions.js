// The models trained so far: which one is in use, what each can do, and two side by side.

import { percent } from "./curve.js";
import { count, fill, h, keyed, say, swatch } from "./dom.js";
import { actionBar } from "./verdict.js";

/** "29 Nov 2026, 10:20". */
const dateWords = (when) =>
  new Date(when).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

const scoreWords = (version) => (version.score == null ? "no score" : `${percent(version.score)} right`);

function confirmDelete(version, onYes) {
  const dialog = h("dialog", { class: "confirm", "aria-labelledby": "delete-version" },
    h("h2", { id: "delete-version" }, `Delete ${version.name}?`),
    h("p", null, "The model is gone for good. The clips stay; training again makes a new one."),
    h("div", { class: "row" },
      h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Keep it"),
      h("button", {
        class: "button danger", type: "button",
        onclick: () => {
          dialog.close();
          onYes();
        },
      }, "Delete")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function renameForm(app, version, onEnd) {
  const field = h("input", { value: version.name, "aria-label": "New name", maxlength: 60 });
  const form = h("form", {
    class: "row",
    onsubmit: async (event) => {
      event.preventDefault();
      const name = field.value.trim().replace(/\s+/g, "-"); // it is a folder's name, too
      if (!name || name === version.name) return onEnd();
      const done = await app.run(() =>
        app.api.post("/api/versions/rename", { run: version.run, name }));
      if (done !== null) onEnd(name);
    },
    onkeydown: (event) => event.key === "Escape" && onEnd(),
  }, field,
  h("button", { class: "button small", type: "submit" }, "Save"),
  h("button", { class: "button small quiet", type: "button", onclick: () => onEnd() }, "Cancel"));
  queueMicrotask(() => field.select());
  return form;
}

function versionRow(app, first, onCompare, onRenamed) {
  let version = first;
  const name = h("strong", { dir: "auto" });
  const facts = h("p", { class: "small muted" });
  const chip = h("span", { class: "chip good" }, "in use");
  const bars = h("ul", { class: "bars small" });
  const details = h("details", null, h("summary", { class: "small" }, "Each action"), bars);
  const pick = h("input", { type: "checkbox", onchange: () => onCompare(version.run, pick.checked) });
  const use = h("button", {
    class: "button small", type: "button",
    onclick: async () => {
      const done = await app.run(() => app.api.post("/api/versions/use", { run: version.run }));
      if (done !== null) app.toast(`${version.name} is in use now.`);
    },
  }, "Use this one");
  const place = h("div");
  const end = (newName) => {
    fill(place);
    rename.focus();
    if (newName) onRenamed(newName);
  };
  const rename = h("button", {
    class: "button small quiet", type: "button",
    onclick: () => fill(place, renameForm(app, version, end)),
  }, "Rename");
  const remove = h("button", {
    class: "button small quiet danger", type: "button",
    onclick: () => confirmDelete(version, () =>
      app.run(() => app.api.post("/api/versions/delete", { run: version.run }))),
  }, "Delete");
  const compare = h("label", { class: "check small" }, pick, "Compare");
  const row = h("li", { class: "version", dataset: { run: version.run } },
    h("div", { class: "grow" }, h("p", { class: "row" }, name, chip), facts, place, details),
    h("div", { class: "row" }, compare, use, rename, remove));
  row.renames = rename;
  row.show = (now, picked) => {
    version = now;
    say(name, now.name);
    const parts = [dateWords(now.when), count(now.clips, "clip"), scoreWords(now)];
    say(facts, parts.join(" · "));
    chip.hidden = !now.current;
    use.hidden = now.current;
    pick.checked = picked.includes(now.run);
    pick.disabled = !pick.checked && picked.length > 1;
    for (const control of [use, rename, remove, pick])
      control.setAttribute("aria-label", `${control === pick ? "Compare" : control.textContent} ${now.name}`);
    const actions = now.actions ?? [];
    details.hidden = !actions.length;
    keyed(bars, actions, (action) => action.name, (action) => actionBar(action.name),
      (bar, action) => bar.show(action, app.colour(action.name)));
  };
  return row;
}

function comparison(app, one, other) {
  const names = [...new Set([one, other].flatMap((version) => (version.actions ?? []).map((a) => a.name)))];
  const cell = (version, name) => {
    const action = (version.actions ?? []).find((known) => known.name === name);
    if (!action) return h("td", { class: "muted" }, "not in it");
    const mark = h("span", { class: "bar-mark" });
    mark.style.width = `${action.total ? (100 * action.right) / action.total : 0}%`;
    mark.style.background = app.colour(name);
    const words = action.total ? `${action.right} of ${action.total}` : "no clip to test on";
    return h("td", null, h("span", { class: "bar", "aria-hidden": "true" }, mark), words);
  };
  const line = (title, words) =>
    h("tr", null, h("th", { scope: "row" }, title), h("td", null, words(one)), h("td", null, words(other)));
  return h("div", { class: "card compare", id: "compare", tabindex: "0", role: "region", "aria-label": "Two models side by side" },
    h("table", null,
      h("thead", null, h("tr", null, h("td"),
        [one, other].map((version) => h("th", { scope: "col", dir: "auto" }, version.name)))),
      h("tbody", null,
        line("Right", (version) => (version.score == null ? "no score" : percent(version.score))),
        line("Clips", (version) => version.clips),
        line("Trained", (version) => dateWords(version.when)),
        names.map((name) => h("tr", null,
          h("th", { scope: "row" }, swatch(app.colour(name)), " ", h("bdi", null, name)),
          cell(one, name), cell(other, name))))),
    h("p", { class: "small muted" }, "Each was tested on clips it had not learned from. ",
      "A few clips more or less are chance."));
}

/** {element, update(versions)}. */
export function versionsPart(app) {
  let picked = [];
  let newest = [];
  let drawn = "";
  let renamed = ""; // the new name of a run, whose row is made anew and gets the focus back
  const list = h("ul", { class: "versions card" });
  const beside = h("div");
  const hint = h("p", { class: "small muted" }, "Choose two to see them side by side.");
  const element = h("section", { class: "stack", "aria-label": "Models" },
    h("h2", null, "Models so far"), list, hint, beside);
  const onCompare = (run, isPicked) => {
    picked = isPicked ? [...picked, run].slice(-2) : picked.filter((one) => one !== run);
    update(newest);
  };
  const onRenamed = (name) => {
    renamed = name;
    update(newest);
  };
  const update = (versions) => {
    newest = versions ?? [];
    element.hidden = !newest.length;
    picked = picked.filter((run) => newest.some((version) => version.run === run));
    keyed(list, newest, (version) => version.run, (version) => versionRow(app, version, onCompare, onRenamed),
      (row, version) => row.show(version, picked));
    const at = newest.findIndex((version) => version.name === renamed);
    if (at >= 0) {
      list.children[at].renames.focus();
      renamed = "";
    }
    hint.hidden = newest.length < 2 || picked.length === 2;
    for (const row of list.children) row.querySelector(".check").hidden = newest.length < 2;
    const two = newest.filter((version) => picked.includes(version.run));
    const now = two.length === 2 ? JSON.stringify(two) : "";
    if (now === drawn) return;
    drawn = now;
    fill(beside, two.length === 2 && comparison(app, two[1], two[0]));
  };
  return { element, update };
}
