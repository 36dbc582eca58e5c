// Makes the pages live: pan and zoom, numbers on pointing, search as you type, the time slider, news from the bot.
// Without it they are complete: everything here was written by the server, and every state has an address of its own.

const CALM_MS = 15000; // between two looks while only numbers move
const SOON_MS = 800; // after an incident changed
const RETRY_MS = 30000;
const REST_MS = 60; // how long the pointer rests on a link before it is asked for
const AHEAD_MS = 3000;
const STEP_MS = 900; // of the time slider's play

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => Array.from(root.querySelectorAll(selector));
const folds = (part) => [part, ...$$("details", part)].filter((node) => node.matches("details[data-keep]"));
const main = $("#main");

function say(text) {
  $("#said").textContent = text;
}

// -- taking in another version of the page ----------------------------------------------------------------------------

const parts = (root) => new Map($$("[data-part]", root).map((node) => [node.dataset.part, node]));

// Where the reader is inside a part, so that he can be put back there.
function place(part) {
  const at = document.activeElement;
  const kept = folds(part).map((node) => [node.dataset.keep, node.open]);
  const scrolled = $$(".scroll, .view", part).map((node) => [node.scrollLeft, node.scrollTop]);
  const graph = $("svg.graph", part);
  const looking = graph?.dataset.moved ? graph.getAttribute("viewBox") : null;
  return { focus: part.contains(at) ? clue(at, part) : null, kept, scrolled, looking, whole: graph?.dataset.whole };
}

function clue(node, part) {
  if (node.id) return ["#" + CSS.escape(node.id), 0];
  for (const [name, value] of [["data-key", node.dataset?.key], ["href", node.getAttribute("href")], ["name", node.getAttribute("name")]]) {
    if (!value) continue;
    const selector = `[${name}="${CSS.escape(value)}"]`;
    return [selector, $$(selector, part).indexOf(node)];
  }
  const fold = node.closest("details[data-keep]");
  if (node.tagName === "SUMMARY" && fold) return [`details[data-keep="${CSS.escape(fold.dataset.keep)}"] > summary`, 0];
  return [node.tagName.toLowerCase(), $$(node.tagName, part).indexOf(node)];
}

function put(part, was) {
  const open = new Map(was.kept);
  for (const node of folds(part)) if (open.has(node.dataset.keep)) node.open = open.get(node.dataset.keep);
  $$(".scroll, .view", part).forEach((node, index) => {
    if (was.scrolled[index]) [node.scrollLeft, node.scrollTop] = was.scrolled[index];
  });
  const graph = $("svg.graph", part);
  if (graph && was.looking) {
    // The picture may have another size by now: the same part of it is looked at.
    graph.dataset.whole = graph.getAttribute("viewBox");
    const [x, y, width, height] = was.looking.split(/\s+/).map(Number);
    const [old, young] = [was.whole, graph.dataset.whole].map((text) => text.split(/\s+/).map(Number));
    const [right, down] = [young[2] / old[2], young[3] / old[3]];
    look(graph, [young[0] + (x - old[0]) * right, young[1] + (y - old[1]) * down, width * right, height * down]);
  }
  if (was.focus) $$(was.focus[0], part)[was.focus[1]]?.focus({ preventScroll: true });
}

// What the reader looks at: what has the focus, else the first thing in sight; found again by its name when it is another node.
function sight() {
  const seen = (node) => {
    const area = node.getBoundingClientRect();
    return area.height > 0 && area.top >= 0 && area.top < innerHeight;
  };
  const at = document.activeElement;
  const node = main.contains(at) && at !== main && seen(at) ? at : $$("[data-part], details[data-keep] > summary, tr[id]", main).find(seen);
  if (!node || scrollY === 0) return () => {};
  const [selector, index] = node.dataset.part ? [`[data-part="${CSS.escape(node.dataset.part)}"]`, 0] : clue(node, main);
  const top = node.getBoundingClientRect().top;
  return () => {
    const same = $$(selector, main)[index];
    if (same) scrollBy(0, same.getBoundingClientRect().top - top);
  };
}

function take(text, options) {
  const back = sight();
  swap(text, options);
  back();
}

function swap(text, { hold = false } = {}) {
  const next = new DOMParser().parseFromString(text, "text/html");
  const fresh = $("#main", next);
  if (!fresh) return;
  document.title = next.title;
  const [old, young] = [parts(main), parts(fresh)];
  const same = old.size > 0 && old.size === young.size && [...young.keys()].every((name) => old.has(name));
  if (!same) {
    const was = place(main);
    main.replaceChildren(...fresh.childNodes);
    put(main, was);
  } else {
    for (const [name, part] of young) {
      const before = old.get(name);
      if ((hold && name === "time") || before.sent === part.outerHTML || before.outerHTML === part.outerHTML) continue;
      const was = place(before);
      part.sent = part.outerHTML;
      before.replaceWith(part);
      put(part, was);
    }
    if (hold) $("[data-says]", main).replaceChildren(...$("[data-says]", young.get("time")).childNodes);
  }
  equip();
}

let going = 0;
let asking = null;
let ahead = null; // {url, at, text}: asked for while the pointer rests on a link

async function fetched(url, signal) {
  const answer = await fetch(url, { signal, headers: { Accept: "text/html" } });
  const text = await answer.text();
  if (!answer.ok && !text.includes('id="main"')) throw new Error(`HTTP ${answer.status}`);
  return text;
}

// Shows another address without leaving the page. The last one asked for wins.
async function visit(url, { push = true, hold = false, scroll = false } = {}) {
  const mine = ++going;
  asking?.abort();
  asking = new AbortController();
  try {
    const early = ahead?.url === url && Date.now() - ahead.at < AHEAD_MS ? ahead.text : null;
    const text = (await early) ?? (await fetched(url, asking.signal));
    if (mine !== going) return;
    if (push) history.pushState(null, "", url);
    take(text, { hold });
    if (scroll) scrollTo(0, 0);
  } catch (error) {
    if (error.name !== "AbortError") connection("The bot does not answer. Trying again…");
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-stay]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  visit(link.href).then(() => say(`${document.title}`));
});
let resting = null;
document.addEventListener("pointerover", (event) => {
  clearTimeout(resting);
  const link = event.target.closest?.("a[data-stay]");
  if (!link || link.hasAttribute("aria-current")) return;
  resting = setTimeout(() => {
    const url = link.href;
    ahead = { url, at: Date.now(), text: fetched(url).catch(() => null) };
  }, REST_MS);
});
addEventListener("popstate", () => visit(location.href, { push: false }));

// -- the figure -------------------------------------------------------------------------------------------------------

const box = (svg) => svg.getAttribute("viewBox").split(/\s+/).map(Number);

function look(svg, [x, y, width]) {
  const [wholeX, wholeY, wholeWidth, wholeHeight] = svg.dataset.whole.split(/\s+/).map(Number);
  const scale = Math.min(1, Math.max(0.08, width / wholeWidth));
  const [w, h] = [wholeWidth * scale, wholeHeight * scale];
  const within = (value, least, most) => Math.min(Math.max(value, least), Math.max(least, most));
  const next = [within(x, wholeX, wholeX + wholeWidth - w), within(y, wholeY, wholeY + wholeHeight - h), w, h];
  svg.setAttribute("viewBox", next.map((value) => value.toFixed(2)).join(" "));
  if (scale < 1) svg.dataset.moved = "true";
  else {
    delete svg.dataset.moved;
    svg.setAttribute("viewBox", svg.dataset.whole);
  }
}

function zoom(svg, factor, at) {
  const [x, y, width, height] = box(svg);
  const to = at
    ? new DOMPoint(at.clientX, at.clientY).matrixTransform(svg.getScreenCTM().inverse())
    : new DOMPoint(x + width / 2, y + height / 2);
  look(svg, [to.x - (to.x - x) * factor, to.y - (to.y - y) * factor, width * factor, height * factor]);
}

function pan(svg, right, down) {
  const [x, y, width, height] = box(svg);
  const scale = svg.getScreenCTM().a;
  look(svg, [x + right / scale, y + down / scale, width, height]);
}

const KEYS = { ArrowLeft: [-40, 0], ArrowRight: [40, 0], ArrowUp: [0, -40], ArrowDown: [0, 40] };

function equipFigure(stage) {
  const [view, svg, about] = [$("[data-view]", stage), $("svg.graph", stage), $("[data-about]", stage)];
  if (!svg || stage.equipped) return;
  stage.equipped = true;
  svg.dataset.whole ||= svg.getAttribute("viewBox");
  $("[data-tools]", stage).hidden = false;
  for (const button of $$("[data-zoom]", stage)) {
    button.addEventListener("click", () => {
      if (button.dataset.zoom === "fit") look(svg, svg.dataset.whole.split(/\s+/).map(Number));
      else zoom(svg, button.dataset.zoom === "in" ? 0.75 : 1 / 0.75);
    });
  }
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls, as everywhere
    event.preventDefault();
    zoom(svg, Math.exp(event.deltaY / 400), event);
  }, { passive: false });
  view.addEventListener("keydown", (event) => {
    if (event.target !== view) return;
    if (KEYS[event.key] && svg.dataset.moved) pan(svg, ...KEYS[event.key]);
    else if (event.key === "+" || event.key === "=") zoom(svg, 0.75);
    else if (event.key === "-") zoom(svg, 1 / 0.75);
    else if (event.key === "0") look(svg, svg.dataset.whole.split(/\s+/).map(Number));
    else return;
    event.preventDefault();
  });
  drag(view, svg);
  for (const link of $$("a[data-key]", svg)) {
    const tell = () => describe(link, about);
    const hush = () => (about.hidden = true);
    link.addEventListener("pointerenter", tell);
    link.addEventListener("pointerleave", hush);
    link.addEventListener("focus", tell);
    link.addEventListener("blur", hush);
  }
  stage.addEventListener("keydown", (event) => {
    if (event.key === "Escape") about.hidden = true;
  });
  const asked = $("a.asked", svg); // on a phone the picture is wider than the screen
  if (asked && view.scrollWidth > view.clientWidth && !view.scrollLeft) {
    const [mine, its] = [view.getBoundingClientRect(), asked.getBoundingClientRect()];
    view.scrollLeft = its.left - mine.left - (mine.width - its.width) / 2;
  }
}

function drag(view, svg) {
  const fingers = new Map();
  let moved = false;
  view.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    fingers.set(event.pointerId, event);
    moved = false;
  });
  view.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    if (fingers.size === 2) {
      const [other] = [...fingers.values()].filter((one) => one.pointerId !== event.pointerId);
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      if (apart(event) > 0) zoom(svg, apart(before) / apart(event), event);
      moved = true;
    } else if (svg.dataset.moved && event.pointerType !== "touch") {
      if (Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY) < 4 && !moved) return;
      pan(svg, before.clientX - event.clientX, before.clientY - event.clientY);
      view.classList.add("moving");
      moved = true;
    }
    fingers.set(event.pointerId, event);
  });
  const up = (event) => {
    fingers.delete(event.pointerId);
    view.classList.remove("moving");
  };
  for (const kind of ["pointerup", "pointercancel", "pointerleave"]) view.addEventListener(kind, up);
  view.addEventListener("click", (event) => {
    if (moved) event.preventDefault();
    moved = false;
  }, true);
  view.addEventListener("dragstart", (event) => event.preventDefault());
}

// What a table says of a node or a call, beside it.
function describe(link, about) {
  const row = document.getElementById(link.dataset.key);
  if (!row) return;
  const heads = $$("thead th", row.closest("table")).map((cell) => cell.textContent);
  const name = document.createElement("p");
  name.className = "about-name";
  name.append(...Array.from(row.cells[0].cloneNode(true).childNodes));
  const lines = Array.from(row.cells).slice(1).flatMap((cell, index) => {
    const list = $("ul", cell);
    if (list) return [list.cloneNode(true)];
    if (["", "–"].includes(cell.textContent.trim())) return [];
    const line = document.createElement("p");
    line.append(`${heads[index + 1]}: ${cell.textContent.trim()}`);
    return [line];
  });
  about.replaceChildren(name, ...lines);
  for (const inner of $$("a", about)) inner.replaceWith(...inner.childNodes);
  // Below the picture where there is room on the screen, else on the side that is not pointed at.
  const [stage, at] = [about.closest("[data-stage]").getBoundingClientRect(), link.getBoundingClientRect()];
  about.classList.toggle("below", innerHeight - stage.bottom > 150);
  about.classList.toggle("right", at.left + at.width / 2 < stage.left + stage.width / 2);
  about.hidden = false;
}

// -- time -------------------------------------------------------------------------------------------------------------

let playing = null;

function stop() {
  clearTimeout(playing);
  playing = null;
  const button = $("[data-play]");
  if (button) {
    button.textContent = "▶";
    button.setAttribute("aria-label", "Play the last hours");
  }
}

function equipTime(form) {
  if (form.equipped) return;
  form.equipped = true;
  const [range, play] = [$("[data-range]", form), $("[data-play]", form)];
  $("[data-slide]", form).hidden = false;
  const address = () => {
    const url = new URL(location.href);
    const moment = Number(form.dataset.newest) + Number(form.dataset.step) * Number(range.value);
    if (Number(range.value) === 0) url.searchParams.delete("at");
    else url.searchParams.set("at", new Date(moment * 1000).toISOString().replace(".000Z", "Z"));
    return url.href;
  };
  const told = () => range.setAttribute("aria-valuetext", Number(range.value) ? `${(-range.value * form.dataset.step) / 60} minutes ago` : "now");
  let waiting = null;
  told();
  range.addEventListener("input", () => {
    told();
    clearTimeout(waiting);
    waiting = setTimeout(() => visit(address(), { hold: true }), 120);
  });
  const step = async () => {
    if (Number(range.value) >= 0) return stop();
    range.value = Number(range.value) + 1;
    told();
    await visit(address(), { hold: true });
    if (playing !== null) playing = setTimeout(step, STEP_MS);
  };
  play.addEventListener("click", () => {
    if (playing !== null) return stop();
    if (Number(range.value) >= 0) range.value = -12;
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Pause");
    playing = setTimeout(step, 0);
  });
}

// -- finding a service --------------------------------------------------------------------------------------------------

const query = $("#q");
const found = $("#found");
let typing = null;

async function suggest() {
  const text = query.value.trim();
  if (!text) return (found.hidden = true);
  const answer = await fetch(`/search?list=true&q=${encodeURIComponent(text)}`);
  if (query.value.trim() !== text) return;
  const list = answer.ok && $("#results", new DOMParser().parseFromString(await answer.text(), "text/html"));
  if (!list) return (found.hidden = true);
  list.removeAttribute("id");
  found.replaceChildren(list);
  found.hidden = !list.children.length;
  say(list.children.length ? `${list.children.length} services found; the arrow keys lead to them, Enter goes to the first` : "No service is called so");
}

query.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => suggest().catch(() => (found.hidden = true)), 50);
});
$(".search").addEventListener("keydown", (event) => {
  const links = $$("a", found);
  const at = links.indexOf(document.activeElement);
  if (event.key === "Escape") {
    found.hidden = true;
    query.focus();
  } else if (event.key === "ArrowDown" && !found.hidden) {
    event.preventDefault();
    links[Math.min(at + 1, links.length - 1)]?.focus();
  } else if (event.key === "ArrowUp" && at >= 0) {
    event.preventDefault();
    (links[at - 1] || query).focus();
  }
});
document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest(".search")) found.hidden = true;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
  event.preventDefault();
  query.focus();
});

// -- news ---------------------------------------------------------------------------------------------------------------

let stream = null;
let due = null;
let looked = Date.now();

function connection(text) {
  $("#connection").textContent = text;
}

const live = () => $("[data-live=live]", main) !== null;

// Nobody loses what he is typing, what he has marked, or where the slider is.
function busy() {
  const at = document.activeElement;
  const written = at?.matches?.("input:not([type=range]), textarea") && main.contains(at) && at.value !== at.defaultValue;
  return written || playing !== null || (!getSelection().isCollapsed && main.contains(getSelection().anchorNode));
}

function lookSoon(wait) {
  const at = Date.now() + wait;
  if (due && due.at <= at) return;
  if (due) clearTimeout(due.timer);
  due = { at, timer: setTimeout(lookAgain, wait) };
}

async function lookAgain() {
  due = null;
  if (document.hidden || !live()) return;
  if (busy()) return lookSoon(CALM_MS);
  looked = Date.now();
  await visit(location.href, { push: false });
}

function listen() {
  if (stream || document.hidden || !live()) return;
  stream = new EventSource("/api/v1/stream?brief=true");
  const open = stream;
  stream.addEventListener("hello", () => connection("Live"));
  stream.addEventListener("edges", () => lookSoon(Math.max(SOON_MS, looked + CALM_MS * (1 + Math.random() / 3) - Date.now())));
  stream.addEventListener("reset", () => lookSoon(SOON_MS));
  stream.addEventListener("incident", (event) => {
    const { id, state, title } = JSON.parse(event.data);
    say(`Incident ${id}, ${state}: ${title}`);
    lookSoon(SOON_MS * (1 + Math.random()));
  });
  stream.addEventListener("error", () => {
    connection("Not live: trying again…");
    if (open.readyState === EventSource.CLOSED) {
      stream = null;
      setTimeout(listen, RETRY_MS * (1 + Math.random() / 3));
    }
  });
}

function deaf() {
  stream?.close();
  stream = null;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return deaf();
  listen();
  if (live() && Date.now() - looked > CALM_MS) lookSoon(0);
});
addEventListener("pagehide", deaf);

// -- the rest -------------------------------------------------------------------------------------------------------------

function equip() {
  for (const stage of $$("[data-stage]", main)) equipFigure(stage);
  for (const form of $$("[data-slider]", main)) equipTime(form);
  for (const button of $$("[data-copy]", main)) {
    button.hidden = false;
    button.onclick = async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
      say("Copied");
      button.textContent = "Copied";
    };
  }
  for (const area of $$("[data-drop]", main)) {
    area.ondragover = (event) => event.preventDefault();
    area.ondrop = (event) => {
      event.preventDefault();
      const input = $("input[type=file]", area);
      input.files = event.dataTransfer.files;
      if (input.files.length) area.requestSubmit();
    };
  }
  if (live()) listen();
  else {
    deaf();
    connection("");
  }
}

equip();
