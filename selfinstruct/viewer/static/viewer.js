// What the pages do in a browser: a threshold to drag, keys, search while one types, parts that come later, a run that goes on.
// Without it every page still says and does the rest. Rows never come here as code: they arrive as HTML that the server escaped.
"use strict";

const find = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];

async function part(url, signal) {
  const answer = await fetch(url, { signal, headers: { accept: "text/html" } });
  if (answer.status === 202) {
    await new Promise((wait) => setTimeout(wait, 1000));
    return part(url, signal);
  }
  if (!answer.ok) throw new Error(`${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// A threshold that one can drag

function threshold(figure) {
  const chart = find("svg", figure), line = find(".threshold", figure), told = find(".threshold-told", figure);
  if (!chart || !line || !told) return;
  const [low, high, left, right] = ["low", "high", "left", "right"].map((name) => Number(chart.dataset[name]));
  const bins = all(".bin", chart).map((bin) => ({
    bin, low: Number(bin.dataset.low), rows: Number(bin.dataset.kept) + Number(bin.dataset.dropped),
  }));
  const whole = bins.reduce((sum, one) => sum + one.rows, 0);
  const steps = [...new Set(all(".bin", chart).flatMap((bin) => [Number(bin.dataset.low), Number(bin.dataset.high)]))];
  const width = Math.min(...steps.slice(1).map((one, at) => Math.abs(one - steps[at])).filter((one) => one > 0), high - low);
  const tidy = (value) => Number(Math.min(high, Math.max(low, Math.round(value / width) * width)).toFixed(4));
  const number = new Intl.NumberFormat(document.documentElement.lang);
  const label = find(".threshold-label", line), output = find("output", told), open = find(".open", told);

  function set(value) {
    value = tidy(value);
    line.dataset.value = value;
    line.setAttribute("aria-valuenow", value);
    line.setAttribute("transform", `translate(${left + ((right - left) * (value - low)) / (high - low)} 0)`);
    label.textContent = `${line.dataset.word} ${value}`;
    const ends = value > low + (high - low) * 0.8;
    label.setAttribute("x", ends ? -10 : 10);
    label.setAttribute("text-anchor", ends ? "end" : "start");
    let kept = 0;
    for (const one of bins) {
      const above = one.low >= value - 1e-9;
      one.bin.classList.toggle("below", !above);
      if (above) kept += one.rows;
    }
    const share = whole ? `${((100 * kept) / whole).toFixed(1)} %` : "–";
    const words = { value, kept: number.format(kept), all: number.format(whole), share };
    output.textContent = told.dataset.keptWords.replace(/\{(\w+)\}/g, (_, name) => words[name]);
    output.dataset.kept = kept;
    line.setAttribute("aria-valuetext", output.textContent);
    open.href = `${open.dataset.rows}${value}`;
    open.hidden = false;
  }

  const at = (event) => {
    const box = chart.getBoundingClientRect(), view = chart.viewBox.baseVal;
    const x = ((event.clientX - box.left) * view.width) / box.width;
    return low + ((x - left) * (high - low)) / (right - left);
  };
  line.tabIndex = 0;
  line.addEventListener("pointerdown", (event) => {
    line.setPointerCapture(event.pointerId);
    event.preventDefault();
    line.focus({ focusVisible: false });
  });
  line.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false }); // Chromium pans all the same
  line.addEventListener("pointermove", (event) => line.hasPointerCapture(event.pointerId) && set(at(event)));
  line.addEventListener("keydown", (event) => {
    const value = Number(line.dataset.value);
    const moves = { ArrowLeft: value - width, ArrowDown: value - width, ArrowRight: value + width, ArrowUp: value + width,
      PageDown: value - 4 * width, PageUp: value + 4 * width, Home: low, End: high };
    if (!(event.key in moves)) return;
    event.preventDefault();
    set(moves[event.key]);
  });
}

// Keys: / to search, j and k to move, Enter to open, Esc to go back

function choose(step) {
  const items = all("[data-item]");
  if (!items.length) {
    const link = find(step > 0 ? "a[rel=next]" : "a[rel=prev]");
    if (link) link.click();
    return;
  }
  const here = items.findIndex((item) => item.classList.contains("here"));
  const next = Math.min(items.length - 1, Math.max(0, here + step));
  items.forEach((item, place) => item.classList.toggle("here", place === next));
  items[next].scrollIntoView({ block: "nearest" });
  find("a", items[next]).focus({ preventScroll: true });
}

function back() {
  const typed = find("[data-search]");
  if (typed && document.activeElement === typed) return typed.blur();
  const link = find("[data-back]");
  if (!link) return all(".here").forEach((item) => item.classList.remove("here"));
  const before = document.referrer && new URL(document.referrer);
  if (history.length > 1 && find(".one")) history.back();
  else if (!before || before.origin === location.origin) link.click();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") back();
  else if (typing) return;
  else if (event.key === "/" && find("[data-search]")) {
    event.preventDefault();
    find("[data-search]").select();
  } else if (event.key === "j") choose(1);
  else if (event.key === "k") choose(-1);
  else if (event.key === "Enter" && document.activeElement === document.body && find(".here a")) find(".here a").click();
});

// Search while one types

function searching(form) {
  let waiting, running;
  async function look() {
    running?.abort();
    running = new AbortController();
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    const url = `${form.getAttribute("action")}${query.size ? `?${query}` : ""}`;
    find("#found").setAttribute("aria-busy", "true");
    try {
      const page = await part(url, running.signal);
      find("#found").replaceWith(document.adoptNode(find("#found", page)));
      history.replaceState(null, "", url);
    } catch (error) {
      if (error.name !== "AbortError") form.submit();
    }
  }
  form.addEventListener("input", (event) => {
    if (event.isComposing && !event.target.value) return;
    clearTimeout(waiting);
    waiting = setTimeout(look, event.target.matches("select") ? 0 : 200);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    look();
  });
}

// Parts that come later

async function later(section) {
  try {
    const page = await part(section.dataset.load);
    const heading = find("h2", section);
    section.replaceChildren(heading, ...[...page.body.childNodes].map((node) => document.adoptNode(node)));
  } catch { /* the link in it still leads there */ }
}

// A run that goes on

async function news(section) {
  let counted = find("[data-asof]", section).dataset.asof;
  for (;;) {
    await new Promise((wait) => setTimeout(wait, Number(section.dataset.every)));
    if (document.hidden) continue;
    try {
      const page = await part(section.dataset.news);
      const here = all("[data-item]").findIndex((item) => item.classList.contains("here"));
      section.replaceChildren(...[...page.body.children].map((node) => document.adoptNode(node)));
      all("[data-item]")[here]?.classList.add("here");
      const { ended, asof } = find("[data-ended]", section).dataset;
      if (asof !== counted && !document.activeElement.closest(".charts")) {
        pictures(section, await part(location.href));
        counted = asof;
      }
      if (ended && counted) return;
    } catch { /* the server is away for a moment, or for good */ }
  }
}

function pictures(section, page) {
  const fresh = find(".charts", page), old = find(".charts");
  if (!fresh) return;
  const taken = document.adoptNode(fresh);
  if (old) old.replaceWith(taken);
  else section.after(taken);
  all("figure.chart-scores", taken).forEach(threshold);
}

// Copy a command

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.dataset.said ??= button.textContent;
  button.textContent = "✓";
  setTimeout(() => { button.textContent = button.dataset.said; }, 1500);
});

all("figure.chart-scores").forEach(threshold);
all("[data-filters]").forEach(searching);
all("[data-load]").forEach(later);
all("[data-news]").forEach(news);
