// Which screen is shown: the part of the address after #/.
import { showSignOut } from "./api.js";
import { h, problem, put } from "./dom.js";
import * as libraries from "./libraries.js";
import * as models from "./models.js";
import * as operations from "./operations.js";
import * as search from "./search.js";
import * as train from "./train.js";

const SCREENS = { search, libraries, train, models, operations };
const main = document.getElementById("main");
let leave = null;

async function show() {
  if (location.hash && !location.hash.startsWith("#/")) return; // a place in the page
  const [name, query] = location.hash.slice(2).split("?");
  const chosen = Object.hasOwn(SCREENS, name) ? name : "search";
  for (const link of document.querySelectorAll(".top nav a")) {
    if (link.hash === `#/${chosen}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  leave?.abort();
  const here = leave = new AbortController();
  document.title = `${SCREENS[chosen].TITLE} · Kinsight`;
  const screen = document.createElement("div");
  screen.className = `screen ${chosen}`;
  put(main, screen);
  try {
    await SCREENS[chosen].render(screen, new URLSearchParams(query), here.signal);
  } catch (error) {
    if (here.signal.aborted) return;
    if (!screen.querySelector("h1")) screen.prepend(h("h1", {}, SCREENS[chosen].TITLE));
    screen.append(problem(error));
  }
}

addEventListener("hashchange", () => {
  show();
  main.focus({ preventScroll: true });
});
// What is dropped beside a drop zone must not replace the page.
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => event.preventDefault());
showSignOut();
show();
