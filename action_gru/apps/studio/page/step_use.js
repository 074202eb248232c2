// The step Use: the model as a file, where it lies, how programs call it, and other formats.

import { h, keyed, say, sentence } from "./dom.js";

const COMMAND = /(uv )?pip install \S+/; // within the sentence that says what is missing

/** A button that copies the text of an element and says so. */
function copyButton(app, place, what) {
  const button = h("button", {
    class: "button small copy", type: "button", "aria-label": `Copy ${what}`,
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(place.textContent);
        say(button, "Copied");
        setTimeout(() => say(button, "Copy"), 2000);
      } catch {
        getSelection().selectAllChildren(place);
        app.toast("The browser lets no page copy here. The text is selected: press Ctrl+C.");
      }
    },
  }, "Copy");
  return button;
}

function snippet(app, { title }) {
  const code = h("code");
  const row = h("li", { class: "stack snippet" },
    h("div", { class: "row spread" }, h("h3", null, title), copyButton(app, code, title)),
    h("pre", { tabindex: "0", role: "region", "aria-label": title }, code));
  row.show = ({ text }) => say(code, text);
  return row;
}

function formatRow(app, onExport) {
  const name = h("strong");
  const told = h("p", { class: "small muted" });
  const error = h("p", { class: "small notice error", role: "alert" });
  const make = h("button", { class: "button small", type: "button" }, "Make it");
  const save = h("a", { class: "button small primary", download: "" }, "Download");
  const moving = h("span", { class: "moving", "aria-hidden": "true" });
  const command = h("code");
  const mend = h("div", { class: "row" }, command, copyButton(app, command, "the command"));
  const row = h("li", { class: "version" }, h("div", { class: "grow" }, name, told, mend, error),
    h("div", { class: "row" }, moving, make, save));
  row.show = (format, job) => {
    const mine = job?.format === format.format ? job.state : "idle";
    say(name, format.name);
    make.onclick = () => onExport(format.format);
    make.hidden = !format.available || mine === "ready";
    make.disabled = job?.state === "running";
    moving.hidden = mine !== "running";
    save.hidden = mine !== "ready";
    save.href = `/api/use/export/${encodeURIComponent(format.format)}`;
    const found = format.available ? null : COMMAND.exec(format.mend ?? "");
    mend.hidden = !found;
    say(command, found?.[0] ?? "");
    say(told, mine === "running" ? "Being made; this takes a minute or two…"
      : format.available ? "" : sentence(format.mend ?? "It is not available here."));
    told.hidden = !told.textContent;
    error.hidden = mine !== "failed";
    say(error, error.hidden ? "" : job.error ?? "");
    for (const control of [make, save])
      control.setAttribute("aria-label", `${control.textContent}: ${format.name}`);
  };
  return row;
}

function mount(root, app) {
  let run = null; // of which this is drawn
  let found = null;
  let job = null;
  const path = h("code", { class: "path" });
  const facts = h("p");
  const snippets = h("ul", { class: "stack" });
  const formats = h("ul", { class: "formats" });
  const problem = h("p", { class: "notice error", role: "alert", hidden: true });
  const empty = h("section", { class: "empty stack" },
    h("p", null, "There is no model yet. Train one first; then you can take it with you."),
    h("div", null, h("button", {
      class: "button primary", type: "button", onclick: () => app.go("train"),
    }, "Go to Train")));
  const works = h("div", { class: "stack" },
    h("section", { class: "card stack", "aria-label": "The model" }, facts,
      h("div", { class: "row" }, h("a", {
        class: "button primary large", id: "download", href: "/api/use/model", download: "",
      }, "Download the model")),
      h("p", { class: "small muted" }, "One file that works alone, on any computer with action-gru."),
      h("p", { class: "small" }, "It lies here:"),
      h("div", { class: "row" }, path, copyButton(app, path, "the path"))),
    h("section", { class: "card stack", "aria-label": "In your programs" },
      h("h2", null, "In your programs"), snippets),
    h("section", { class: "card stack", "aria-label": "Other formats" },
      h("h2", null, "Other formats"), formats));
  root.append(h("h1", { id: "step-title" }, "Use"), problem, empty, works);

  const exportTo = (format) => app.run(() => app.api.post("/api/use/export", { format }));
  const draw = () => {
    if (!found) return;
    say(path, found.path);
    say(facts, `The model in use is ${found.run}.`);
    keyed(snippets, found.snippets ?? [], (one) => one.title, (one) => snippet(app, one),
      (row, one) => row.show(one));
    keyed(formats, found.formats ?? [], (one) => one.format, () => formatRow(app, exportTo),
      (row, one) => row.show(one, job));
  };
  const load = async (wanted) => {
    try {
      const answer = await app.api.get("/api/use");
      if (run !== wanted) return;
      found = answer;
      works.hidden = false;
      draw();
    } catch (error) {
      if (run !== wanted) return;
      problem.hidden = false;
      say(problem, error.message);
    }
  };
  works.hidden = true;
  return {
    update(state) {
      const now = state.model?.run ?? null;
      empty.hidden = now !== null;
      job = state.export ?? null;
      if (now === run) return draw();
      run = now;
      found = null;
      works.hidden = problem.hidden = true;
      if (now !== null) load(now);
    },
    unmount: () => void (run = null),
  };
}

const hint = ({ model }) => (model ? "" : "Train first; then the model can be used anywhere.");

export const step = { hint, mount };
