// What the state tells of clips.

/** {"wave": 12}: how many clips each action has. */
export function clipCounts(state) {
  const counts = Object.create(null); // an action may be called "constructor"
  for (const clip of state.clips ?? []) counts[clip.action] = (counts[clip.action] ?? 0) + 1;
  return counts;
}

/** "wave/20261129-101500-3.webm" -> "20261129-101500-3.webm". */
export function fileName(id) {
  return id.slice(id.lastIndexOf("/") + 1);
}
