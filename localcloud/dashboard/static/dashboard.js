// Keeps the part of the page that changes fresh. Without it, everything else works the same.
"use strict";

(() => {
  const SLOW_MS = 1000;
  const said = document.getElementById("said");
  const live = document.getElementById("live");
  if (!live || !said || !live.dataset.refresh) return;

  let troubled = false;
  const tell = (trouble) => {
    troubled = true;
    if (said.textContent !== trouble) said.textContent = trouble;
  };

  // What the server sent last for each section: one that is the same is left alone, and so keeps
  // what a person opened, selected or scrolled in it.
  const sent = new Map();
  const note = (root) => {
    for (const section of root.children) sent.set(section.id, section.outerHTML);
  };
  note(live);

  const opened = (section) =>
    [...section.querySelectorAll("details[open]")].map((details) => details.id);

  // The element in `section` that stands for the focused one of the section it replaces.
  const counterpart = (section, focused) => {
    if (focused.tagName === "A") {
      return [...section.querySelectorAll("a")].find((link) => link.href === focused.href);
    }
    const holder = section.querySelector(`#${CSS.escape(focused.closest("[id]").id)}`);
    return holder?.matches(focused.tagName) ? holder : holder?.querySelector(focused.tagName);
  };

  const replace = (section, next) => {
    const open = opened(section);
    const focused = section.contains(document.activeElement) ? document.activeElement : null;
    section.replaceWith(next);
    for (const id of open) {
      const details = document.getElementById(id);
      if (details) details.open = true;
    }
    if (focused) counterpart(next, focused)?.focus({ preventScroll: true });
  };

  const update = (markup) => {
    const next = new DOMParser().parseFromString(markup, "text/html").getElementById("live");
    if (!next) {
      tell("Not available now; trying again.");
      return;
    }
    const sections = [...next.children];
    const ids = new Set(sections.map((section) => section.id));
    for (const section of [...live.children]) if (!ids.has(section.id)) section.remove();
    for (const section of sections) {
      const markupOfSection = section.outerHTML;
      const present = document.getElementById(section.id);
      if (!present) live.append(section);
      else if (sent.get(section.id) !== markupOfSection) replace(present, section);
      sent.set(section.id, markupOfSection);
    }
    if (troubled || live.dataset.say !== next.dataset.say) said.textContent = next.dataset.say;
    troubled = false;
    live.dataset.say = next.dataset.say;
    if (!next.dataset.refresh) stop();
  };

  // Content that moves by itself must be possible to stop (WCAG 2.2.2).
  const button = document.createElement("button");
  button.type = "button";
  button.className = "pause";
  let paused = false;
  let timer = 0;
  const label = () => (button.textContent = paused ? "Refresh again" : "Pause refreshing");
  button.addEventListener("click", () => {
    paused = !paused;
    label();
    if (!paused) void refresh();
    else clearTimeout(timer);
  });
  label();
  said.before(button);

  const stop = () => {
    clearTimeout(timer);
    delete live.dataset.refresh;
    button.remove();
  };

  const later = () => {
    clearTimeout(timer);
    const every = Number(live.dataset.refresh);
    if (every && !paused) timer = setTimeout(() => void refresh(), every);
  };

  let asking = false;
  const refresh = async () => {
    if (document.hidden || asking) return; // goes on when it is looked at again
    asking = true;
    live.setAttribute("aria-busy", "true");
    const slow = setTimeout(() => tell("Loading …"), SLOW_MS);
    const address = new URL(location.href);
    address.searchParams.set("fragment", "1");
    try {
      const answer = await fetch(address);
      if (answer.status === 404) {
        said.textContent = "What this page showed is gone.";
        stop();
      } else {
        update(await answer.text());
      }
    } catch {
      tell("The dashboard does not answer; trying again.");
    }
    clearTimeout(slow);
    live.removeAttribute("aria-busy");
    asking = false;
    later();
  };

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && live.dataset.refresh && !paused) void refresh();
  });
  later();
})();
