// The data of the explorer: blocks of gzip in base64 in the page, unpacked when they are needed.

const KINDS = {
  relation: "relation",
  fact: "fact",
  language_independent: "language-independent",
  language_specific: "language-specific",
  degenerate: "degenerate",
};
const AFTER = 1e6; // more than any rank
const unpackedBlocks = new Map();

/** Return what a block of the page holds; each is unpacked once. */
function block(id) {
  if (!unpackedBlocks.has(id)) unpackedBlocks.set(id, unpacked(id));
  return unpackedBlocks.get(id);
}

async function unpacked(id) {
  const text = document.getElementById(id).textContent;
  const bytes = Uint8Array.fromBase64
    ? Uint8Array.fromBase64(text)
    : Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

/** Return where the rows of each neuron begin, and where the last end. */
function starts(counts) {
  const found = new Uint32Array(counts.length + 1);
  counts.forEach((count, i) => {
    found[i + 1] = found[i] + count;
  });
  return found;
}

/** Return a function from a row to its value: a number, or the text that the number stands for. */
function reader(column, texts) {
  if (!Array.isArray(column)) return reader(column.codes, column.texts);
  return texts ? (row) => texts[column[row]] ?? null : (row) => column[row];
}

/** Return the rows of one column: those of neuron `i`, and whether any is in `wanted`. */
function ragged({ counts, columns }, name) {
  const first = starts(counts);
  const values = columns[name];
  return {
    rows: (i) => [first[i], first[i + 1]],
    of: (i) => values.slice(first[i], first[i + 1]),
    any(i, wanted) {
      for (let row = first[i]; row < first[i + 1]; row += 1) if (wanted[values[row]]) return true;
      return false;
    },
  };
}

/** Return the list of neurons: by position in it, what the table shows of each. */
async function neuronList() {
  const [list, tokens] = await Promise.all([block("explorer-neurons"), block("explorer-tokens")]);
  const flat = new Float64Array(list.neuron.length);
  list.neuron.forEach((step, i) => {
    flat[i] = step + (i ? flat[i - 1] : 0);
  });
  const kinds = Object.keys(list.sets);
  const places = list.places.different.map(([kind, relation, language]) => ({ kind, relation, language }));
  const placed = ragged(list.places, "place");
  const shown = ragged(list.shown, "token");
  const best = { relation: reader(list.best.relation), language: reader(list.best.language) };
  return {
    size: flat.length,
    facts: new Map(Object.entries(list.facts)),
    atOnce: list.at_once,
    places,
    flat: (i) => flat[i],
    layer: (i) => Math.floor(flat[i] / list.n_neurons),
    index: (i) => flat[i] % list.n_neurons,
    massive: (i) => list.massive[i] === 1,
    activation: (i) => list.size[i],
    sets: rowReader(list.sets),
    nSets: (i) => kinds.reduce((sum, kind) => sum + list.sets[kind][i], 0),
    bestRelation: best.relation,
    bestLanguage: best.language,
    placesOf: (i) => placed.of(i).map((code) => places[code]),
    isIn: placed.any,
    bestIn: (i, wanted) => bestPlace(list.places.columns, placed.rows(i), places, wanted),
    shown: (i) => shown.of(i).map((code) => tokens[code]),
    effect: rowReader(list.effect),
    writes: rowReader(list.writes),
    address: (number) => `${Math.floor(number / list.n_neurons)}:${number % list.n_neurons}`,
    numbered: (layer, index) =>
      layer < list.n_layers && index < list.n_neurons ? layer * list.n_neurons + index : -1,
    position: (number) => position(flat, number),
  };
}

/** Return a function from a position to an object with the values of several columns there. */
function rowReader(columns) {
  const readers = Object.entries(columns).map(([name, values]) => [name, reader(values)]);
  return (i) => Object.fromEntries(readers.map(([name, read]) => [name, read(i)]));
}

/**
 * Return the place, of those wanted, where a neuron ranks best: in relations' sets before others, and
 * of equal ranks in the set of all languages first.
 */
function bestPlace({ place, rank }, [first, last], places, wanted) {
  let best = null;
  for (let row = first; row < last; row += 1) {
    const { kind, language } = places[place[row]];
    const order = (kind === "relation" ? 0 : AFTER) + rank[row] + (language === "pooled" ? 0 : 0.5);
    if (wanted[place[row]] && rank[row] !== null && !(best?.order <= order)) {
      best = { ...places[place[row]], rank: rank[row], order };
    }
  }
  return best;
}

/** Return where a number is in a rising array, or -1. */
function position(rising, number) {
  let [low, high] = [0, rising.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rising[middle] < number) low = middle + 1;
    else high = middle;
  }
  return rising[low] === number ? low : -1;
}

/** Return all that the cards' tables hold on the neuron at a position: rows by name of table. */
async function details(list, i) {
  const here = `explorer-details-${Math.floor(i / list.atOnce)}`;
  const [tables, others, token] = await Promise.all([here, "explorer-texts", "explorer-tokens"].map(block));
  const texts = { ...others, token };
  const rows = Object.entries(tables).map(([name, table]) => [name, rowsOf(table, i % list.atOnce, texts)]);
  return Object.fromEntries(rows);
}

function rowsOf({ counts, columns }, i, texts) {
  const first = starts(counts);
  const readers = Object.entries(columns).map(([name, column]) => [name, reader(column, texts[name])]);
  const found = [];
  for (let row = first[i]; row < first[i + 1]; row += 1) {
    found.push(Object.fromEntries(readers.map(([name, read]) => [name, read(row)])));
  }
  return found;
}

/** Return an address such as 11:1532 or 11.1532 as a number of the list's neurons, or null. */
function addressed(list, text) {
  const found = /^\s*(\d{1,9})\s*[:.]\s*(\d{1,9})\s*$/.exec(text);
  return found && list.numbered(Number(found[1]), Number(found[2]));
}

/** Return what filters ask for: which neurons, in which places, promoting which tokens. */
async function passing(list, filters) {
  const { relation, language, kind, layer } = filters;
  const wanted = list.places.map(
    (place) =>
      (!relation || place.relation === relation) &&
      (!language || place.language === language) &&
      (!kind || place.kind === kind),
  );
  const tests = [(i) => list.isIn(i, wanted)];
  if (layer) tests.push((i) => list.layer(i) === Number(layer));
  const text = filters.token.trim();
  const number = addressed(list, text);
  if (number !== null) tests.push((i) => list.flat(i) === number);
  const searched = text && number === null ? await promoting(text) : null;
  if (searched) tests.push(searched.any);
  return {
    accepts: (i) => tests.every((test) => test(i)),
    found: searched ? searched.found : () => [],
    best: (i) => list.bestIn(i, wanted),
  };
}

/** Return whether a neuron promotes a token with this text in it, and those tokens. */
async function promoting(text) {
  const [rows, tokens] = await Promise.all([block("explorer-promoted"), block("explorer-tokens")]);
  const promoted = ragged(rows, "token");
  const wanted = tokens.map(matcher(text));
  return {
    any: (i) => promoted.any(i, wanted),
    found: (i) =>
      promoted
        .of(i)
        .filter((code) => wanted[code])
        .map((code) => tokens[code]),
  };
}

/** Return whether a token holds a text, upper or lower case; whether it is it, if in quotes. */
function matcher(text) {
  const plain = (any) => any.normalize("NFC").toLowerCase().trim();
  const quoted = /^\s*["“](.+)["”]\s*$/.exec(text);
  const wanted = plain(quoted ? quoted[1] : text);
  return (token) => (quoted ? plain(token) === wanted : plain(token).includes(wanted));
}
