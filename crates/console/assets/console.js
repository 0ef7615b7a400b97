// Keeps a page current and its times true. Without it every page still works.
"use strict";
(() => {
  const live = document.querySelector("[data-live]");
  const skew = Date.now() - Number(document.body.dataset.now) / 1000;
  let parts = 0; // counts refreshes, so that a slow answer never overwrites a newer one

  // --- times -------------------------------------------------------------------------------
  const rough = (seconds) =>
    seconds < 60 ? `${seconds} s`
    : seconds < 3600 ? `${Math.floor(seconds / 60)} min`
    : seconds < 172800 ? `${Math.floor(seconds / 3600)} h`
    : `${Math.floor(seconds / 86400)} d`;
  const tellTimes = () => {
    const now = Date.now() - skew;
    for (const time of document.querySelectorAll("time[data-at]")) {
      const seconds = Math.floor(Math.abs(now - Number(time.dataset.at) / 1000) / 1000);
      const words = Number(time.dataset.at) / 1000 > now ? `in ${rough(seconds)}` : `${rough(seconds)} ago`;
      if (time.textContent !== words) time.textContent = words;
    }
  };
  setInterval(tellTimes, 1000);

  // --- taking over what has changed ----------------------------------------------------------
  const fields = (part) => [...part.querySelectorAll("input:not([type=hidden]), textarea")];
  const isTyped = (field) => field.value !== field.defaultValue;
  const hasSelection = (part) => {
    const selection = getSelection();
    return selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  };
  let isPressed = false;
  addEventListener("pointerdown", () => { isPressed = true; });
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { setTimeout(() => { isPressed = false; }, 50); });
  const sameRows = (old, fresh) => {
    const ids = (part) => [...part.querySelectorAll("[data-id]")].map((row) => row.dataset.id).join(" ");
    return ids(old) === ids(fresh);
  };

  const takeOver = (old, fresh) => {
    // Relative times change by themselves.
    const source = fresh.outerHTML.replace(/(<time[^>]*>)[^<]*/g, "$1");
    if (old.dataset.source === source) return;
    // Nothing is pulled away from under a hand: rows wait until the pointer has left.
    if (hasSelection(old) || (isPressed && old.matches(":hover"))) return;
    if ("calm" in old.dataset && old.matches(":hover, :focus-within") && !sameRows(old, fresh)) return;
    const kept = fields(old).filter((field) => field.id && (isTyped(field) || field === document.activeElement));
    const lost = kept.filter((field) => isTyped(field) && !fresh.querySelector(`#${CSS.escape(field.id)}`));
    if (lost.length > 0) {
      if (!old.querySelector(".stale")) {
        const note = document.createElement("p");
        note.className = "stale";
        note.setAttribute("role", "status");
        note.textContent = "The saga has moved on: what you are filling in is not offered any more.";
        old.append(note);
      }
      return;
    }
    for (const details of old.querySelectorAll("details[id]")) {
      const twin = fresh.querySelector(`#${CSS.escape(details.id)}`);
      if (twin) twin.open = details.open;
    }
    const scrolls = [...old.querySelectorAll("[data-scroll], pre")].map((box) => [box.id, box.scrollLeft, box.scrollTop]);
    const active = old.contains(document.activeElement) ? document.activeElement : null;
    const path = active && (active.id || active.closest("[id]")?.id);
    const range = active && "selectionStart" in active ? [active.selectionStart, active.selectionEnd] : null;
    for (const field of kept) {
      const twin = fresh.querySelector(`#${CSS.escape(field.id)}`);
      if (twin) twin.value = field.value;
    }
    fresh.dataset.source = source;
    old.replaceWith(fresh);
    for (const [id, left, top] of scrolls) {
      const box = id && document.getElementById(id);
      if (box) box.scrollTo(left, top);
    }
    if (active) {
      const again = active.id ? document.getElementById(active.id)
        : [...fresh.querySelectorAll(`${active.tagName}`)].find((one) => one.textContent === active.textContent && (one.closest("[id]")?.id === path));
      again?.focus({ preventScroll: true });
      if (range && range[0] !== null && again?.setSelectionRange) again.setSelectionRange(...range);
    }
  };

  const said = { at: 0 };
  const refresh = async () => {
    const mine = ++parts;
    const answer = await fetch(live.dataset.refresh, { headers: { accept: "text/html" }, credentials: "same-origin" });
    if (!answer.ok || mine !== parts) return answer.ok;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== parts) return true;
    const next = page.querySelector("[data-live]");
    if (next && !location.search.includes("cursor=")) live.dataset.refresh = next.dataset.refresh;
    for (const old of live.querySelectorAll("[data-part]")) {
      const fresh = page.getElementById(old.id);
      if (!fresh) continue;
      // What is read out changes at most every ten seconds.
      if (old.dataset.part === "said" && Date.now() - said.at < 10000) continue;
      if (old.dataset.part === "said") said.at = Date.now();
      takeOver(old, document.importNode(fresh, true));
    }
    tellTimes();
    return true;
  };

  // --- live ----------------------------------------------------------------------------------
  if (live) {
    const pace = Number(live.dataset.pace) || 1000;
    const state = live.querySelector("[data-live-state]");
    const word = live.querySelector("[data-live-word]");
    let wanted = false;
    let busy = false;
    let last = Date.now();
    const show = (isOn) => {
      state.hidden = false;
      state.classList.toggle("live-off", !isOn);
      word.textContent = isOn ? "live" : "not connected, trying again";
    };
    const work = async () => {
      if (busy || !wanted || document.hidden) return;
      busy = true;
      wanted = false;
      try {
        show(await refresh());
      } catch {
        show(false);
      }
      last = Date.now();
      setTimeout(() => { busy = false; work(); }, pace);
    };
    const ask = () => { wanted = true; work(); };
    const source = new EventSource(live.dataset.live);
    source.addEventListener("open", () => { show(true); ask(); });
    source.addEventListener("error", () => show(false));
    source.addEventListener("changed", ask);
    document.addEventListener("visibilitychange", work);
    live.addEventListener("pointerleave", work);
    // Hints are those of one coordinator; what others drive is looked for now and then.
    setInterval(() => { if (Date.now() - last > 5000) ask(); }, 1000);
    addEventListener("pagehide", () => source.close());
  }

  // --- small things ----------------------------------------------------------------------------
  const here = new URL(location.href);
  if (here.searchParams.delete("did"), here.href !== location.href) history.replaceState(null, "", here);

  for (const button of document.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) break;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.querySelector("use").setAttribute("href", "#i-check");
      setTimeout(() => button.querySelector("use").setAttribute("href", "#i-copy"), 1500);
    });
  }

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, textarea, select");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const search = document.querySelector("[data-hotkey='/']");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    }
    if (event.key === "Escape") {
      const open = event.target.closest?.("details.command[open]");
      if (open) { open.open = false; open.querySelector("summary").focus(); }
    }
  });
  document.addEventListener("toggle", (event) => {
    if (event.target.matches?.("details.command[open]") && event.target.contains(document.activeElement)) {
      event.target.querySelector("textarea, input:not([type=hidden])")?.focus({ preventScroll: true });
    }
  }, true);
})();
