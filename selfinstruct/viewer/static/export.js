// What a server would do for the pages of a static folder: rows found, sorted and paged, one row or drop with all that is known of
// it. Rows come in scripts of our own folder, one call of `exported` each, and are put into the page as text and as nothing else.
"use strict";

const head = find("meta[name=exported]"), main = find("[data-exported]");
const PAGE = 50, AT_ONCE = 4;

// Scripts of our own folder

const asked = new Map(), came = new Map();

function exported(kind, number, data) {
  came.get(`${kind}-${number}`)(data);
}

function load(kind, number) {
  const name = `${kind}-${number}`;
  if (!asked.has(name)) {
    asked.set(name, new Promise((done, failed) => {
      const script = document.createElement("script");
      came.set(name, done);
      script.src = `${head.content}/${name}.js`;
      script.onload = () => script.remove();
      script.onerror = () => { asked.delete(name); failed(new Error(name)); };
      document.head.append(script);
    }));
  }
  return asked.get(name);
}

// Text as text: what cannot be seen is shown as its number, as texts.py does; terms of a search are marked

const UNSEEN = /(?:(?![\n\u3000 ])[\p{C}\p{Z}])+/gu;

function seen(node, text) {
  let at = 0;
  for (const hit of text.matchAll(UNSEEN)) {
    node.append(text.slice(at, hit.index));
    const box = node.appendChild(document.createElement("span"));
    box.className = "ctl";
    box.textContent = [...hit[0]].map((one) => (one === "\u00a0" ? one : `\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`)).join("");
    at = hit.index + hit[0].length;
  }
  node.append(text.slice(at));
}

function write(node, text, terms = []) {
  const { line } = node.dataset;
  text = `${text ?? ""}`.replaceAll("\r\n", "\n").replaceAll("\t", "    ");
  if (line) text = text.slice(0, 40 * line).split(/\s+/u).filter(Boolean).join(" ");
  const low = text.toLowerCase();
  const hits = low.length === text.length ? terms.flatMap((term) => {
    const found = [];
    for (let at = low.indexOf(term); at >= 0 && found.length < 50; at = low.indexOf(term, at + term.length)) found.push([at, at + term.length]);
    return found;
  }).sort((a, b) => a[0] - b[0]) : [];
  const longest = Number(line) || Infinity, first = hits[0]?.[0] ?? 0;
  const start = first > longest / 2 ? first - Math.round(longest / 3) : 0, end = Math.min(text.length, start + longest);
  if (start) node.append("…");
  let at = start;
  for (const [from, to] of hits) {
    if (from < at || to > end) continue;
    seen(node, text.slice(at, from));
    seen(node.appendChild(document.createElement("mark")), text.slice(from, to));
    at = to;
  }
  seen(node, text.slice(at, end));
  if (end < text.length) node.append("…");
}

// Templates: data-text, data-each, data-if, data-unless, data-href, data-class, each with the name of a fact

const value = (facts, name) => name.split(".").reduce((found, part) => found?.[part], facts);
const there = (found) => (Array.isArray(found) ? found.length > 0 : found !== undefined && found !== null && found !== "" && found !== false);
const number = new Intl.NumberFormat(document.documentElement.lang);
const said = (words, facts) => words.replace(/\{(\w+)\}/g, (_, name) => {
  const told = facts?.[name] ?? facts;
  return typeof told === "number" ? number.format(told) : told;
});

function fill(node, facts, terms) {
  const told = node.dataset;
  if ((told.if && !there(value(facts, told.if))) || (told.unless && there(value(facts, told.unless)))) return node.remove();
  if (told.each) {
    const name = told.each;
    node.removeAttribute("data-each");
    for (const item of value(facts, name) ?? []) {
      const copy = node.cloneNode(true);
      node.before(copy);
      fill(copy, Object(item) === item ? item : { it: item }, terms);
    }
    return node.remove();
  }
  if (told.href) node.setAttribute("href", value(facts, told.href));
  if (told.class) node.classList.add(...`${value(facts, told.class) ?? ""}`.split(" ").filter(Boolean));
  if (told.current && value(facts, told.current)) node.setAttribute("aria-current", "page");
  if (told.text) {
    const found = value(facts, told.text);
    write(node, told.words ? said(told.words, found) : found, terms);
  } else for (const child of [...node.children]) fill(child, facts, terms);
}

function made(template, facts, terms) {
  const copy = template.content.firstElementChild.cloneNode(true);
  fill(copy, facts, terms);
  return copy;
}

const NAMES = head ? JSON.parse(head.dataset.names) : {};
const named = (group, name) => (Object.hasOwn(NAMES[group], name) ? NAMES[group][name] : name);
const score = (found) => (typeof found === "number" ? `${Number(found.toFixed(2))}` : null);
const figure = (told) => (told === null || told === "" || Number.isNaN(Number(told)) ? told : `${Number(Number(told).toFixed(3))}`);
const wanted = () => new URLSearchParams(location.hash.slice(1));
const hash = (told) => `#${new URLSearchParams([...told].filter(([, one]) => one !== ""))}`;

function pager(query, page, pages) {
  const nav = find(".pager", main), [before, after] = all("a", nav);
  nav.hidden = pages < 2;
  for (const [link, to] of [[before, page - 1], [after, page + 1]]) {
    link.style.visibility = to < 1 || to > pages ? "hidden" : "";
    const changed = new URLSearchParams(query);
    changed.set("page", to);
    link.href = hash(changed);
  }
  const told = find("span", nav);
  told.textContent = said(told.dataset.pages, { number: page, pages });
}

function upto(query) {
  const told = find("[data-upto]", main), version = query.get("upto");
  told.hidden = !version;
  told.textContent = said(told.dataset.upto, { version: version ?? "" });
  find("[data-clear]", main).hidden = ![...query.keys()].some((name) => name !== "page");
  return Number(version) || Infinity;
}

// Rows

const UNHEARD = /[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g;
const PLAIN = /^[ -~\n]*$/, BLANKS = /\s{2,}|[^\S ]/;
const spaced = (text) => (BLANKS.test(text) ? text.split(/\s+/u).filter(Boolean).join(" ") : text.trim());
const folded = (text) => spaced(PLAIN.test(text) ? text.toLowerCase() : text.normalize("NFKC").replace(UNHEARD, "").replaceAll("\x85", " ").toUpperCase().toLowerCase().replaceAll("ς", "σ"));
const terms = (text) => [...new Set([...text.slice(0, 500).matchAll(/"([^"]+)"|(\S+)/g)].map((hit) => folded(hit[1] ?? hit[2])))].filter(Boolean).slice(0, 8);
const ORDERS = {
  "": () => 0, newest: (_, a, b) => b - a,
  best: (f, a, b) => (f.score[b] ?? -Infinity) - (f.score[a] ?? -Infinity) || a - b,
  worst: (f, a, b) => (f.score[a] ?? Infinity) - (f.score[b] ?? Infinity) || a - b,
  longest: (f, a, b) => f.length[b] - f.length[a] || a - b, shortest: (f, a, b) => f.length[a] - f.length[b] || a - b,
};

function candidates(facts, query) {
  const flag = query.get("flag"), script = facts.tables.script.indexOf(query.get("script"));
  const flagged = facts.tables.flags.map((joined) => (flag === "none" ? !joined : joined.split(",").includes(flag)));
  const told = { yes: 1, no: 0 }[query.get("class")], version = Number(query.get("version")) || 0;
  const [least, most] = ["min", "max"].map((name) => (query.get(name) ? Number(query.get(name)) : null));
  const last = Number(query.get("upto")) || Infinity, found = [];
  for (let n = 0; n < facts.score.length; n++) {
    if (told !== undefined && facts.classification[n] !== told) continue;
    if (flag && !flagged[facts.flags[n]]) continue;
    if (query.get("script") && facts.script[n] !== script) continue;
    if ((version && facts.version[n] !== version) || facts.version[n] > last) continue;
    if ((least !== null || most !== null) && facts.score[n] === null) continue;
    if ((least !== null && facts.score[n] < least) || (most !== null && facts.score[n] > most)) continue;
    found.push(n);
  }
  const order = ORDERS[query.get("sort") ?? ""] ?? ORDERS[""];
  return query.get("sort") ? found.sort((a, b) => order(facts, a, b)) : found;
}

const heard = new Map();

async function searchable(chunk) {
  if (!heard.has(chunk)) {
    const rows = await load("rows", chunk);
    heard.set(chunk, rows.map(([id, instruction, input, output]) => folded(`${instruction}\n${input}\n${output}\n${id}`)));
  }
  return heard.get(chunk);
}

async function rows() {
  const form = find("form.filters"), template = all("template").at(-1), list = find("[data-list]", main);
  const facts = await load("facts", 0), size = facts.size[0], told = main.dataset.flags.split(",");
  const looking = find("[data-looking]", main), total = find("[data-total]", main);
  const grown = new Set(facts.version).size > 1;
  let turn = 0;

  async function show(found, query, words, mine, whole = true) {
    const pages = Math.max(1, Math.ceil(found.length / PAGE)), page = Math.min(pages, Math.max(1, Number(query.get("page")) || 1));
    const part = found.slice((page - 1) * PAGE, page * PAGE);
    const chunks = new Map(await Promise.all([...new Set(part.map((n) => Math.floor(n / size)))].map(async (one) => [one, await load("rows", one)])));
    if (mine !== turn) return;
    total.textContent = said(total.dataset.total, { n: found.length });
    list.replaceChildren(...part.map((n) => {
      const [, instruction, input, output] = chunks.get(Math.floor(n / size))[n % size];
      const flags = facts.tables.flags[facts.flags[n]].split(",").filter((one) => told.includes(one)).map((one) => named("flag", one));
      const came = grown ? `v${facts.version[n]}` : "";
      return made(template, { href: `${address("row")}#${n}`, score: score(facts.score[n]), instruction, input, output, flags, came, classification: facts.classification[n] === 1 }, words);
    }));
    find(".empty:not(noscript *)", main).hidden = found.length > 0;
    pager(query, page, pages);
    if (whole) main.removeAttribute("aria-busy");
  }

  async function look() {
    const mine = ++turn, query = wanted(), words = terms(query.get("q") ?? "");
    main.setAttribute("aria-busy", "true");
    for (const field of form.elements) if (field.name && document.activeElement !== field) field.value = query.get(field.name) ?? "";
    upto(query);
    const among = candidates(facts, query);
    looking.hidden = true;
    if (!words.length) return show(among, query, words, mine);
    const hit = new Uint8Array(facts.score.length), open = new Uint8Array(Math.ceil(facts.score.length / size));
    for (const n of among) open[Math.floor(n / size)] = 1;
    const chunks = [...open.keys()].filter((one) => open[one]);
    let next = 0, done = 0, shown = performance.now();
    const pick = () => among.filter((n) => hit[n]);
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      while (next < chunks.length && mine === turn) {
        const chunk = chunks[next++];
        (await searchable(chunk)).forEach((text, at) => { if (words.every((word) => text.includes(word))) hit[chunk * size + at] = 1; });
        done += 1;
        if (mine !== turn || performance.now() < shown + 250) continue;
        shown = performance.now();
        looking.hidden = false;
        looking.textContent = `· ${said(looking.dataset.looking, { n: Math.min(done * size, facts.score.length), all: facts.score.length })}`;
        await show(pick(), query, words, mine, false);
      }
    }));
    if (mine !== turn) return;
    looking.hidden = true;
    await show(pick(), query, words, mine);
  }

  let waiting;
  const ask = () => {
    const query = new URLSearchParams([...new FormData(form)]);
    if (wanted().get("upto")) query.set("upto", wanted().get("upto"));
    history.replaceState(null, "", hash(query));
    look();
  };
  form.addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, event.target.matches("select") ? 0 : 200);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(waiting); ask(); });
  addEventListener("hashchange", () => { scrollTo(0, 0); look(); });
  await look();
}

// One row

const address = (name) => head.dataset[name];

async function row() {
  const template = find("template"), facts = await load("facts", 0), [size, few] = facts.size;

  async function show() {
    const query = wanted(), ids = await load("ids", 0);
    const n = query.has("id") ? ids.ids.lastIndexOf(query.get("id")) : Number(location.hash.slice(1) || NaN);
    const found = n >= 0 && n < ids.ids.length ? (await load("rows", Math.floor(n / size)))[n % size] : null;
    find("[data-gone]").hidden = found !== null;
    if (!found) return main.replaceChildren();
    const [id, instruction, input, output, raw] = found;
    const [ways, lineages] = n < facts.lineages ? await load("lineages", Math.floor(n / few)) : [[], []], lineage = lineages[n % few] ?? null;
    const shown = made(template, {
      id, instruction, input, output, version: facts.version[n] || null, score: score(facts.score[n]), raw: raw === facts.score[n] ? null : score(raw),
      model: facts.tables.model[facts.model[n]], judge: facts.tables.judge[facts.judge[n]], classified: facts.classification[n] === 1,
      flags: facts.tables.flags[facts.flags[n]].split(",").filter(Boolean).map((one) => named("flag", one)),
      before: n > 0 ? `#${n - 1}` : null, after: n + 1 < ids.ids.length ? `#${n + 1}` : null,
      lineage: lineage !== null, ...(lineage && await descent(lineage, ways, output, ids, size)),
    });
    main.replaceChildren(shown);
    document.title = `${instruction.slice(0, 60)} · selfinstruct`;
    scrollTo(0, 0);
  }

  addEventListener("hashchange", show);
  await show();
}

async function descent(lineage, ways, output, ids, size) {
  ids.seeded ??= new Map(ids.seeds);
  ids.rooted ??= new Map(ids.roots.map((root, n) => [root, n]).reverse());
  const answers = lineage.answers, once = (text) => (text === 0 ? output : typeof text === "number" ? once(answers[text - 1][0]) : text);
  const demonstrations = await Promise.all(lineage.shown.map(async (id) => {
    if (ids.seeded.has(id)) return { id, seed: true, text: ids.seeded.get(id) };
    const n = ids.rooted.get(id);
    if (n === undefined) return { id, gone: true };
    return { id, row: `#${n}`, text: (await load("rows", Math.floor(n / size)))[n % size][1] };
  }));
  return {
    demonstrations, margin: score(lineage.margin),
    answers: answers.map(([text, reasoning, model, mean, chosen, rejected, rule, verdicts]) => ({
      text: once(text), reasoning, model, score: score(mean), chosen, rejected, rule: rule && named("rule", rule),
      fate: [chosen && "chosen", rejected && "rejected", rule && "gone"].filter(Boolean).join(" "),
      verdicts: verdicts.map(([stage, judge, given, rationale, flags, votes, expected]) => ({
        stage: named("stage", stage), judge, score: score(given), rationale, expected: score(expected),
        flags: flags.map((flag) => named("flag", flag)), votes: votes.map(([who, gave]) => `${who} ${score(gave)}`),
      })),
    })),
    pair: lineage.pair && [[0, 2, true], [1, 3, false]].map(([text, given, chosen]) => ({ text: once(lineage.pair[text]), score: score(lineage.pair[given]), chosen })),
    orders: lineage.pair?.[4].map((one, at) => `${at + 1}: ${named("verdict", one)}`),
    calls: lineage.calls.map(([way, seed, n_in, n_out, completions]) => ({
      stage: named("stage", ways[way][0]), model: ways[way][1], sampling: ways[way][2], seed, tokens: { n_in, n_out },
      completions: completions.map(([text, reasoning, ended]) => ({ text: once(text), reasoning, ended })),
    })),
  };
}

// Drops

function groups(facts, last) {
  return facts.groups.map(([stage, rule, version, count], at) => ({ stage, rule, version, count, at })).filter((one) => one.version <= last);
}

async function drops() {
  const [ofRule, ofDrop] = all("template"), facts = await load("facts", 0), size = facts.size[2], nav = find(".rules", main), list = find("[data-list]", main);
  let turn = 0;

  async function show() {
    const mine = ++turn, query = wanted(), there = groups(facts, upto(query));
    const is = (one) => ["stage", "rule", "version"].every((name) => !query.get(name) || `${one[name]}` === query.get(name));
    const chosen = there.filter(is), total = chosen.reduce((sum, one) => sum + one.count, 0);
    const pages = Math.max(1, Math.ceil(total / PAGE)), page = Math.min(pages, Math.max(1, Number(query.get("page")) || 1));
    const counted = new Map();
    for (const one of there) counted.set(`${one.stage}\n${one.rule}`, { ...one, count: one.count + (counted.get(`${one.stage}\n${one.rule}`)?.count ?? 0) });
    const kept = query.get("upto") ? [["upto", query.get("upto")]] : [];
    nav.replaceChildren(...[...counted.values()].sort((a, b) => b.count - a.count).map(({ stage, rule, count }) => made(ofRule, {
      rule: named("rule", rule), stage: named("stage", stage), count: number.format(count), href: hash([["stage", stage], ["rule", rule], ...kept]),
      current: stage === query.get("stage") && rule === query.get("rule"),
    })));
    const part = [];
    let from = (page - 1) * PAGE;
    for (const one of chosen) {
      for (; from < one.count && part.length < PAGE; from++) {
        const found = (await load(`drops-${one.at}`, Math.floor(from / size)))[from % size];
        part.push({ ...dropped(one, found), href: `${address("drop")}#${one.at}.${from}` });
      }
      from = Math.max(0, from - one.count);
    }
    if (mine !== turn) return;
    const told = find("[data-total]", main);
    told.textContent = said(told.dataset.total, { n: total });
    list.replaceChildren(...part.map((one) => made(ofDrop, one)));
    pager(query, page, pages);
  }

  addEventListener("hashchange", () => { scrollTo(0, 0); show(); });
  await show();
}

function dropped({ stage, rule, version }, [id, told, threshold, text, proof]) {
  const near = proof.find(([name]) => name === "nearest"), why = proof.find(([name]) => name === "rationale");
  return {
    id, text, version, rule: named("rule", rule), stage: named("stage", stage), figure: figure(told), threshold: figure(threshold),
    beside: near ? `← ${near[1]}` : why ? `“${why[1]}”` : "", proof: proof.map(([name, value]) => ({ name, value })),
  };
}

async function drop() {
  const template = find("template"), facts = await load("facts", 0);

  async function show() {
    const [group, at] = location.hash.slice(1).split(".").map(Number), one = facts.groups[group];
    const found = one && at >= 0 && at < one[3] ? (await load(`drops-${group}`, Math.floor(at / facts.size[2])))[at % facts.size[2]] : null;
    find("[data-gone]").hidden = found !== null;
    main.replaceChildren(...(found ? [made(template, dropped({ stage: one[0], rule: one[1], version: one[2] }, found))] : []));
  }

  addEventListener("hashchange", show);
  await show();
}

// Another language shows the same rows

for (const link of all(".languages a")) link.addEventListener("click", () => { link.hash = location.hash; });

if (main) ({ rows, row, drops, drop })[main.dataset.exported]();
