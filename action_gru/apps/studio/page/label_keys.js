// The keys of the label step, for bindKeys. `editor` does what they ask for.

const SECOND_S = 1;

export function labelKeys(editor) {
  const { player, track, segments } = editor;
  const step = (event, by) => (
    event.shiftKey ? player.seek(player.time_s + by * SECOND_S) : player.step(by)
  );
  const travel = (event) => (event.shiftKey ? segments.redo() : segments.undo());
  const digits = [...Array(9).keys()].map((index) => ({
    key: String(index + 1), run: () => editor.names[index] && editor.toggle(editor.names[index]),
    ...(index === 0 ? { shown: "1 to 9", text: "Begin, then end a segment of that action" } : {}),
  }));
  return [
    ...digits,
    { key: " ", shown: "Space", text: "Play or pause", run: () => player.toggle() },
    {
      key: "ArrowLeft", shown: "← →", text: "One picture back or on; with Shift one second",
      run: (event) => step(event, -1),
    },
    { key: "ArrowRight", run: (event) => step(event, 1) },
    { key: "Enter", text: "Accept the proposal at this time", run: () => editor.acceptHere() },
    { key: "a", text: "Accept all proposals", run: () => editor.acceptAll() },
    { key: "Delete", text: "Remove the chosen segment, or proposal", run: () => editor.removeChosen() },
    { key: "Backspace", run: () => editor.removeChosen() },
    { key: "Escape", text: "Drop the segment that was begun", run: () => editor.escape() },
    { key: "z", text: "Undo an edit; with Shift do it again", run: travel },
    { key: "Ctrl+z", run: travel },
    { key: "+", shown: "+ −", text: "Zoom in or out", run: () => track.zoom(2) },
    { key: "=", run: () => track.zoom(2) },
    { key: "-", run: () => track.zoom(0.5) },
    { key: "0", text: "Show the whole video", run: () => track.fit() },
  ].map((binding) => ({ ...binding, run: (event) => editor.isReady && binding.run(event) }));
}
