// Step 3: label a long video. Which video, what is drawn of it, and what its keys and buttons do.

import { h, fill, say, count, keyed } from "./dom.js";
import { acceptFiles } from "./drops.js";
import { makeEditor } from "./label_editor.js";
import { clock } from "./segments.js";

const ACCEPT = "video/*,.mkv,.avi,.mts,.m2ts,.mpg,.ts,.flv,.wmv,.3gp,.ogv";

const KEPT = "label-video";

export const step = {
  hint(state) {
    const videos = state.videos ?? [];
    if (!videos.length) return "Have a long recording? Drop it here, and mark in it when each action happens. Else go on: 4 Train.";
    const uncut = videos.reduce((sum, one) => sum + one.uncut, 0);
    return uncut ? `${count(uncut, "segment")} could become clips to learn from: Make clips.` : "";
  },
  mount,
};

function mount(root, app) {
  // `wanted` is shown as soon as the state tells of it, as after an upload or a reload.
  const videos = { list: [], shown: null, wanted: sessionStorage.getItem(KEPT), sending: new Map() };
  const title = h("h1", { id: "step-title" }, "Label a long video");
  const choose = h("input", { type: "file", id: "label-file", accept: ACCEPT, multiple: true, class: "visually-hidden" });
  const chooser = h("label", { class: "button", for: "label-file" }, "Choose videos");
  const list = h("ul", { class: "video-list", "aria-label": "Videos" });
  const empty = h("div", { class: "empty label-drop" },
    h("p", null, "No long video yet. Drop one here, or choose one."),
    h("p", { class: "small" }, "Mark in it when each action happens; each segment becomes a clip."));
  const editor = makeEditor(app, { removed: (id) => remove(id) });
  const head = h("div", { class: "row spread" }, title,
    h("div", { class: "row file-choice" }, choose, chooser));
  fill(root, head, list, empty, editor.element);

  choose.addEventListener("change", () => {
    send([...choose.files]);
    choose.value = "";
  });
  const endDrops = acceptFiles(root, (transfer) => send([...transfer.files]));

  async function send(files) {
    for (const file of files) {
      const key = { name: file.name, share: 0 };
      videos.sending.set(key, key);
      draw();
      const answer = await app.run(() => app.api.upload(
        app.api.withQuery("/api/videos", { name: file.name }), file, (share) => {
          key.share = share;
          draw();
        }));
      videos.sending.delete(key);
      if (answer) show(answer.id);
      draw();
    }
  }

  async function remove(id) {
    const answer = await app.run(() => app.api.post("/api/videos/delete", { id }));
    if (answer) app.toast(`${id} is in the trash; its clips stay.`, { undo: true });
  }

  async function show(id) {
    if (videos.shown === id || !(await editor.leave())) return;
    videos.wanted = id;
    sessionStorage.setItem(KEPT, id);
    draw();
  }

  function row(item) {
    const button = h("button", { class: "video-row", type: "button" },
      h("span", { class: "video-name", dir: "auto" }), h("span", { class: "muted small video-facts" }));
    button.addEventListener("click", () => item.id && show(item.id));
    const bar = h("progress", { max: 1, "aria-label": "Sent" });
    return h("li", null, button, bar);
  }

  function drawRow(child, item) {
    const [button, bar] = child.children;
    say(button.firstChild, item.id ?? item.name);
    say(button.lastChild, item.id ? words(item) : `sending, ${Math.floor(100 * item.share)} %`);
    button.disabled = !item.id;
    button.setAttribute("aria-current", String(item.id !== undefined && item.id === videos.shown));
    bar.hidden = item.id !== undefined && item.playable !== "making";
    if (item.share === null || item.share === undefined) bar.removeAttribute("value");
    else bar.value = item.share;
  }

  function draw() {
    const known = videos.list;
    const isKnown = (id) => known.some((one) => one.id === id);
    if (isKnown(videos.wanted)) [videos.shown, videos.wanted] = [videos.wanted, null];
    else if (!isKnown(videos.shown)) videos.shown = known[0]?.id ?? null;
    const items = [...known, ...[...videos.sending.keys()]];
    list.hidden = !items.length;
    empty.hidden = items.length > 0;
    keyed(list, items, (item) => item.id ?? item, row, drawRow);
    editor.update(known.find((one) => one.id === videos.shown) ?? null);
  }

  return {
    update(state) {
      videos.list = state.videos ?? [];
      draw();
    },
    unmount() {
      endDrops();
      editor.destroy();
    },
  };
}

function words(video) {
  if (video.problem) return "cannot be used";
  const parts = [count(video.segments, "segment")];
  if (video.duration_s !== null) parts.unshift(clock(video.duration_s, 0));
  if (video.playable === "making") parts.push("being made playable");
  return parts.join(" · ");
}
