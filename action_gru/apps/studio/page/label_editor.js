// The editor of one video: player, track, actions, proposals, list, and how they act together.

import { h, say, count } from "./dom.js";
import { bindKeys } from "./keys.js";
import { actionBar, fileMenu, selectionBar, suggestBar, zoomBar } from "./label_bars.js";
import { labelKeys } from "./label_keys.js";
import { makeList } from "./label_list.js";
import { makePlayer } from "./label_player.js";
import { makeSaving } from "./label_saving.js";
import { Segments, clock } from "./segments.js";
import { makeTrack } from "./track.js";

/** makeEditor(app, {removed(id)}) -> {element, update(video or null), leave() -> Promise<bool>, destroy()}. */
export function makeEditor(app, on) {
  return new Editor(app, on).api();
}

class Editor {
  constructor(app, on) {
    this.app = app;
    this.on = on;
    this.video = null; // what the state says of the shown one
    this.loaded = null; // whose segments are shown: its id
    this.isReady = false; // they have come, so that they can be edited
    this.selected = null;
    this.ghost = null;
    this.names = [];
    this.segments = new Segments((why) => this.edited(why));
    this.player = makePlayer({
      time: (time_s, isPlaying) => this.timed(time_s, isPlaying),
      ready: (duration_s) => this.track.open(duration_s),
      failed: () => this.refused(),
    });
    this.track = makeTrack({
      seek: (time_s) => this.player.seek(time_s),
      select: (id) => this.select(id),
      ghost: (ghost) => this.choose(ghost),
      accept: (ghost) => this.accept(ghost),
      edge: (id, side, time_s) => this.drag(id, side, time_s),
      dragged: () => this.dragged(),
    }, app.colour);
    this.list = makeList({
      go: (one) => {
        this.select(one.id);
        this.player.seek(one.start_s);
        this.track.reveal(one.start_s);
      },
      change: (one, fields) => this.segments.change(one.id, fields),
      time: (one, side, time_s) => this.setTime(one, side, time_s),
      remove: (one) => this.remove(one.id),
      colour: app.colour,
    });
    this.build();
    this.saving = makeSaving(this.saved, {
      send: (version) => app.api.put(this.path("segments"), { segments: this.segments.document(), version }),
      refused: () => this.offerReload(),
    });
    this.endKeys = bindKeys(labelKeys(this));
  }

  api() {
    return {
      element: this.element,
      update: (video) => this.update(video),
      leave: () => this.leave(),
      destroy: () => this.destroy(),
    };
  }

  build() {
    this.saved = h("span", { class: "label-saved", role: "status", id: "label-saved" });
    this.notice = h("p", { class: "notice warn", role: "status", hidden: true });
    this.cutButton = h("button", { class: "button primary", type: "button", id: "label-cut" });
    this.cutBar = h("progress", { max: 1, "aria-label": "Clips made", hidden: true });
    this.zoom = zoomBar(this.track, this);
    this.actions = actionBar(this);
    this.suggest = suggestBar(this);
    this.chosen = selectionBar(this);
    this.files = fileMenu(this);
    this.count = h("summary", null, "No segments");
    this.rows = h("details", { class: "card label-list" }, this.count, this.list.element);
    this.rows.addEventListener("toggle", () => this.drawList());
    this.cutButton.addEventListener("click", () => this.cut());
    this.element = h("div", { class: "label-work", hidden: true }, this.notice,
      this.player.element, this.suggest.element,
      h("div", { class: "card stack label-edit" },
        h("div", { class: "row spread" }, this.zoom.element, this.saved),
        this.track.element, this.chosen.element, this.actions.element),
      h("div", { class: "row spread" },
        h("div", { class: "label-cut" }, this.cutButton, this.cutBar), this.files.element),
      this.rows);
  }

  path(what, query = {}) {
    return this.app.api.withQuery(`/api/videos/${what}`, { id: this.loaded, ...query });
  }

  // What the state says.

  update(video) {
    const before = this.video;
    this.video = video;
    this.element.hidden = !video;
    const actions = this.app.state.actions ?? [];
    const look = JSON.stringify(actions);
    if (look !== this.look) {
      this.look = look;
      this.names = actions.toSorted((one, other) => one.background - other.background)
        .map((action) => action.name); // the first keys are for what happens
      this.draw();
    }
    if (!video) {
      this.close();
      return;
    }
    if (video.id !== this.loaded) this.load(video);
    else if (this.saving.isClean() && video.version !== before?.version && video.version !== this.saving.version()) this.reload();
    const isPlaying = before?.playable === "unknown" && video.playable === "yes" && this.player.plays();
    if (before?.id !== video.id || (before.playable !== video.playable && !isPlaying)) this.loadVideo(video);
    this.player.frame_s = 1 / (video.fps || 25);
    if (video.duration_s && !this.player.duration_s) this.track.open((this.player.duration_s = video.duration_s));
    this.takeProposals(before, video);
    this.drawFacts();
  }

  close() {
    if (this.loaded === null) return;
    this.loaded = null;
    this.isReady = false;
    this.player.load(null);
    this.segments.load([]);
    this.saving.begin("");
  }

  async load(video) {
    this.loaded = video.id;
    this.isReady = false;
    this.selected = this.ghost = null;
    this.segments.load([]);
    this.saving.begin("");
    this.draw();
    await this.reload();
    if (video.proposals?.state === "ready") await this.fetchProposals();
  }

  async reload() {
    const id = this.loaded;
    const answer = await this.app.run(() => this.app.api.get(this.path("segments")));
    if (!answer || this.loaded !== id) return;
    const { ghosts } = this.segments;
    this.segments.load(answer.segments);
    this.segments.ghosts = ghosts;
    this.saving.begin(answer.version);
    this.isReady = true;
    this.selected = null;
    this.draw();
  }

  loadVideo(video) {
    const { withQuery } = this.app.api; // v: a copy that took the video's place is another file
    const url = withQuery("/api/videos/file", { id: video.id, v: video.duration_s });
    const mayPlay = ["yes", "unknown"].includes(video.playable); // the reader may still warm up
    this.player.load(mayPlay ? url : null, video.duration_s);
    this.track.open(video.duration_s ?? 0);
  }

  drawFacts() {
    const { video } = this;
    const share = typeof video.share === "number" ? ` (${Math.floor(100 * video.share)} %)` : "";
    const making = `No browser plays this kind of video, so a copy is being made to label by${share}.`;
    const text = video.problem ?? (video.playable === "making" ? making : "");
    this.notice.hidden = !text;
    this.notice.className = video.problem ? "notice error" : "notice warn";
    say(this.notice, text);
    const isCutting = video.cut.state === "running";
    this.cutButton.disabled = isCutting || !video.uncut;
    const offer = video.uncut
      ? `Make clips of ${count(video.uncut, "segment")}` : "No segment left to cut";
    say(this.cutButton, isCutting ? "Making clips…" : offer);
    this.cutButton.hidden = !video.segments;
    this.cutBar.hidden = !isCutting;
    if (isCutting) this.cutBar.value = video.cut.share ?? 0;
    this.suggest.draw(video, this.app.state);
  }

  // What is drawn.

  draw() {
    const { list, ghosts, open } = this.segments;
    if (!this.segments.find(this.selected)) this.selected = null;
    if (!ghosts.includes(this.ghost)) this.ghost = null;
    this.track.show({
      list, ghosts, open, selected: this.selected, ghost: this.ghost, frame_s: this.player.frame_s,
    });
    say(this.count, list.length ? `${count(list.length, "segment")} as a list` : "No segments yet");
    this.actions.draw(this.names, open, this.app.colour);
    this.chosen.draw(this.segments.find(this.selected), this.ghost, this.names);
    this.suggest.ghosts(ghosts.length);
    this.zoom.draw(this.segments);
    this.drawList();
  }

  drawList() {
    if (this.rows.open) this.list.show({ list: this.segments.list, names: this.names, selected: this.selected });
  }

  timed(time_s, isPlaying) {
    this.track?.time(time_s, isPlaying);
  }

  edited(why) {
    this.draw();
    if (["add", "change", "remove", "undo"].includes(why)) this.saving.edited();
  }

  // What the user does.

  toggle(label) {
    if (!this.isReady) return;
    const ended = this.segments.toggle(label, this.player.time_s);
    if (ended) this.select(ended.id);
  }

  select(id) {
    this.selected = id;
    this.ghost = null;
    this.draw();
  }

  choose(ghost) {
    this.ghost = ghost;
    this.selected = null;
    this.draw();
  }

  accept(ghost) {
    const made = this.segments.accept(ghost);
    this.select(made.id);
  }

  acceptHere() {
    const ghost = this.ghost ?? this.segments.ghostAt(this.player.time_s);
    if (ghost) this.accept(ghost);
  }

  acceptAll() {
    const accepted = this.segments.acceptAll();
    if (accepted) this.app.toast(`Took over ${count(accepted, "proposal")}; z takes them back.`);
  }

  remove(id) {
    this.segments.remove(id);
  }

  removeChosen() {
    if (this.ghost) this.segments.dismiss(this.ghost);
    else if (this.selected) this.remove(this.selected);
  }

  escape() {
    if (this.segments.open) this.segments.drop();
    else this.select(null);
  }

  drag(id, side, time_s) {
    this.endDrag ??= this.segments.beginDrag();
    const one = this.segments.find(id);
    const edge_s = this.segments.edge(one, side, time_s, this.player.duration_s);
    this.selected = id;
    this.segments.change(id, { [side]: edge_s }, true);
    this.player.seek(edge_s);
  }

  dragged() {
    this.endDrag?.();
    this.endDrag = null;
  }

  /** A time that was typed. -> why it cannot be, or null. */
  setTime(one, side, time_s) {
    const allowed_s = this.segments.edge(one, side, time_s, this.player.duration_s);
    if (Math.abs(allowed_s - time_s) > 0.0005) {
      const rule = side === "start_s" ? "start lies before its end" : "end lies after its start";
      return `A segment's ${rule} and within the video, at ${clock(allowed_s)} at the furthest.`;
    }
    this.segments.change(one.id, { [side]: allowed_s });
    return null;
  }

  async cut() {
    this.cutButton.disabled = true;
    if (!(await this.saving.flush())) return;
    const answer = await this.app.run(() => this.app.api.post(this.path("cut")));
    if (!answer) return;
    const short = answer.short ? ` ${count(answer.short, "segment is", "segments are")} shorter than 0.3 s and left out.` : "";
    const failed = answer.failed.length ? ` ${answer.failed[0]}` : "";
    this.app.toast(`Made ${count(answer.clips, "clip")}.${short}${failed}`, { level: failed ? "error" : "info" });
  }

  async propose() {
    const answer = await this.app.run(() => this.app.api.post(this.path("propose")));
    if (answer) this.segments.propose([]);
  }

  takeProposals(before, video) {
    const isNew = before?.id === video.id && before?.proposals?.state === "reading";
    if (isNew && video.proposals.state === "ready") this.fetchProposals();
    if (isNew && video.proposals.state === "failed") this.app.toast(video.proposals.error, { level: "error" });
  }

  async fetchProposals() {
    const id = this.loaded;
    const answer = await this.app.run(() => this.app.api.get(this.path("proposals")));
    if (!answer || this.loaded !== id) return;
    this.segments.propose(answer.segments);
    this.suggest.arrived(this.segments.ghosts.length);
  }

  async import(file) {
    if (!this.isReady) return;
    const answer = await this.app.run(() => this.app.api.upload(this.path("import", { name: file.name }), file));
    if (!answer) return;
    const added = this.segments.addAll(answer.segments);
    const notes = answer.notes.length ? ` ${count(answer.notes.length, "note")}: ${answer.notes[0]}` : "";
    this.app.toast(`Read ${count(added, "segment")} from ${file.name}; z takes them back.${notes}`);
  }

  async refused() {
    if (this.video?.playable !== "yes") return;
    await this.app.run(() => this.app.api.post(this.path("copy")));
  }

  offerReload() {
    this.files.offerReload(() => this.reload());
  }

  async leave() {
    if (this.loaded === null || await this.saving.flush()) return true;
    this.app.toast("The segments of this video are not saved yet, so it stays open.", { level: "error" });
    return false;
  }

  destroy() {
    this.saving.flush();
    this.saving.destroy();
    this.endKeys();
    this.player.destroy();
    this.track.destroy();
  }
}
