// Keeps the part of the page that changes fresh. Without it, everything else works the same.
"use strict";

(() => {
  const said = document.getElementById("said");
  const live = document.getElementById("live");
  if (!live || !said || !live.dataset.refresh) return;

  const address = new URL(location.href);
  address.searchParams.set("fragment", "1");
  const newest = (root) => Number(root.querySelector("[data-newest]")?.dataset.newest ?? 0);
  let last = live.innerHTML;
  let timer = 0;

  const show = (markup) => {
    const next = new DOMParser().parseFromString(markup, "text/html").body;
    if (next.innerHTML === last) return;
    last = next.innerHTML;
    const before = newest(live);
    const focused = live.contains(document.activeElement) ? document.activeElement.href : null;
    live.replaceChildren(...next.childNodes);
    if (focused) {
      [...live.querySelectorAll("a")].find((link) => link.href === focused)?.focus();
    }
    if (newest(live) > before) said.textContent = "There are new messages.";
  };

  const refresh = async () => {
    clearTimeout(timer);
    if (document.hidden) return; // goes on when it is looked at again
    try {
      const answer = await fetch(address);
      if (answer.ok) show(await answer.text());
      if (!troubled(answer.ok)) timer = setTimeout(refresh, Number(live.dataset.refresh));
    } catch {
      troubled(false);
      timer = setTimeout(refresh, Number(live.dataset.refresh));
    }
  };

  const TROUBLE = "The mailbox does not answer; trying again.";
  const troubled = (fine) => {
    if (!fine) said.textContent = TROUBLE;
    else if (said.textContent === TROUBLE) said.textContent = "";
    return false;
  };

  document.addEventListener("visibilitychange", refresh);
  timer = setTimeout(refresh, Number(live.dataset.refresh));
})();
