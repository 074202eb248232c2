// The second step: record clips of the chosen action, or drop files; see and mend what is there.

import { ClipGrid, DRAGGED } from "./clip_grid.js";
import { clipCounts } from "./clips.js";
import { count, fill, h, keyed, say, swatch } from "./dom.js";
import { acceptFiles, readDrop, readPicked } from "./drops.js";
import { makeStage } from "./stage.js";
import { uploads } from "./uploads.js";

const ENOUGH = 10; // clips of an action

/** The actions as large radio buttons; clips can be dropped on them. */
function makePicker(app, pick, moveHere) {
  const list = h("div", { class: "picker", role: "radiogroup", "aria-label": "Action to record" });
  const make = (action) => {
    const radio = h("input", {
      type: "radio", name: "recorded", onchange: () => pick(row.dataset.action),
    });
    const mark = h("span", { class: "mark" });
    const name = h("span", { class: "grow", dir: "auto" });
    const clips = h("span", { class: "muted small clips" });
    const row = h("label", { class: "pick" }, radio, mark, name, clips);
    row.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes(DRAGGED)) return;
      event.preventDefault();
      row.classList.add("target");
    });
    row.addEventListener("dragleave", () => row.classList.remove("target"));
    row.addEventListener("drop", (event) => {
      row.classList.remove("target");
      const ids = event.dataTransfer.getData(DRAGGED);
      if (ids) moveHere(JSON.parse(ids), row.dataset.action);
    });
    row.show = (next, clipCount) => {
      row.dataset.action = next.name;
      say(name, next.name);
      say(clips, count(clipCount, "clip"));
      if (mark.dataset.colour !== next.colour) fill(mark, swatch(next.colour));
      mark.dataset.colour = next.colour;
      radio.checked = next.name === app.chosen;
      row.classList.toggle("chosen", radio.checked);
    };
    return row;
  };
  return {
    element: list,
    update(state) {
      const counts = clipCounts(state);
      const ordered = [...state.actions].sort((one, two) => one.background - two.background);
      keyed(list, ordered, (action) => action.name, make, (row, action) => {
        row.show(action, counts[action.name] ?? 0);
      });
    },
  };
}

/** The line that tells what is on its way to the server. */
function makeSending() {
  const words = h("span", { class: "grow" });
  const again = h("button", {
    class: "button small", type: "button", onclick: () => uploads.wake(),
  }, "Try again now");
  const place = h("p", { class: "notice sending row", role: "status" },
    h("span", { class: "moving", "aria-hidden": "true" }), words, again);
  const draw = () => {
    const { state, text, waiting, share } = uploads;
    place.hidden = waiting === 0;
    const held = state === "full" || state === "offline";
    place.classList.toggle("warn", held);
    again.hidden = !held;
    const size = share > 0 && share < 1 ? ` ${Math.round(share * 100)} %` : "";
    const until = waiting === 1 ? "waits here until it can be saved" : "wait here until they can be saved";
    say(words, held ? `${count(waiting, "clip")} ${until}. ${text}`
      : `Saving ${count(waiting, "clip")} …${waiting === 1 ? size : ""}`);
  };
  place.stop = uploads.on(draw);
  draw();
  return place;
}

/** Sends dropped files, and makes the actions that their folders name. */
async function takeFiles(reading, app) {
  const { videos, others } = await reading;
  const { actions, project } = app.state;
  const known = new Set(actions.map((action) => action.name));
  const folders = new Set(videos.map(({ folder }) => folder).filter(Boolean));
  const refused = new Set();
  for (const name of folders) {
    if (known.has(name)) continue;
    if ((await app.run(() => app.api.post("/api/actions", { name }))) === null) refused.add(name);
  }
  const person = document.getElementById("person")?.value.trim() || null;
  const taken = videos.filter(({ folder }) => (folder ? !refused.has(folder) : app.chosen));
  for (const { file, folder } of taken) {
    await uploads.add(file, { action: folder ?? app.chosen, person, name: file.name }, project?.folder);
  }
  const left = others ? `; ${count(others, "file")} left out, as no video` : "";
  if (!taken.length && !videos.length) app.toast(`No video was found in what you added${left}`);
  else app.toast(`Added ${count(taken.length, "video")}${left}`);
}

function fileButton(text, props, app) {
  const input = h("input", {
    type: "file", multiple: true, class: "visually-hidden", tabindex: -1, "aria-hidden": "true",
    ...props,
    onchange: () => {
      takeFiles(readPicked(input.files), app);
      input.value = ""; // the same file may be picked again
    },
  });
  const button = h("button", { class: "button small", type: "button", onclick: () => input.click() }, text);
  return [button, input];
}

function mount(root, app) {
  const person = h("input", {
    id: "person", value: sessionStorage.getItem("person") ?? "", // a reload keeps who it is
    onchange: () => sessionStorage.setItem("person", person.value), list: "people", dir: "auto", maxlength: 80, autocomplete: "off",
    onkeydown: (event) => event.key === "Enter" && person.blur(), // so that single keys work
  });
  const people = h("datalist", { id: "people" });
  const chosen = h("span", { dir: "auto", id: "chosen-name" });
  const mark = h("span");
  const grid = new ClipGrid(app);
  const keep = (blob, { action, take, number }) => uploads.add(blob, {
    action, person: person.value.trim() || null, take, number,
  }, app.state.project?.folder);
  const ready = () => Boolean(app.chosen);
  const stage = makeStage(app, { keep, ready });
  const pick = (name) => {
    if (stage.recording) return update(app.state); // a burst stays with its action
    app.chosen = name;
    grid.chosen.clear();
    update(app.state);
  };
  const picker = makePicker(app, pick, (ids, action) => {
    if (action !== app.chosen) grid.move(ids, action);
  });
  const pickNext = () => {
    const rows = [...picker.element.children];
    const at = rows.findIndex((row) => row.dataset.action === app.chosen);
    const next = rows[(at + 1) % rows.length];
    if (!next) return;
    pick(next.dataset.action);
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  const endKeys = app.keys([
    { key: "n", text: "Choose the next action", run: pickNext },
    { key: "Delete", text: "Delete the clip in focus, or the chosen ones",
      run: () => grid.remove([...grid.chosen]) },
  ]);
  const sending = makeSending();
  const endDrops = acceptFiles(document.body, (transfer) => takeFiles(readDrop(transfer), app));
  fill(root,
    h("div", { class: "record-top" },
      h("div", { class: "stack record-main" },
        h("h1", { id: "step-title", class: "row" }, "Record", mark, chosen), stage.element),
      h("div", { class: "stack record-side" },
        h("div", { class: "row spread picker-title" }, h("h2", null, "Action"),
          h("button", { class: "button quiet small", type: "button", onclick: pickNext },
            "Next ", h("kbd", null, "N"))),
        picker.element,
        h("label", { class: "field" }, h("span", null, "Who is this?"), person, people),
        h("p", { class: "muted small" }, "A name, so that the model is tested on people it has not seen."),
        h("div", { class: "row" },
          fileButton("Add video files", { accept: "video/*" }, app),
          fileButton("Add a folder", { webkitdirectory: true }, app)))),
    sending, grid.element,
    h("p", { class: "drop-here", "aria-hidden": "true" },
      "Drop videos or folders. A folder’s name is its action."));

  function update(state) {
    if (!state.actions) return;
    if (!state.actions.some((action) => action.name === app.chosen)) {
      const counts = clipCounts(state);
      const fewest = [...state.actions].sort((one, two) => (
        one.background - two.background || (counts[one.name] ?? 0) - (counts[two.name] ?? 0)
      ));
      app.chosen = fewest[0]?.name ?? null;
    }
    say(chosen, app.chosen ?? "");
    if (mark.dataset.colour !== app.colour(app.chosen)) fill(mark, swatch(app.colour(app.chosen)));
    mark.dataset.colour = app.colour(app.chosen);
    picker.update(state);
    const names = (state.people ?? []).join("\n");
    if (people.dataset.names !== names) {
      people.dataset.names = names;
      fill(people, (state.people ?? []).map((name) => h("option", { value: name })));
    }
    grid.update(state, app.chosen);
  }
  return {
    update,
    unmount() {
      stage.stop();
      sending.stop();
      endDrops();
      endKeys();
    },
  };
}

function hint(state) {
  if (state.actions.every((action) => action.background)) {
    return "Name your actions in the first step, then record them here.";
  }
  const counts = clipCounts(state);
  const few = state.actions.filter((action) => (counts[action.name] ?? 0) < ENOUGH);
  if (!few.length) return "";
  const next = few.find((action) => !action.background) ?? few[0];
  const done = counts[next.name] ?? 0;
  const change = done ? " Change place or light a little between bursts." : "";
  return `Record about ten clips of each: “${next.name}” has ${done || "none yet"}.${change}`;
}

export const step = { hint, mount, next: "train" }; // a long video is for who has one
