"use strict";

// Keeps the preview page current. Without it the page is complete, and a reload brings it up to date.
(() => {
  const PERIOD_MS = 2000;
  const SLOWEST_MS = 30000;
  const connection = document.getElementById("connection");
  let shown = document.getElementById("preview").innerHTML;
  let etag = "";
  let pause = PERIOD_MS;

  const keyed = (root) => Array.from(root.querySelectorAll("details[data-key]"), (node) => [node.dataset.key, node]);

  const focusable = (root) => Array.from(root.querySelectorAll("a, summary, select"));
  const byKey = (root, key) => root.querySelector(`[data-key="${CSS.escape(key)}"]`);

  function articleInView() {
    const articles = Array.from(document.querySelectorAll("article[data-key]"));
    return articles.find((article) => article.getBoundingClientRect().bottom > 0);
  }

  // Puts the new list in place; what the reader had opened, focused and scrolled to stays as it was.
  function swap(next) {
    const before = document.getElementById("preview");
    const page = document.scrollingElement;
    const atBottom = page.scrollTop > 0 && page.scrollTop + page.clientHeight >= page.scrollHeight - 40;
    const anchor = articleInView();
    const top = anchor ? anchor.getBoundingClientRect().top : 0;
    const focused = document.activeElement;
    const home = focused.closest("#preview [data-key]");
    const place = home ? focusable(home).indexOf(focused) : -1;
    const open = new Map(keyed(before).map(([key, node]) => [key, node.open]));

    before.replaceWith(next);
    for (const [key, node] of keyed(next)) {
      if (open.has(key)) node.open = open.get(key);
    }
    const newHome = home && byKey(next, home.dataset.key);
    if (newHome && place >= 0) focusable(newHome)[place]?.focus({ preventScroll: true });
    const same = anchor && byKey(next, anchor.dataset.key);
    if (atBottom) page.scrollTop = page.scrollHeight;
    else if (same) page.scrollTop += same.getBoundingClientRect().top - top;
  }

  async function look() {
    const headers = etag ? { "If-None-Match": etag } : {};
    const answer = await fetch(location.pathname + location.search, { headers, cache: "no-store" });
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("preview");
    if (!next) throw new Error("not the preview page");
    etag = answer.headers.get("ETag") || "";
    if (next.innerHTML === shown) return;
    shown = next.innerHTML;
    swap(document.adoptNode(next));
  }

  async function poll() {
    try {
      if (!document.hidden) await look();
      pause = PERIOD_MS;
      connection.textContent = "";
    } catch {
      pause = Math.min(pause * 2, SLOWEST_MS);
      connection.textContent = "The bot does not answer. Trying again…";
    }
    setTimeout(poll, pause);
  }

  setTimeout(poll, PERIOD_MS);
})();
