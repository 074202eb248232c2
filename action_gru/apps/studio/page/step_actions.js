// The first step: which actions there are, their names and their colours.

import { clipCounts } from "./clips.js";
import { count, fill, h, keyed, rekey, say, sentence, swatch } from "./dom.js";
import { uploads } from "./uploads.js";

const EXAMPLES = ["wave", "clap", "jump"];

function own(state) {
  return state.actions.filter((action) => !action.background);
}

function actionRow(action, app) {
  let name = action.name;
  const colour = h("input", {
    type: "color", class: "colour",
    onchange: () => app.run(() => app.api.post("/api/actions/change", { name, colour: colour.value })),
  });
  const problem = h("p", { class: "problem small", role: "alert" });
  const field = h("input", {
    class: "name", dir: "auto", maxlength: 80, autocomplete: "off", spellcheck: "false",
    onchange: () => rename(),
    onkeydown: (event) => {
      if (event.key === "Enter") field.blur();
      if (event.key === "Escape") {
        field.value = name;
        say(problem, "");
        field.blur();
      }
    },
  });
  const rename = async () => {
    const old = name;
    const wished = field.value.trim().normalize("NFC");
    say(problem, "");
    if (wished === old) return;
    rekey(row.parentElement, old, wished); // the next state knows it under the new name
    try {
      await app.api.post("/api/actions/change", { name: old, new_name: wished });
      uploads.rename(old, wished);
      if (app.chosen === old) app.chosen = wished;
    } catch (error) {
      rekey(row.parentElement, wished, old);
      say(problem, sentence(error.message));
      field.value = name;
    }
  };
  const remove = h("button", {
    class: "button quiet", type: "button",
    onclick: async () => {
      row.hidden = true; // at once; the next state takes the row away, or brings it back
      const answer = await app.run(() => app.api.post("/api/actions/delete", { name }));
      if (answer === null && row.isConnected) row.hidden = false;
      else app.toast(`Deleted the action ${name}`, { undo: true });
    },
  }, "Delete");
  const clips = h("span", { class: "muted clips" });
  const record = h("button", {
    class: "button", type: "button", onclick: () => app.record(name),
  }, "Record");
  const row = h("li", { class: "action card" },
    colour, h("div", { class: "grow" }, field, problem), clips, record, remove);
  row.show = (next, clipCount) => {
    name = next.name;
    row.dataset.action = name;
    if (document.activeElement !== field) field.value = name;
    if (document.activeElement !== colour) colour.value = next.colour;
    field.setAttribute("aria-label", `Name of ${name}`);
    colour.setAttribute("aria-label", `Colour of ${name}`);
    record.setAttribute("aria-label", `Record ${name}`);
    remove.setAttribute("aria-label", `Delete ${name}`);
    say(clips, count(clipCount, "clip"));
  };
  return row;
}

function backgroundRow(app) {
  const mark = h("span");
  const name = h("strong", { dir: "auto" });
  const clips = h("span", { class: "muted clips" });
  const record = h("button", { class: "button", type: "button" }, "Record");
  const row = h("li", { class: "action card background" }, mark,
    h("div", { class: "grow" }, name, h("p", { class: "muted small" },
      "For moments with none of your actions, such as standing still or an empty room. "
      + "Without it, every moment gets one of the names above.")),
    clips, record);
  row.show = (action, clipCount) => {
    row.dataset.action = action.name;
    say(name, action.name);
    fill(mark, swatch(action.colour));
    record.onclick = () => app.record(action.name);
    record.setAttribute("aria-label", `Record ${action.name}`);
    say(clips, count(clipCount, "clip"));
  };
  return row;
}

function addForm(app) {
  const field = h("input", {
    id: "new-action", class: "grow", dir: "auto", maxlength: 80, autocomplete: "off",
    enterkeyhint: "done", "aria-describedby": "new-action-problem",
    oninput: () => say(problem, ""),
  });
  const problem = h("p", { id: "new-action-problem", class: "problem", role: "alert" });
  const add = async (name) => {
    say(problem, "");
    submit.classList.add("busy");
    try {
      await app.api.post("/api/actions", { name });
      if (field.value === name) field.value = "";
    } catch (error) {
      say(problem, sentence(error.message));
    }
    submit.classList.remove("busy");
    field.focus();
  };
  const submit = h("button", { class: "button primary" }, "Add");
  const examples = h("p", { class: "row examples" }, h("span", { class: "muted" }, "For example"),
    EXAMPLES.map((name) => h("button", {
      class: "button small", type: "button", onclick: () => add(name),
    }, name)));
  const form = h("form", {
    class: "stack card add", novalidate: true,
    onsubmit: (event) => {
      event.preventDefault();
      add(field.value);
    },
  },
  h("label", { class: "field" }, h("span", null, "New action"),
    h("span", { class: "row nowrap" }, field, submit)),
  problem, examples);
  return { form, examples, field };
}

function mount(root, app) {
  const { form, examples, field } = addForm(app);
  const list = h("ul", { class: "stack actions" });
  fill(root,
    h("div", null, h("h1", { id: "step-title" }, "What should it learn?"),
      h("p", { class: "muted" }, "Each action has a name and a colour that stays the same everywhere.")),
    form, list);
  const make = (action) => (action.background ? backgroundRow(app) : actionRow(action, app));
  const update = (state) => {
    const counts = clipCounts(state);
    const ordered = [...own(state), ...state.actions.filter((action) => action.background)];
    keyed(list, ordered, (action) => action.name, make, (row, action) => {
      row.show(action, counts[action.name] ?? 0);
      row.hidden = false;
    });
    examples.hidden = own(state).length > 0;
  };
  if (matchMedia("(pointer: fine)").matches) field.focus(); // a phone would open its keyboard
  return { update };
}

export const step = {
  hint: (state) => {
    const names = own(state).length;
    if (names >= 2) return "";
    return names ? "Name at least one more action, so that there is something to tell apart."
      : "Begin with a name: type what somebody does, such as “wave”, and press Enter.";
  },
  mount,
};
