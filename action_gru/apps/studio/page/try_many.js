// Several files, one read after another: a row for each with its answer; its button reads it again.

import { readDrop, readPicked } from "./drops.js";
import { fill, h, say } from "./dom.js";

const BUSY = 429; // the server reads too many videos now
const BUSY_MS = 3000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Videos alone, of a folder; a lone file as it is, for whoever reads it says why it cannot. */
const ofFolder = ({ videos, others }, loose) => (
  videos.length ? { files: videos.map(({ file }) => file), others } : { files: loose, others: 0 }
);

/** What was dropped, folders walked through. -> {files, others: how many are no videos} */
export async function droppedFiles(transfer) {
  const loose = [...transfer.files]; // the list is empty after the first wait
  return ofFolder(await readDrop(transfer), loose);
}

/** Places for files: buttons for several and for a folder, and anything may be dropped on it.
 * words: where the files go. */
export function filePlace(onFiles, words = "It does not leave this computer.") {
  const picker = (text, props, found) => {
    const field = h("input", {
      type: "file", class: "visually-hidden", multiple: true, ...props,
      onchange: () => {
        if (field.files.length) onFiles(found([...field.files]));
        field.value = "";
      },
    });
    return h("label", { class: "button file-button" }, text, field);
  };
  const folders = "webkitdirectory" in HTMLInputElement.prototype; // no phone has it
  return h("div", {
    class: "empty stack drop",
    ondragover: (event) => event.preventDefault(),
    ondrop: async (event) => {
      event.preventDefault();
      event.stopPropagation(); // the page may take files, too
      onFiles(await droppedFiles(event.dataTransfer));
    },
  }, h("p", null, `Drop videos here. ${words}`), h("div", { class: "row" },
    picker("Choose videos", { accept: "video/*,.mkv,.avi,.mts,.m2ts", id: "try-file" },
      (files) => ({ files, others: 0 })),
    folders && picker("Choose a folder", { webkitdirectory: true, id: "try-folder" },
      (files) => ofFolder(readPicked(files), []))));
}

/** {element, take({files, others}), close()}. open(file) -> {text} of its answer, {error} with what
 * to say and its status, or null where another file was opened meanwhile, which ends the list. */
export function fileQueue(open) {
  let turn = 0;
  const list = h("ol", { class: "queue", "aria-label": "The files" });
  const said = h("p", { role: "status" });
  const element = h("div", { class: "stack", hidden: true }, said, list);

  function row(file) {
    const answer = h("span", { class: "muted" }, "waits");
    const button = h("button", {
      class: "button quiet small event", type: "button", disabled: true, onclick: () => open(file),
    }, h("span", { dir: "auto" }, file.webkitRelativePath || file.name), answer);
    list.append(h("li", null, button));
    return { file, tell: (text) => say(answer, text), free: () => { button.disabled = false; } };
  }

  async function readOne({ file, tell }, mine) {
    for (;;) {
      tell("is read…");
      const result = await open(file);
      if (!result || mine !== turn) return false;
      tell(result.text ?? result.error);
      if (result.status !== BUSY) return true;
      await pause(BUSY_MS);
      if (mine !== turn) return false;
    }
  }

  return {
    element,
    async take({ files, others }) {
      const mine = ++turn;
      element.hidden = files.length < 2 && !others;
      fill(list);
      const left = others ? `; ${others} left aside, as no videos` : "";
      const tell = (done) => say(said, `${done} of ${files.length} read${left}`);
      const rows = files.length > 1 ? files.map(row) : [];
      tell(0);
      if (files.length === 1) await open(files[0]);
      for (const [index, one] of rows.entries()) {
        if (!await readOne(one, mine)) break;
        tell(index + 1);
      }
      if (mine === turn) for (const one of rows) one.free();
    },
    close() {
      turn += 1;
    },
  };
}
