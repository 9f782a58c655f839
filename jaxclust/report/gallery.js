"use strict";
// What the page knows, and what it shows: groups as strips, open groups as grids, the search.
const data = JSON.parse(document.getElementById("data").textContent);
const n = data.names.length;
const find = id => document.getElementById(id);
const unpack = (text, Type) => {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Type(bytes.buffer);
};
const original = unpack(data.groups, Int32Array), sure = unpack(data.sure, Uint16Array);
const order = unpack(data.order, Int32Array), neighbors = unpack(data.neighbors, Int32Array);
const places = unpack(data.places, Int32Array), sizes = unpack(data.sizes, Uint8Array);
const levels = data.levels.map(({name, groups}) => ({name, group: unpack(groups, Int32Array)}));
const state = {group: original.slice(), names: [...data.groupNames],
  into: data.groupNames.map(() => -1)};
const chosen = new Set();
const opened = new Set();
let level = null, correcting = false, columns = 0, lists = [], showing = "";

const make = (tag, kind, words) => {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (words !== undefined) element.textContent = words;
  if (tag === "button") element.type = "button";
  return element;
};
const capital = word => word[0].toUpperCase() + word.slice(1);
const counted = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const say = words => { find("said").textContent = words; };
const percent = value => `${Math.min(value >= 1 ? 100 : 99, Math.round(100 * value))} %`;
const howSure = value => (value >= .95 ? "very sure" : value >= .8 ? "sure" :
  value >= .6 ? "fairly sure" : "unsure") + `: ${percent(value)}`;

// Where each picture stands among those of its group, the most typical first.
const rank = new Int32Array(n);
order.forEach((i, at) => { rank[i] = at; });

const groupOf = i => level ? level.group[i] : state.group[i];
const called = id => id < 0 ? "Fits no group" :
  level ? `${capital(level.name)} group ${id}` : state.names[id] || `Group ${id}`;

/** Pictures of each group, {id, list}, in the order of the page; those that fit none come last. */
function regroup() {
  const found = new Map();
  if (!level) state.names.forEach((_, id) => { if (state.into[id] < 0) found.set(id, []); });
  const places = level ? [...order].sort((a, b) => sure[b] - sure[a] || rank[a] - rank[b]) : order;
  const late = new Map();
  for (const i of places) {
    const id = groupOf(i);
    // Pictures that a person moved here come first, those of a merged group last.
    const whence = level ? id : original[i];
    const kind = whence === id ? 1 : whence >= 0 && settled(whence) === id ? 2 : 0;
    if (!late.has(id)) late.set(id, [[], [], []]);
    late.get(id)[kind].push(i);
  }
  for (const [id, kinds] of late) found.set(id, kinds.flat());
  lists = [...found].map(([id, list]) => ({id, list}))
    .sort((a, b) => (a.id < 0) - (b.id < 0) || a.id - b.id);
}
const settled = id => { while (id >= 0 && state.into[id] >= 0) id = state.into[id]; return id; };
const listOf = id => lists.find(one => one.id === id)?.list ?? [];

// A sheet of thumbnails is fetched as the first element that shows it comes into view.
const rules = document.head.appendChild(document.createElement("style")).sheet, used = new Set();
function thumb(i) {
  const span = make("span", "photo"), sheet = Math.floor(places[i] / data.columns ** 2);
  if (!sizes[2 * i]) {
    span.classList.add("lost");
    span.textContent = data.names[i].split("/").pop();
    return span;
  }
  if (!used.has(sheet)) {
    used.add(sheet);
    rules.insertRule(`.sheet${sheet}{background-image:url("${data.sheets[sheet]}")}`);
  }
  span.classList.add(`sheet${sheet}`);
  const at = places[i] % data.columns ** 2, {style} = span;
  style.setProperty("--w", sizes[2 * i]);
  style.setProperty("--h", sizes[2 * i + 1]);
  style.setProperty("--x", at % data.columns * data.cell + 1);
  style.setProperty("--y", Math.floor(at / data.columns) * data.cell + 1);
  return span;
}

function tile(i) {
  const button = make("button", "pic");
  button.dataset.i = i;
  button.tabIndex = -1;
  button.title = data.names[i];
  button.setAttribute("aria-label", data.names[i]);
  if (correcting) mark(button);
  if (!level && original[i] !== state.group[i] && settled(original[i]) !== state.group[i])
    button.classList.add("moved");
  button.append(thumb(i));
  return button;
}
function mark(button) {
  const on = chosen.has(Number(button.dataset.i));
  button.classList.toggle("chosen", on);
  button.setAttribute("aria-pressed", on);
}

// Pictures in rows: a list of them, one stop of the Tab key, arrow keys from there on.
const watcher = new IntersectionObserver(entries => {
  for (const {target, isIntersecting} of entries) {
    if (isIntersecting) fill(target);
    else if (target.matches(".chunk") && !target.contains(document.activeElement))
      target.replaceChildren();
  }
}, {rootMargin: "700px 0px"});

function fill(target) {
  if (target.childElementCount || !target.isConnected) return;
  const box = target.closest(".rows");
  for (let at = target.start; at < target.end; at++) {
    const button = tile(box.list[at]);
    button.at = at;
    if (at === box.at) button.tabIndex = 0;
    if (box.captions) button.append(make("span", "caption", data.names[box.list[at]].split("/").pop()));
    target.append(button);
  }
}

function rows(list, words, captions = false) {
  const box = make("div", captions ? "rows named" : "rows");
  Object.assign(box, {list, captions, at: 0, parts: []});
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", words);
  return box;
}
function part(box, start, end, kind) {
  const chunk = make("div", kind);
  Object.assign(chunk, {start, end});
  chunk.style.setProperty("--rows", Math.ceil((end - start) / columns));
  box.append(chunk);
  box.parts.push(chunk);
  watcher.observe(chunk);
}

/** All pictures of a list, in parts that are filled as they come into view. */
function grid(list, words, captions) {
  const box = rows(list, words, captions), size = columns * Math.ceil(48 / columns);
  for (let at = 0; at < list.length; at += size)
    part(box, at, Math.min(at + size, list.length), "cells chunk");
  return box;
}

/** The most typical pictures of a group, and its least typical ones. */
function strip({id, list}) {
  const narrow = columns < 6, all = narrow ? 3 * columns : columns;
  const odd = narrow ? Math.min(columns, data.odd) : Math.min(3, data.odd);
  const typical = Math.min(data.typical, narrow ? 2 * columns : columns - odd);
  if (id < 0 || list.length <= all) {
    const box = rows(list.slice(0, all), `Pictures: ${called(id)}`);
    part(box, 0, box.list.length, "cells");
    return box;
  }
  const box = rows([...list.slice(0, typical), ...list.slice(-odd)], `Pictures: ${called(id)}`);
  box.classList.add("halves", narrow ? "stacked" : "beside");
  box.style.setProperty("--odd", odd);
  box.append(make("span", "label", "most typical"));
  part(box, 0, typical, "cells");
  box.append(make("span", "label least", "least typical"));
  part(box, typical, typical + odd, "cells least");
  return box;
}

function section(one) {
  const element = make("section", "group"), head = make("div", "head"), title = make("h2");
  element.id = one.id < 0 ? "none" : `group-${one.id}`;
  element.one = one;
  const about = make("div", "meta");
  title.append(...nameOf(one));
  // The number that the tables have, where a name stands in its place.
  if (!level && one.id >= 0 && (correcting || state.names[one.id]))
    about.append(make("span", "from", `Group ${one.id}`));
  about.append(make("span", "size", counted(one.list.length, "picture")));
  if (one.id >= 0 && one.list.length) {
    const mean = one.list.reduce((sum, i) => sum + sure[i] / 1e4, 0) / one.list.length;
    const meter = make("span", "sure", howSure(mean));
    meter.style.setProperty("--share", mean);
    about.append(meter);
  }
  if (level && one.id >= 0) about.append(make("span", "from", whence(one)));
  const tools = make("div", "tools");
  if (correcting) tools.append(...toolsOf(one));
  const all = make("button", "all");
  tools.append(all);
  head.append(title, about, tools);
  element.append(head, make("div", "body"));
  show(element);
  return element;
}

/** Fills a group's section: the strip, or the whole group where it is open. */
function show(element) {
  const {one} = element, open = opened.has(one.id), body = element.querySelector(".body");
  const box = open ? grid(one.list, `All pictures: ${called(one.id)}`) : strip(one);
  element.classList.toggle("open", open);
  body.replaceChildren(one.list.length ? box : make("p", "empty", "No picture is left here."));
  const all = element.querySelector(".all");
  all.textContent = open ? "Show fewer" : `Show all ${one.list.length.toLocaleString("en")}`;
  all.setAttribute("aria-expanded", open);
  all.hidden = !open && one.list.length <= box.list.length;
  readyFirst(box);
}
/** Fills what is in view at once, without a frame in which it is empty. */
const readyFirst = box => queueMicrotask(() => {
  if (box.parts.length && box.getBoundingClientRect().top < innerHeight)
    box.parts.filter((part, at) => !at || !part.matches(".chunk")).forEach(fill);
});

function toggle(element) {
  const {id} = element.one, before = element.getBoundingClientRect().top;
  if (!opened.delete(id)) opened.add(id);
  show(element);
  // The head of the group stays where a person looks, whatever becomes of what stands above.
  if (before < 0) element.scrollIntoView({behavior: "instant"});
  element.querySelector(".all").focus({preventScroll: true});
}

/** Which of the usual groups a group of another level is made of. */
function whence({list}) {
  const counts = new Map();
  for (const i of list) counts.set(state.group[i], (counts.get(state.group[i]) ?? 0) + 1);
  const main = [...counts].filter(([id, count]) => id >= 0 && count >= .05 * list.length);
  main.sort((a, b) => b[1] - a[1]);
  const named = main.slice(0, 4).map(([id]) => state.names[id] || `Group ${id}`).join(", ");
  return (main.length === 1 ? "part of " : "from ") + named + (main.length > 4 ? " and more" : "");
}

function jump() {
  find("jump").replaceChildren(...lists.filter(one => one.list.length).map(one => {
    const item = make("li"), link = make("a");
    link.href = one.id < 0 ? "#none" : `#group-${one.id}`;
    link.append(make("span", "mini"), make("span", "word", called(one.id)),
      make("span", "number", one.list.length.toLocaleString("en")));
    link.firstChild.append(thumb(one.list[0]));
    item.append(link);
    return item;
  }));
}

/** Builds the page again, and keeps what a person looks at in its place. */
function render() {
  const kept = [...document.querySelectorAll("#groups .group")]
    .find(element => element.getBoundingClientRect().bottom > 70);
  const before = kept && scrollY > 0 ? kept.getBoundingClientRect().top : null;
  watcher.disconnect();
  regroup();
  document.body.classList.toggle("correcting", correcting);
  find("groups").replaceChildren(...lists.map(section));
  jump();
  search();
  const again = before !== null && find(kept.id);
  if (again) scrollBy({top: again.getBoundingClientRect().top - before, behavior: "instant"});
}

function search() {
  const words = find("search").value.trim().toLowerCase(), results = find("results");
  const same = showing === words;
  showing = words;
  results.hidden = !words;
  find("groups").hidden = Boolean(words);
  if (!words) results.querySelector(".body").replaceChildren();
  if (!words) return;
  const found = [];
  for (const {list} of lists)
    for (const i of list) if (data.names[i].toLowerCase().includes(words)) found.push(i);
  find("found").textContent = `${counted(found.length, "picture")} with “${words}” in the file name`;
  const box = grid(found, "Pictures found", true);
  results.querySelector(".body").replaceChildren(box);
  readyFirst(box);
  if (!same) scrollTo({top: Math.min(scrollY, find("main").offsetTop - 60), behavior: "instant"});
}

/** As many columns as fit, all of one width. */
function measure() {
  // As gallery.css has it: the padding of the page and of a group, and a group's border.
  const narrow = innerWidth <= 640, gap = narrow ? 5 : 8;
  const inner = find("main").clientWidth - (narrow ? 20 : 66);
  const count = Math.max(3, Math.floor((inner + gap) / ((narrow ? 80 : 108) + gap)));
  const side = Math.floor(10 * (inner - gap * (count - 1)) / count) / 10;
  document.documentElement.style.setProperty("--tile", `${side}px`);
  document.documentElement.style.setProperty("--gap", `${gap}px`);
  document.documentElement.style.setProperty("--columns", count);
  if (count === columns) return;
  columns = count;
  render();
}

const main = find("main");
main.addEventListener("click", event => {
  const picture = event.target.closest(".pic"), all = event.target.closest(".all");
  if (all) toggle(all.closest(".group"));
  if (!picture) return;
  stand(picture);
  if (correcting && !level) select(picture, event.shiftKey);
  else openPanel(Number(picture.dataset.i));
});
main.addEventListener("dblclick", event => {
  const picture = event.target.closest(".pic");
  if (correcting && picture) openPanel(Number(picture.dataset.i));
});
/** Makes a picture the one that the Tab key comes back to. */
function stand(picture) {
  const box = picture.closest(".rows");
  for (const other of box.querySelectorAll(".pic[tabindex='0']")) other.tabIndex = -1;
  box.at = picture.at;
  picture.tabIndex = 0;
}
function goTo(box, at) {
  const target = box.parts.find(one => at >= one.start && at < one.end);
  fill(target);
  const picture = target.children[at - target.start];
  stand(picture);
  picture.focus();
  return picture;
}
main.addEventListener("keydown", event => {
  const picture = event.target.closest(".pic"), element = event.target.closest("#groups .group");
  if (event.key === "Escape" && picture && chosen.size) { chosen.clear(); marks(); return; }
  if (event.key === "Escape" && element && opened.has(element.one.id)) toggle(element);
  if (!picture || event.ctrlKey || event.metaKey || event.altKey) return;
  const box = picture.closest(".rows"), last = box.list.length - 1;
  const steps = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns};
  const at = event.key === "Home" ? 0 : event.key === "End" ? last : box.at + steps[event.key];
  if (at >= 0 && at <= last) { event.preventDefault(); goTo(box, at); }
  if (correcting && event.key.toLowerCase() === "o") openPanel(Number(picture.dataset.i));
  if (correcting && event.key === " " && event.shiftKey) {
    event.preventDefault();
    select(picture, true);
  }
});
let waiting = 0;
find("search").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(search, 120);
});
find("search").addEventListener("keydown", event => {
  if (event.key === "Escape" && event.target.value) { event.target.value = ""; search(); }
});
const forget = () => { if (find("search").value) { find("search").value = ""; search(); } };
find("jump").addEventListener("click", forget);
addEventListener("beforeprint", () => {
  for (const target of document.querySelectorAll("#groups .cells")) fill(target);
});
