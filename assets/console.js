// What the console does in the browser without asking the server: one listener per kind of event, told what to do by
// data attributes. Loaded before the first paint, so that a dark page is never shown light.
(() => {
  const root = document.documentElement;
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // ── light and dark ──────────────────────────────────────────────────────────────────────────────────────────────
  const wished = () => {
    const kept = localStorage.getItem("theme");
    if (kept === "light" || kept === "dark") return kept;
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  };
  const paint = (theme) => {
    root.classList.remove("light", "dark");
    root.classList.add(theme);
    root.style.colorScheme = theme;
  };
  paint(wished());

  // ── times: <ic-time at="2026-…Z">, relative, exact on hover ──────────────────────────────────────────────────────
  const STEPS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [2592000, 86400, "d"]];
  const relative = (moment) => {
    const seconds = (Date.now() - moment) / 1000;
    const distance = Math.abs(seconds);
    if (distance < 5) return "just now";
    for (const [below, unit, name] of STEPS) {
      if (distance < below) {
        const words = `${Math.floor(distance / unit)} ${name}`;
        return seconds < 0 ? `in ${words}` : `${words} ago`;
      }
    }
    return new Date(moment).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
  };
  class Time extends HTMLElement {
    static observedAttributes = ["at"];
    connectedCallback() { this.timer = setInterval(() => this.show(), 10000); this.show(); }
    disconnectedCallback() { clearInterval(this.timer); }
    attributeChangedCallback() { this.show(); }
    show() {
      const moment = Date.parse(this.getAttribute("at") || "");
      this.textContent = Number.isNaN(moment) ? "–" : relative(moment);
      this.title = Number.isNaN(moment) ? "" : new Date(moment).toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
    }
  }
  customElements.define("ic-time", Time);

  // ── dialogs ──────────────────────────────────────────────────────────────────────────────────────────────────────
  const open = (id) => {
    const dialog = document.getElementById(id);
    if (!dialog || dialog.open) return;
    all("[popover]").forEach((menu) => menu.matches(":popover-open") && menu.hidePopover());
    closeSide();
    dialog.showModal();
    one("[autofocus], input:not([type=hidden]), textarea", dialog)?.focus();
  };
  const close = (id) => document.getElementById(id)?.close();
  // a dialog that keeps something which is shown only once ignores Escape
  document.addEventListener("cancel", (event) => {
    if (event.target.matches?.("dialog") && one("[data-keep]", event.target)) event.preventDefault();
  }, true);
  document.addEventListener("close", (event) => {
    if (event.target.matches?.("dialog")) all("form", event.target).forEach((form) => form.reset());
  }, true);

  // ── the sidebar as a drawer ──────────────────────────────────────────────────────────────────────────────────────
  const closeSide = () => {
    delete root.dataset.side;
    one("[data-does=side]")?.setAttribute("aria-expanded", "false");
  };
  const toggleSide = (button) => {
    if (root.dataset.side) return closeSide();
    root.dataset.side = "open";
    button.setAttribute("aria-expanded", "true");
    one("#side a, #side button")?.focus();
  };

  // ── forms that tell whether something changed ────────────────────────────────────────────────────────────────────
  const differs = (field) => {
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (field.tagName === "SELECT") return [...field.options].some((option) => option.selected !== option.defaultSelected);
    return "defaultValue" in field && field.type !== "hidden" && field.value !== field.defaultValue;
  };
  const weigh = (form) => form.toggleAttribute("data-changed", [...form.elements].some(differs));
  const unsaved = () => one("form[data-guarded][data-changed]");
  let leaving = false;
  addEventListener("beforeunload", (event) => { if (!leaving && unsaved()) event.preventDefault(); });
  document.addEventListener("input", (event) => {
    const form = event.target.form;
    if (form?.matches("[data-guarded]")) weigh(form);
    if (event.target.dataset.filters) filter(event.target);
    if (event.target.dataset.unlocks !== undefined) unlock(event.target);
    if (event.target.dataset.counted) tally(event.target);
    if (event.target.dataset.shownIn) document.getElementById(event.target.dataset.shownIn).textContent = `${event.target.value} %`;
  });
  const tally = (field) => {
    const place = document.getElementById(field.dataset.counted);
    if (!place) return;
    const most = Number(field.dataset.mostBytes);
    const [size, limit, unit] = most ? [new TextEncoder().encode(field.value).length, most, "bytes"] : [field.value.length, field.maxLength, "characters"];
    place.textContent = `${size.toLocaleString()} of ${limit.toLocaleString()} ${unit}.`;
    place.classList.toggle("error", size > limit);
  };
  document.addEventListener("reset", (event) => setTimeout(() => {
    if (event.target.matches("[data-guarded]")) weigh(event.target);
    all("[data-unlocks]", event.target).forEach(unlock);
  }));

  // the button that destroys wakes when the name has been typed
  const unlock = (field) => {
    const button = one("[data-locked]", field.form);
    if (button) button.disabled = field.value !== field.dataset.unlocks;
  };
  const filter = (field) => {
    const words = field.value.trim().toLowerCase();
    all(field.dataset.filters).forEach((item) => { item.hidden = !item.textContent.toLowerCase().includes(words); });
  };

  // ── clicks ───────────────────────────────────────────────────────────────────────────────────────────────────────
  const copy = async (button) => {
    const source = button.dataset.copyFrom ? document.getElementById(button.dataset.copyFrom).textContent : button.dataset.copy;
    await navigator.clipboard.writeText(source);
    button.dataset.copied = "";
    setTimeout(() => delete button.dataset.copied, 1500);
  };
  const deeds = {
    side: toggleSide,
    unside: closeSide,
    theme: () => {
      const theme = root.classList.contains("dark") ? "light" : "dark";
      localStorage.setItem("theme", theme);
      paint(theme);
    },
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (link && link.origin === location.origin && !link.target && unsaved() && !confirm("Leave without saving? What you changed will be lost.")) {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    if (link) closeSide();
    if (link) link.closest("dialog")?.close();
    const button = event.target.closest("[data-copy], [data-copy-from], [data-opens], [data-closes], [data-does]");
    if (button) {
      if (button.dataset.copy !== undefined || button.dataset.copyFrom) {
        event.preventDefault();
        event.stopPropagation();
        copy(button);
      }
      if (button.dataset.opens) open(button.dataset.opens);
      if (button.dataset.closes) close(button.dataset.closes);
      if (button.dataset.does) deeds[button.dataset.does](button);
      return;
    }
    if (event.target.matches("dialog[open]") && !one("[data-keep]", event.target) && !one("form[data-changed]", event.target)) {
      const box = event.target.getBoundingClientRect(); // a click beside the dialog is one on its backdrop
      const beside = event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
      if (beside) event.target.close();
      return;
    }
    // a row opens what it is about, unless something in it was meant, or text is being selected
    const row = event.target.closest("tr[data-row]");
    if (row && !event.target.closest("a, button, input, label") && !String(getSelection())) one("a[href]", row)?.click();
  }, true);

  // ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────
  const writing = (target) => target.closest?.("input, textarea, select, [contenteditable=true]");
  const choices = () => all("#palette [role=option]").filter((choice) => !choice.hidden);
  const choose = (step) => {
    const list = choices();
    const at = list.findIndex((choice) => choice.getAttribute("aria-selected") === "true");
    const next = list[(at + step + list.length) % list.length];
    list.forEach((choice) => choice.setAttribute("aria-selected", String(choice === next)));
    next?.scrollIntoView({ block: "nearest" });
    one("#palette-search")?.setAttribute("aria-activedescendant", next?.id || "");
  };
  const inPalette = (event) => {
    if (event.key === "ArrowDown") choose(1);
    else if (event.key === "ArrowUp") choose(-1);
    else if (event.key === "Enter") (one("#palette [aria-selected=true]") || choices()[0])?.click();
    else return false;
    return true;
  };
  const walk = (step) => {
    const rows = all("[data-row]");
    const at = rows.indexOf(document.activeElement?.closest("[data-row]"));
    one("a[href]", rows[Math.min(Math.max(at + step, 0), rows.length - 1)] || root)?.focus();
  };
  // who had the focus in something that is gone goes on in what it stood in: the list, else the page
  let around = [];
  document.addEventListener("focusin", (event) => {
    around = [event.target];
    while (around.at(-1).parentElement) around.push(around.at(-1).parentElement);
  });
  new MutationObserver(() => {
    if (!around.length || around[0].isConnected || document.activeElement !== document.body) return;
    around.find((place) => place.isConnected && place.matches("[tabindex]"))?.focus({ preventScroll: true });
    around = [];
  }).observe(root, { childList: true, subtree: true });
  let going = 0;
  document.addEventListener("keydown", (event) => {
    if (event.key === "k" && (event.metaKey || event.ctrlKey)) {
      event.preventDefault();
      return one("#palette")?.open ? close("palette") : open("palette");
    }
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.dataset.enterSends !== undefined) {
      event.preventDefault();
      return event.target.form.requestSubmit();
    }
    if (event.target.id === "palette-search" && inPalette(event)) return event.preventDefault();
    if (event.key === "Escape" && root.dataset.side) {
      closeSide();
      one("[data-does=side]")?.focus();
    }
    if (event.metaKey || event.ctrlKey || event.altKey || writing(event.target) || one("dialog[open]")) return;
    if (Date.now() - going < 1000) {
      going = 0;
      const link = one(`#side a[data-key="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); return link.click(); }
    }
    // what a key does in the row that has the focus; what it opens gets the focus
    const row = document.activeElement?.closest("[data-row]");
    const pressed = row && one(`[data-press="${CSS.escape(event.key)}"]`, row);
    if (pressed) {
      event.preventDefault();
      pressed.click();
      return one("textarea", pressed.closest("details[open]") || row)?.checkVisibility() && one("textarea", row).focus();
    }
    if (event.key === "g") going = Date.now();
    else if (event.key === "/" && one("[data-search]")) { event.preventDefault(); one("[data-search]").focus(); }
    else if (event.key === "j") walk(1);
    else if (event.key === "k") walk(-1);
  });

  window.ic = {
    open,
    close,
    /** Leave this document for another, whatever is unsaved: the session has ended. */
    leave: (address) => { leaving = true; location.assign(address); },
    /** What stands in the form is what is kept. */
    kept: (id) => {
      const form = document.getElementById(id);
      if (!form) return;
      [...form.elements].forEach((field) => {
        if (field.tagName === "SELECT") [...field.options].forEach((option) => { option.defaultSelected = option.selected; });
        else if (field.type === "checkbox") field.defaultChecked = field.checked;
        else if ("defaultValue" in field && field.type !== "hidden") field.defaultValue = field.value;
      });
      weigh(form);
    },
  };
})();
