// Turns stored scores into a steady label and into events, anew at each move of a slider.
// Knows no camera, file, page or server.
//
// model = {classes: [C names], background: [names], threshold: number or null, lag_s, smoothing_s,
//   gap_s: seconds, levels: {enter, exit, min_event_s} of the run, thresholds: {name: score} of a
//   model that may show several actions at once, else null}
//   threshold: below this score the answer to a whole clip is unsure. lag_s: an answer given at t describes the
//   instant t - lag_s, the middle of what it rests on. smoothing_s: 0 where scores are smooth
//   already; 0.4 if not given. gap_s: after a longer break all begins anew; 1 if not given.
// settings = {sensitivity: 0 to 1, background: 0 to 1}.
//
// What happens to scores [C], in this order:
// 1. Background. The odds of the background actions are multiplied (by 1 in the middle, by 7.4 and
//    1/7.4 at the ends) and the scores made to sum to 1 again: another prior (Saerens et al. 2002).
// 2. Smoothing. The mean over the last smoothing_s.
// 3. Hysteresis. An event begins where its action is the best and reaches `enter`, and lasts until
//    it falls below `exit`, or another one takes over. Shorter ones than 0.4 s are dropped, shorter
//    breaks bridged. Sensitivity shifts the levels in log-odds.
// 4. Threshold. Below `sure` the label is "not sure: wave or clap". `sure` is the threshold, but at
//    most 0.5: a moment scores lower than a whole clip, and what is more likely than all others
//    together is worth its name (its score stands beside it). Once sure it stays so down to 0.8 of
//    that, and a new label must hold for a moment before it replaces the old one.
//
// With both sliders in the middle the events are those of `action-gru timeline`.

export const MIDDLE = { sensitivity: 0.5, background: 0.5 };
const LEVELS = { enter: 0.4, exit: 0.25, min_event_s: 0.4 };
const SURE_AT_LAST = 0.5;
const STAY_SURE = 0.8;
const SMOOTHING_S = 0.4;
const GAP_S = 1;
const HOLD_S = { action: 0.2, background: 0.2, unsure: 0.4 };
const SENSITIVITY_SPAN = 3; // log-odds from one end of the slider to the other
const BACKGROUND_SPAN = 4;
const RIVAL = 0.5; // the second best is named too from this share of the best

/** A probability, its log-odds moved by `by`. 0.5 by 1 -> 0.73. */
export function shift(level, by) {
  const bounded = Math.min(Math.max(level, 1e-6), 1 - 1e-6);
  return 1 / (1 + Math.exp(-(Math.log(bounded / (1 - bounded)) + by)));
}

/** The levels that scores are compared with: {enter, exit, sure}, each from 0 to 1. */
function levels(settings, model) {
  const by = SENSITIVITY_SPAN * (MIDDLE.sensitivity - settings.sensitivity);
  const usual = { ...LEVELS, ...model.levels };
  const enter = shift(usual.enter, by);
  const sure = Math.min(model.threshold ?? SURE_AT_LAST, SURE_AT_LAST);
  return {
    enter, exit: (usual.exit / usual.enter) * enter, sure: shift(sure, by),
    shortest_s: usual.min_event_s,
  };
}

/** Scores [C] with another prior of the background; they sum to 1. */
export function weigh(scores, model, settings) {
  if (model.thresholds) return scores;
  const factor = Math.exp(BACKGROUND_SPAN * (settings.background - MIDDLE.background));
  const weighed = scores.map((score, at) =>
    model.background.includes(model.classes[at]) ? score * factor : score,
  );
  const sum = weighed.reduce((total, score) => total + score, 0);
  return sum > 0 ? weighed.map((score) => score / sum) : scores;
}

/** The label of an answer in words. */
export function words(answer) {
  if (answer.kind === "waiting") return "watching…";
  if (answer.kind !== "unsure") return answer.label;
  const [first, second] = answer.rivals;
  return second ? `not sure: ${first} or ${second}` : `not sure: perhaps ${first}`;
}

/** The answer where there is none. */
export const WAITING = { kind: "waiting", label: "", rivals: [], score: null };

/**
 * Everything that stored scores say: {answers: [T], events}.
 * times_s [T], scores [T][C] or null where there is none. An answer is {kind: "waiting", "action",
 * "background" or "unsure", label, rivals, score, centre_s}; an event {label, start_s, end_s, score}.
 */
export function readAll(model, settings, times_s, scores, hold = true) {
  const tracker = trackerOf(model, settings, hold);
  const answers = times_s.map((time_s, at) => tracker.push(time_s, scores[at]));
  return { answers, events: tracker.finish() };
}

/** The answer of a file at an instant of its video; null where it has none. */
export function answerAt(answers, time_s, reach_s = GAP_S) {
  let low = 0;
  let high = answers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (answers[middle].centre_s < time_s) low = middle + 1;
    else high = middle;
  }
  const near = [answers[low - 1], answers[low]].filter(Boolean);
  const away = (answer) => Math.abs(answer.centre_s - time_s);
  near.sort((one, other) => away(one) - away(other));
  return near.length && away(near[0]) <= reach_s ? near[0] : null;
}

/** One sample after another to answers and events; the rules of timeline/tracker.py. */
export class Tracker {
  constructor(model, settings, hold = true) {
    this.model = model;
    this.settings = settings;
    this.levels = levels(settings, model);
    this.hold = hold;
    this.events = []; // over for certain, without the background
    this.clear();
  }

  clear() {
    this.recent = []; // [centre_s, scores] of the last SMOOTHING_S
    this.aboveSince = new Map();
    this.best = null; // {at: class, since_s}
    this.open = null; // {at, start_s, end_s, total, count}
    this.pending = null; // ended, but may yet go on
    this.last_s = this.now_s = this.lastEnd_s = -Infinity;
    this.shown = WAITING;
    this.next = null; // {key, since_s}: what may replace the shown answer
    this.isSure = false;
  }

  /** The answer after one more sample; scores null: the model has none there. */
  push(time_s, scores) {
    const centre_s = time_s - this.model.lag_s;
    const isGap = time_s < this.last_s || time_s > this.last_s + (this.model.gap_s ?? GAP_S);
    if (this.last_s > -Infinity && (isGap || !scores)) this.finish();
    if (!scores) return { ...WAITING, centre_s };
    this.last_s = time_s;
    const [instant_s, smooth] = this.smooth(centre_s, weigh(scores, this.model, this.settings));
    this.now_s = Math.max(this.now_s, instant_s);
    this.noteLevels(smooth, this.best ? this.now_s : centre_s - this.model.lag_s);
    this.decide(smooth);
    if (this.pending && (this.isCertain() || !this.continues(this.pending))) this.announce();
    return { ...this.steady(this.answer(smooth), time_s), centre_s };
  }

  /** Close what is open, at the end or before a gap; all events so far. */
  finish() {
    if (this.open) this.close(this.now_s);
    this.announce();
    this.clear();
    return this.events;
  }

  /** The event that is going on, up to now; null while there is none. */
  get current() {
    return this.open && this.isCertain() && !this.isBackground(this.open.at)
      ? this.event(this.open, this.now_s)
      : null;
  }

  isBackground(at) {
    return this.model.background.includes(this.model.classes[at]);
  }

  smooth(centre_s, scores) {
    this.recent.push([centre_s, scores]);
    const since_s = centre_s - (this.model.smoothing_s ?? SMOOTHING_S);
    while (this.recent[0][0] < since_s) this.recent.shift();
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const instant_s = mean(this.recent.map(([instant]) => instant));
    return [instant_s, scores.map((_, at) => mean(this.recent.map(([, row]) => row[at])))];
  }

  noteLevels(smooth, since_s) {
    smooth.forEach((score, at) => {
      if (score < this.levels.exit) this.aboveSince.delete(at);
      else if (!this.aboveSince.has(at)) this.aboveSince.set(at, since_s);
    });
    const at = smooth.indexOf(Math.max(...smooth));
    if (this.best?.at !== at) this.best = { at, since_s };
  }

  decide(smooth) {
    const { at, since_s } = this.best;
    const enters = smooth[at] >= this.levels.enter;
    if (this.open && this.open.at !== at && enters) this.close(since_s);
    else if (this.open && smooth[this.open.at] < this.levels.exit) this.close(this.now_s);
    if (!this.open && enters) {
      const goesOn = this.pending?.at === at && this.continues(this.pending);
      const start_s = this.rise(at);
      this.open = goesOn ? this.pending : { at, start_s, end_s: start_s, total: 0, count: 0 };
      if (goesOn) this.pending = null;
    }
    if (!this.open) return;
    this.open.total += smooth[this.open.at];
    this.open.count += 1;
  }

  close(end_s) {
    const ended = this.open;
    this.open = null;
    if (end_s - ended.start_s < this.levels.shortest_s) return;
    this.announce();
    ended.end_s = this.lastEnd_s = end_s;
    this.pending = ended;
  }

  isCertain() {
    if (!this.open) return false;
    const end_s = this.best.at === this.open.at ? this.now_s : this.best.since_s;
    return end_s - this.open.start_s >= this.levels.shortest_s;
  }

  continues(ended) {
    return this.rise(ended.at) - ended.end_s < this.levels.shortest_s;
  }

  rise(at) {
    return Math.max(this.aboveSince.get(at) ?? this.now_s, this.lastEnd_s);
  }

  announce() {
    if (this.pending && !this.isBackground(this.pending.at))
      this.events.push(this.event(this.pending, this.pending.end_s));
    this.pending = null;
  }

  event({ at, start_s, total, count }, end_s) {
    const score = Math.min(1, total / Math.max(1, count));
    return { label: this.model.classes[at], start_s, end_s: Math.max(end_s, start_s), score };
  }

  /** What the smoothed scores say, before it must hold. */
  answer(smooth) {
    const at = this.open ? this.open.at : this.best.at;
    const score = smooth[at];
    const label = this.model.classes[at];
    if (this.isBackground(at)) return { kind: "background", label, rivals: [], score };
    this.isSure = !!this.open && score >= this.levels.sure * (this.isSure ? STAY_SURE : 1);
    if (this.isSure) return { kind: "action", label, rivals: [], score };
    const order = smooth.map((_, index) => index).sort((one, other) => smooth[other] - smooth[one]);
    const second = order.find((index) => index !== at);
    const isRival = second !== undefined && smooth[second] >= RIVAL * score;
    const rivals = [label, ...(isRival ? [this.model.classes[second]] : [])];
    return { kind: "unsure", label, rivals, score };
  }

  /** The answer that is shown: a new one must hold for a moment first. */
  steady(answer, time_s) {
    const key = words(answer);
    if (key === words(this.shown) || this.shown.kind === "waiting" || !this.hold) {
      this.next = null;
      this.shown = answer;
    } else {
      if (this.next?.key !== key) this.next = { key, since_s: time_s };
      if (time_s - this.next.since_s >= HOLD_S[answer.kind]) {
        this.next = null;
        this.shown = answer;
      }
    }
    return this.shown;
  }
}

const SEVERAL = " + ";
const NOTHING = "nothing";

/** Of a model that may show several actions at once: which ones, now. The server tells the events. */
export class SeveralTracker {
  events = [];
  current = null;
  #recent = [];

  constructor(model) {
    this.model = model;
  }

  push(time_s, scores) {
    const { classes, thresholds, lag_s } = this.model;
    const centre_s = time_s - lag_s;
    if (!scores) return { ...WAITING, centre_s };
    this.#recent.push([time_s, scores]);
    const since_s = time_s - (this.model.smoothing_s ?? SMOOTHING_S);
    this.#recent = this.#recent.filter(([at_s]) => at_s >= since_s && at_s <= time_s);
    const mean = scores.map((_, at) =>
      this.#recent.reduce((sum, [, row]) => sum + row[at], 0) / this.#recent.length);
    const shown = classes.map((_, at) => at)
      .filter((at) => mean[at] >= thresholds[classes[at]] && !this.model.background.includes(classes[at]))
      .sort((one, other) => mean[other] - mean[one]);
    return {
      kind: shown.length ? "action" : "background", rivals: [], centre_s,
      label: shown.map((at) => classes[at]).join(SEVERAL) || NOTHING,
      score: shown.length === 1 ? mean[shown[0]] : null,
    };
  }

  finish() {
    return this.events;
  }
}

/** What turns a model's scores into answers. */
export function trackerOf(model, settings, hold = true) {
  return model.thresholds ? new SeveralTracker(model) : new Tracker(model, settings, hold);
}
