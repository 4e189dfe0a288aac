// The explorer: the table of neurons, its filters and its cards. The address holds what is shown.

const FILTERS = ["relation", "language", "kind", "layer", "token"];
const FIRST_ORDER = "rank";
const at = (id) => document.getElementById(`explorer-${id}`);
const form = at("filters");
const dialog = at("card");
let asked = null; // the place of the card that was asked for last
let opened = null; // a promise of { list, table, filter, rows }

/** Return what the address says: filters, sort and neuron; nothing if it speaks of other things. */
function addressState() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (![...FILTERS, "sort", "n"].some((key) => given.has(key))) return null;
  const onlyNeuron = [...given.keys()].every((key) => key === "n");
  return { given, onlyNeuron, neuron: given.get("n") };
}

function filtersShown() {
  return Object.fromEntries(FILTERS.map((name) => [name, form.elements[name].value]));
}

/** Write the open card, filters and sort into the address; `isNew` is a step to come back from. */
function writeAddress({ table }, isNew = false) {
  const shown = new URLSearchParams();
  if (dialog.open) shown.set("n", dialog.dataset.neuron.replace(":", "."));
  for (const [name, value] of Object.entries(filtersShown())) if (value.trim()) shown.set(name, value);
  if (orderOf(table) !== FIRST_ORDER) shown.set("sort", orderOf(table));
  const address = shown.size ? `#${shown}` : location.pathname + location.search;
  if (isNew) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

function orderOf(table) {
  const [first] = table.order();
  return first ? (first[1] === "desc" ? "-" : "") + COLUMNS[first[0]].name : FIRST_ORDER;
}

/** Return the order that a text such as `-effect` names, or null. */
function order(text) {
  const place = COLUMNS.findIndex(
    (column) => column.orderable !== false && column.name === text?.replace(/^-/, ""),
  );
  return place < 0 ? null : [[place, text.startsWith("-") ? "desc" : "asc"]];
}

function say(text) {
  at("notice").textContent = text;
}

/** Unpack the list and make the table, once. */
function open() {
  opened ??= start().catch((error) => {
    at("table").hidden = true;
    say(`The table cannot be shown in this browser (${error.message}). Its rows are in data/cards.`);
    throw error;
  });
  return opened;
}

async function start() {
  say("Unpacking the list of neurons …");
  const list = await neuronList();
  const shown = { list, filter: await passing(list, filtersShown()), rows: [] };
  shown.table = neuronTable(shown, at("table"));
  shown.table.on("draw", () => writeAddress(shown));
  say("");
  return shown;
}

/** Show the rows that pass the filters of the form. */
async function filter(shown) {
  const filters = filtersShown();
  const found = await passing(shown.list, filters);
  if (JSON.stringify(filters) !== JSON.stringify(filtersShown())) return; // a newer one is under way
  shown.filter = found;
  shown.table.draw();
  form.querySelector("[type=reset]").disabled = !Object.values(filters).some((value) => value.trim());
}

/** Bring the page to what the address says. */
async function followAddress() {
  const state = addressState();
  if (!state) {
    if (dialog.open) dialog.close();
    return;
  }
  const shown = await open();
  if (!state.onlyNeuron) await follow(shown, state.given);
  if (state.neuron === null) {
    if (dialog.open) dialog.close();
    at("section").scrollIntoView();
    return;
  }
  const number = addressed(shown.list, state.neuron);
  const place = number === null ? -1 : shown.list.position(number);
  if (place >= 0) return openCard(shown, place);
  say(`There is no card of neuron “${state.neuron}”: it is in no set, or the model has no such neuron.`);
  at("section").scrollIntoView();
}

async function follow(shown, given) {
  const unknown = [];
  for (const name of FILTERS) {
    form.elements[name].value = given.get(name) ?? "";
    if (form.elements[name].selectedIndex === -1) {
      unknown.push(`${name} “${given.get(name)}”`);
      form.elements[name].value = "";
    }
  }
  shown.table.order(order(given.get("sort")) ?? order(FIRST_ORDER));
  say(unknown.length ? `This run has no ${unknown.join(" and no ")}; that filter is ignored.` : "");
  await filter(shown);
}

/** Open the card of the neuron at a position of the list, and put it into the address. */
async function openCard(shown, place, isNew = false) {
  const { list } = shown;
  const address = list.address(list.flat(place));
  asked = place;
  const sections = cardSections(list, place, await details(list, place));
  if (asked !== place) return; // another card was asked for since
  at("title").textContent = `Neuron ${address}`;
  at("subtitle").textContent = `Layer ${list.layer(place)}, index ${list.index(place)}`;
  at("content").replaceChildren(...sections);
  dialog.dataset.neuron = address;
  const here = shown.rows.indexOf(place);
  neighbour("previous", list, here < 0 ? undefined : shown.rows[here - 1]);
  neighbour("next", list, here < 0 ? undefined : shown.rows[here + 1]);
  if (!dialog.open) dialog.showModal();
  writeAddress(shown, isNew);
  if (![at("previous"), at("next")].some((button) => button === document.activeElement)) at("title").focus();
  at("content").scrollTop = 0;
}

function neighbour(name, list, place) {
  const button = at(name);
  button.disabled = place === undefined;
  if (place !== undefined) button.dataset.neuron = list.flat(place);
}

/** Open a card by a click on something that names a neuron. */
async function openClicked(event) {
  const origin = event.target.closest("[data-neuron]:not(dialog)");
  if (!origin || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  if (getSelection().toString() && !event.target.closest("a, button")) return; // text is being selected
  event.preventDefault();
  const shown = await open();
  await openCard(shown, shown.list.position(Number(origin.dataset.neuron)), true);
}

async function closed() {
  const shown = await open();
  if (addressState()?.neuron) writeAddress(shown);
  if (document.activeElement === document.body) {
    const [layer, index] = dialog.dataset.neuron.split(":");
    const link = at("section").querySelector(`a[href="#n=${layer}.${index}"]`);
    (link ?? document.getElementById("explorer")).focus();
  }
}

async function filtered() {
  const shown = await open();
  say("");
  await filter(shown);
}

function nameLanguages() {
  for (const option of form.elements.language.options) {
    if (option.value) option.textContent = capital(languageName(option.value));
  }
}

function listen() {
  let pause;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(filtered, 150);
  });
  form.addEventListener("reset", () => setTimeout(filtered));
  at("section").addEventListener("click", openClicked);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", closed);
  at("close").addEventListener("click", () => dialog.close());
  addEventListener("hashchange", followAddress);
  form.addEventListener("focusin", open, { once: true });
  new IntersectionObserver(
    (entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      open();
    },
    { rootMargin: "400px" },
  ).observe(at("section"));
}

at("tool").hidden = false;
nameLanguages();
listen();
followAddress();
