// Files and folders that the user drops or picks: which action each belongs to.
// A folder's name is the action of the files that lie in it.

const ENDINGS = /\.(mp4|m4v|mov|webm|mkv|avi|mpe?g|wmv|3gp|ogv|ts|mts|gif)$/i;

function isVideo(file) {
  return file.type.startsWith("video/") || ENDINGS.test(file.name);
}

function inFolder(path) {
  const parts = path.split("/").filter(Boolean);
  return parts.length > 1 ? parts.at(-2).normalize("NFC") : null;
}

function readEntries(reader) {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, folder: inFolder(entry.fullPath) });
    return;
  }
  const reader = entry.createReader();
  let batch = await readEntries(reader); // a browser gives at most a hundred at once
  while (batch.length) {
    for (const child of batch) await walk(child, found);
    batch = await readEntries(reader);
  }
}

/** -> {videos: [{file, folder: name or null}], others: how many files are no videos}. */
function sortOut(found) {
  const seen = found.filter(({ file }) => !file.name.startsWith("."));
  const videos = seen.filter(({ file }) => isVideo(file));
  return { videos, others: seen.length - videos.length };
}

/** What was dropped, folders walked through. */
export async function readDrop(transfer) {
  // The list of items is empty after the first wait, so entries are taken out before it.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  if (!entries.length) for (const file of transfer.files) found.push({ file, folder: null });
  for (const entry of entries) await walk(entry, found);
  return sortOut(found);
}

/** What was picked with a button. */
export function readPicked(files) {
  return sortOut([...files].map((file) => (
    { file, folder: file.webkitRelativePath ? inFolder(file.webkitRelativePath) : null }
  )));
}

/** Calls `onDrop(transfer)` for files dropped on `area`, which is marked while they hover over it.
 * -> a function that ends this. */
export function acceptFiles(area, onDrop) {
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  const ending = new AbortController();
  let leaving = 0;
  const on = (names, run) => {
    for (const name of names) area.addEventListener(name, run, { signal: ending.signal });
  };
  on(["dragenter", "dragover"], (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    clearTimeout(leaving);
    area.classList.add("dropping");
  });
  on(["dragleave"], () => {
    clearTimeout(leaving);
    leaving = setTimeout(() => area.classList.remove("dropping"), 80); // it may enter a child
  });
  on(["drop"], (event) => {
    area.classList.remove("dropping");
    if (!carriesFiles(event)) return;
    event.preventDefault();
    onDrop(event.dataTransfer);
  });
  return () => {
    area.classList.remove("dropping");
    ending.abort();
  };
}
