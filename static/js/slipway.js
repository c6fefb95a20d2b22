// Everything here only adds comfort: each page works without it.
"use strict";
(() => {
  const root = document.documentElement;
  const say = (words) => { const place = document.getElementById("announcer"); if (place) place.textContent = words; };

  // ---- Live streams -------------------------------------------------------------------------------------------------
  // Stands in for the browser's EventSource: closes while the tab is hidden (a browser allows six connections to one host)
  // and, when it comes back, asks for what came after the last event it has seen.
  class Stream extends EventTarget {
    constructor(url) {
      super();
      this.url = url; this.last = ""; this.kinds = new Set(); this.source = null; this.done = false; this.opened = false;
      this.onVisibility = () => (document.hidden ? this.pause() : this.open());
      document.addEventListener("visibilitychange", this.onVisibility);
      if (!document.hidden) this.open();
    }
    get readyState() { return this.done ? EventSource.CLOSED : this.source ? this.source.readyState : EventSource.CONNECTING; }
    open() {
      clearTimeout(this.timer);
      if (this.done || this.source) return;
      const url = new URL(this.url, location.href);
      if (this.last) url.searchParams.set("after", this.last);
      const source = this.source = new EventSource(url);
      source.onopen = () => {
        if (this.opened) this.dispatchEvent(new MessageEvent("refresh"));
        this.opened = true; this.wait = 1000;
        if (this.onopen) this.onopen(new Event("open"));
      };
      source.onerror = () => {
        if (source.readyState !== EventSource.CLOSED || this.source !== source) return;
        this.source = null; this.wait = Math.min((this.wait || 1000) * 2, 30000);
        this.timer = setTimeout(() => { if (!document.hidden) this.open(); }, this.wait);
      };
      this.kinds.forEach((kind) => this.forward(kind));
    }
    forward(kind) {
      this.source.addEventListener(kind, (event) => {
        if (event.lastEventId) this.last = event.lastEventId;
        this.dispatchEvent(new MessageEvent(kind, { data: event.data, lastEventId: event.lastEventId }));
      });
    }
    addEventListener(kind, listener, options) {
      super.addEventListener(kind, listener, options);
      if (this.kinds.has(kind)) return;
      this.kinds.add(kind);
      if (this.source) this.forward(kind);
    }
    pause() { clearTimeout(this.timer); if (this.source) { this.source.close(); this.source = null; } }
    close() { this.done = true; this.pause(); document.removeEventListener("visibilitychange", this.onVisibility); }
  }
  if (window.htmx) htmx.createEventSource = (url) => new Stream(url);

  // ---- Copy, menus, theme, keys -------------------------------------------------------------------------------------
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      try { await navigator.clipboard.writeText(copy.dataset.copy); } catch { if (!copyByHand(copy.dataset.copy)) return; }
      copy.classList.add("copied"); say("Copied");
      setTimeout(() => copy.classList.remove("copied"), 1600);
    }
    document.querySelectorAll("details[data-menu][open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
  });
  // The clipboard API is missing where the portal is reached over plain HTTP on another host.
  function copyByHand(text) {
    const area = document.createElement("textarea");
    area.value = text; area.className = "visually-hidden"; document.body.append(area); area.select();
    const done = document.execCommand("copy"); area.remove(); return done;
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-theme-form]")) {
      event.preventDefault();
      const dark = root.dataset.theme === "dark" || (root.dataset.theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
      const theme = dark ? "light" : "dark", data = new FormData(form);
      root.dataset.theme = theme; data.set("theme", theme);
      fetch(form.action, { method: "POST", body: data, redirect: "manual" });
      return;
    }
    // A second click must not ask twice.
    if (form.method === "post") setTimeout(() => form.querySelectorAll("button:not([disabled])").forEach((button) => {
      button.disabled = true; setTimeout(() => { button.disabled = false; }, 8000);
    }));
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      document.querySelectorAll("details[data-menu][open]").forEach((menu) => { menu.open = false; menu.querySelector("summary").focus(); });
      const drawer = document.getElementById("drawer");
      if (drawer) drawer.checked = false;
    }
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    const finder = document.querySelector("[data-finder]");
    if (finder && finder.offsetParent) { event.preventDefault(); finder.focus(); finder.select(); }
    else document.querySelector(".finder-link")?.click(); // a narrow window has the search on a page
  });

  // On a phone the row of tabs is wider than the screen: the page's own tab is in sight.
  document.querySelectorAll(".tabs [aria-current]").forEach((tab) => { const row = tab.closest(".tabs"); row.scrollLeft = tab.offsetLeft - row.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2; });

  // Typed confirmation: the button wakes when the name is right. The server checks it again.
  document.addEventListener("input", (event) => {
    const field = event.target.closest("[data-confirm]");
    if (field) field.form.querySelector("[data-confirmed]").disabled = field.value.trim() !== field.dataset.confirm;
    const filter = event.target.closest("[data-filter]");
    if (filter) document.querySelectorAll(filter.dataset.filter).forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(filter.value.trim().toLowerCase()); });
  });
  document.querySelectorAll("[data-confirm]").forEach((field) => { field.form.querySelector("[data-confirmed]").disabled = field.value.trim() !== field.dataset.confirm; });

  // A table that is saved as a whole gets another row without asking the server.
  document.addEventListener("click", (event) => {
    const more = event.target.closest("[data-add-row]");
    const rows = more?.form.querySelectorAll("[data-row]"), last = rows?.[rows.length - 1];
    if (!last) return;
    event.preventDefault();
    const count = more.form.querySelector("[data-count]"), number = count.value, made = last.cloneNode(true);
    made.classList.remove("variable-wrong");
    made.querySelectorAll(".error, [name$='-hidden']").forEach((each) => each.remove());
    made.querySelectorAll("[name]").forEach((each) => {
      each.name = each.name.replace(/^r\d+/, `r${number}`);
      each.removeAttribute("aria-invalid");
      if (each.type === "checkbox") each.checked = /visible_runtime|is_inheritable|is_enabled/.test(each.name);
      else if (!/is_inheritable/.test(each.name)) each.value = "";
    });
    made.querySelectorAll("[id]").forEach((each) => { each.id = each.id.replace(/^r\d+/, `r${number}`); });
    made.querySelectorAll("label[for]").forEach((each) => { each.htmlFor = each.htmlFor.replace(/^r\d+/, `r${number}`); });
    made.querySelector("legend").textContent = "New variable";
    made.querySelector("textarea").placeholder = "value";
    count.value = Number(number) + 1;
    last.after(made);
    made.querySelector("input[name$='-name']").focus();
  });

  // ---- Times --------------------------------------------------------------------------------------------------------
  const relative = (seconds) => seconds < 45 ? "now" : seconds < 2700 ? `${Math.max(1, Math.round(seconds / 60))} min`
    : seconds < 129600 ? `${Math.max(1, Math.round(seconds / 3600))} h` : `${Math.round(seconds / 86400)} d`;
  const duration = (seconds) => {
    if (seconds < 60) return `${Math.floor(seconds)} s`;
    const minutes = Math.floor(seconds / 60), rest = Math.floor(seconds % 60);
    if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
    return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
  };
  // The browser's clock may be wrong: count from the server's.
  const skew = Date.now() - Date.parse(document.querySelector("meta[name='now']")?.content || new Date().toISOString());
  const tick = () => {
    if (document.hidden) return;
    const present = Date.now() - skew;
    document.querySelectorAll("[data-since]").forEach((place) => {
      const words = duration(Math.max(0, (present - Date.parse(place.dataset.since)) / 1000));
      if (place.textContent !== words) place.textContent = words;
    });
    document.querySelectorAll("time[data-style]").forEach((place) => {
      const short = relative((present - Date.parse(place.dateTime)) / 1000);
      const now = { long: "just now", span: "a moment" }[place.dataset.style] || short;
      const words = short === "now" ? now : place.dataset.style === "long" ? `${short} ago` : short;
      if (place.textContent !== words) place.textContent = words;
    });
  };
  setInterval(tick, 1000);

  // ---- States are said once, when they change; the counting seconds beside them are not ------------------------------
  let state = document.querySelector("[data-state]")?.dataset.state;
  document.body.addEventListener("htmx:sseMessage", () => {
    const now = document.querySelector("[data-state]")?.dataset.state;
    if (now && now !== state) say(state = now);
  });
  // A place that is replaced as a whole keeps what was unfolded in it.
  let unfolded = [];
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    unfolded = [...(event.detail.target?.querySelectorAll("details[open][id]") || [])].map((each) => each.id);
  });
  document.body.addEventListener("htmx:afterSettle", () => unfolded.splice(0).forEach((id) => {
    const each = document.getElementById(id);
    if (each) each.open = true;
  }));
  // A page that shows something come into being starts anew when it is there.
  document.body.addEventListener("htmx:sseClose", (event) => {
    if (event.detail.type !== "message") return;
    document.querySelector("[data-log-follow]")?.remove();
    if (document.querySelector("[data-reload-at-end]")) location.reload();
  });

  // ---- Log ----------------------------------------------------------------------------------------------------------
  const log = document.getElementById("log");
  if (!log) return;
  const view = document.getElementById("log-view");
  const followButton = document.querySelector("[data-log-follow]");
  const MOST_LINES = 20000;
  let following = log.dataset.follow === "yes" && !location.hash;

  const atEnd = () => view.scrollHeight - view.scrollTop - view.clientHeight < 40;
  const toEnd = () => { view.scrollTop = view.scrollHeight; };
  const setFollowing = (value) => {
    following = value;
    if (!followButton) return;
    followButton.setAttribute("aria-pressed", String(value));
    followButton.querySelector("span").textContent = value ? "Following" : "Paused";
    if (value) toEnd();
  };
  if (followButton) { followButton.addEventListener("click", () => setFollowing(!following)); setFollowing(following); }
  let ours = 0;
  // Chunks out of sight are not laid out: say how high they are, so that the scroll bar tells the truth.
  const size = (chunk) => { chunk.style.containIntrinsicBlockSize = `auto ${(chunk.childElementCount * 19.5).toFixed(1)}px`; };
  view.querySelectorAll(".chunk").forEach(size);
  document.body.addEventListener("htmx:load", (event) => event.target.querySelectorAll?.(".chunk").forEach(size));
  new ResizeObserver(() => { if (following) { ours = performance.now(); toEnd(); } }).observe(log);
  view.addEventListener("scroll", () => {
    if (!followButton || performance.now() - ours < 150) return;
    if (following && !atEnd()) setFollowing(false); else if (!following && atEnd()) setFollowing(true);
  }, { passive: true });

  // A page left open on a long log keeps its newest lines; "Show earlier lines" brings the others back.
  const prune = () => {
    let surplus = view.querySelectorAll(".log-all p[id^='L']").length - MOST_LINES;
    if (surplus <= 0) return;
    view.querySelectorAll(".earlier").forEach((block) => { surplus -= block.querySelectorAll("p").length; block.remove(); });
    while (surplus > 0 && log.children.length > 1) { surplus -= log.firstElementChild.childElementCount; log.firstElementChild.remove(); }
    const more = document.getElementById("log-earlier"), first = log.querySelector("p")?.id.slice(1);
    if (!more || !first) return;
    const link = more.querySelector("a");
    more.hidden = false; link.href = `?line=${first}#L${first}`; link.setAttribute("hx-get", `${more.dataset.log}?before=${first}`);
    htmx.process(more);
  };
  // Nothing twice: a chunk that is on the page already is not put there again.
  document.body.addEventListener("htmx:sseBeforeMessage", (event) => {
    if (event.target !== log || !event.detail.lastEventId) return;
    if (Number(event.detail.lastEventId) <= Number(log.dataset.last || 0)) event.preventDefault();
    else log.dataset.last = event.detail.lastEventId;
  });
  document.body.addEventListener("htmx:sseMessage", (event) => {
    if (event.target !== log) return;
    const count = document.getElementById("log-count"), line = log.lastElementChild?.lastElementChild;
    if (count && line) { const n = Number(line.id.slice(1)); count.textContent = `${n.toLocaleString("en")} ${n === 1 ? "line" : "lines"}`; }
    document.getElementById("log-empty")?.remove();
    if (log.lastElementChild) size(log.lastElementChild);
    if (following) { ours = performance.now(); toEnd(); prune(); }
  });

  for (const [name, label] of [["wrap", "log-wrap"], ["times", "log-times"]]) {
    const box = document.getElementById(label);
    if (!box) continue;
    try { box.checked = localStorage.getItem(`log-${name}`) === "yes"; } catch { /* storage may be off */ }
    box.addEventListener("change", () => { try { localStorage.setItem(`log-${name}`, box.checked ? "yes" : "no"); } catch { /* as above */ } });
  }

  const mark = () => {
    const found = /^#L(\d+)$/.exec(location.hash);
    log.querySelector(".marked")?.classList.remove("marked");
    if (!found) return;
    const line = document.getElementById(`L${found[1]}`);
    if (line) { line.classList.add("marked"); setFollowing(false); line.scrollIntoView({ block: "center" }); }
    else if (!new URLSearchParams(location.search).has("line")) location.replace(`?line=${found[1]}#L${found[1]}`);
  };
  view.addEventListener("click", (event) => {
    const link = event.target.closest("a.n");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || !log.contains(link)) return;
    event.preventDefault();
    history.replaceState(null, "", link.hash); mark();
  });
  addEventListener("hashchange", mark);
  mark();
  if (following) toEnd();
})();
