// Sending a folder, an archive or loose files: in batches, each a job of its own.
import { address, send } from "./api.js";
import { bytes, button, h, number, problem, put } from "./dom.js";
import { ingest } from "./jobs.js";

const BATCH_FILES = 500;
const BATCH_BYTES = 64 * 2 ** 20;
const ARCHIVE = /\.(zip|tar|tar\.gz|tgz|tar\.bz2|tar\.xz)$/i;
const LITTER = /(^|\/)(\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*)$/;

// {file, path} of everything that was dropped, folders walked. The items die with the event, so
// the entries are taken first.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return chosen(transfer.files);
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

export function chosen(files) {
  return [...files].map((file) => ({ file, path: file.webkitRelativePath || file.name })).filter(wanted);
}

const wanted = ({ path }) => !LITTER.test(path);

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    const one = { file, path: entry.fullPath.replace(/^\//, "") };
    if (wanted(one)) found.push(one);
    return;
  }
  const reader = entry.createReader();
  for (;;) { // a call gives a hundred at most
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return;
    for (const inner of part) await walk(inner, found);
  }
}

export function batches(files) {
  const made = files.filter(({ path }) => ARCHIVE.test(path)).map((one) => [one]);
  let batch = [], size = 0;
  for (const one of files.filter(({ path }) => !ARCHIVE.test(path))) {
    if (batch.length >= BATCH_FILES || (batch.length && size + one.file.size > BATCH_BYTES)) {
      made.push(batch);
      batch = [];
      size = 0;
    }
    batch.push(one);
    size += one.file.size;
  }
  if (batch.length) made.push(batch);
  return made;
}

// Uploads go on while other screens are looked at, and are shown again with their library.
export const CHANGED = "library-changed"; // on the window, detail: the library's name
const shown = new Map(); // library → its uploads' elements, newest first
const places = new Map(); // library → where they are shown
const unending = new AbortController().signal;
let underWay = 0;

addEventListener("beforeunload", (event) => underWay && event.preventDefault());

export function showIn(place, library) {
  places.set(library, place);
  place.prepend(...(shown.get(library) ?? []));
}

export async function upload(files, { library, labels }) {
  if (!files.length) throw { title: "Nothing to send", detail: "There is no file in what was given." };
  const element = h("div", { class: "upload" });
  shown.set(library, [element, ...(shown.get(library) ?? [])]);
  places.get(library).prepend(element);
  underWay += 1;
  try {
    await sendAll(element, files, { library, labels });
  } finally {
    underWay -= 1;
  }
}

async function sendAll(element, files, { library, labels }) {
  const parts = batches(files);
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  const bar = h("progress", { max: total || 1, value: 0, "aria-label": "Sending" });
  const said = h("small", {});
  const jobs = h("div", {});
  let sending = null, stopped = false, sent = 0;
  const stop = button("Stop sending", () => { stopped = true; sending?.stop(); }, "quiet");
  put(element, h("div", { class: "stack" }, h("div", { class: "job-top" }, said, stop), bar), jobs);
  const tell = (now) => {
    bar.value = now;
    said.textContent = `Sending ${number(files.length)} ${files.length === 1 ? "file" : "files"}: ${bytes(now)} of ${bytes(total)}`;
  };
  const onend = () => dispatchEvent(new CustomEvent(CHANGED, { detail: library }));
  tell(0);
  for (const [i, part] of parts.entries()) {
    if (stopped) break;
    const size = part.reduce((sum, { file }) => sum + file.size, 0);
    sending = send(address("/index/batch", { library, labels }), bodyOf(part), (now) => tell(sent + Math.min(now, size)));
    try {
      const job = await sending.answered;
      jobs.append(ingest(job, { left: unending, title: titleOf(part, i, parts.length), onend, again: { now: (items) => again(part, items) } }));
    } catch (error) {
      if (error.name === "AbortError") break;
      const rest = parts.slice(i).flat();
      jobs.append(problem(error), button("Send the rest again", () => upload(rest, { library, labels })));
      break;
    }
    sent += size;
    tell(sent);
  }
  stop.remove();
  bar.remove();
  said.textContent = `${bytes(sent)} of ${bytes(total)} sent`;

  // An archive goes again as a whole: what is there already counts as a duplicate.
  function again(part, items) {
    upload(isArchive(part) ? part : items.map((item) => part[item.number]), { library, labels });
  }
}

function titleOf(part, i, parts) {
  if (part.length === 1) return part[0].path;
  return `${number(part.length)} files${parts > 1 ? `, part ${i + 1} of ${parts}` : ""}`;
}

const isArchive = (part) => part.length === 1 && ARCHIVE.test(part[0].path);

function bodyOf(part) {
  if (isArchive(part)) return part[0].file;
  const form = new FormData();
  for (const { file, path } of part) form.append("files", file, path);
  return form;
}
