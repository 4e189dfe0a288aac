// The table of neurons, by DataTables: what is shown of a neuron, sorted by, and exported.

const PAGE = 25;
const TOKENS = 5; // of those that a neuron promotes most
const FURTHER = 3; // of those that were looked for

// `value` is what is sorted by, first down if `isDown`; `show` what is shown, a text or an element.
// Both take the list, a position in it, and what the filters ask for; `isFiltered` if it matters.
const COLUMNS = [
  {
    name: "neuron",
    title: "Neuron",
    value: (list, i) => list.flat(i),
    show: (list, i) => cardLink(list, list.flat(i)),
  },
  { name: "sets", title: "In sets", isDown: true, value: (list, i) => list.nSets(i), show: badges },
  {
    name: "rank",
    title: "Best rank",
    isFiltered: true,
    value: (list, i, filter) => filter.best(i)?.order,
    show: bestRankShown,
  },
  { name: "promotes", title: "Promotes", orderable: false, show: promotes },
  {
    name: "effect",
    title: "Effect alone, nats",
    className: "n",
    value: (list, i) => list.effect(i).effect,
    show: (list, i) => interval(list.effect(i)),
  },
  {
    name: "writes",
    title: "Writes its relation",
    className: "n",
    isDown: true,
    value: (list, i) => list.writes(i).auc,
    show: (list, i) => number(list.writes(i).auc),
  },
  {
    name: "size",
    title: "Mean activation",
    className: "n",
    isDown: true,
    value: (list, i) => list.activation(i),
    show: size,
  },
];

const kindsOf = (list, i) =>
  Object.entries(list.sets(i))
    .filter(([, n]) => n)
    .map(([kind]) => kind);
const each = (list, i, key) =>
  [
    ...new Set(
      list
        .placesOf(i)
        .map((place) => place[key])
        .filter((text) => text !== null),
    ),
  ].sort();

/** Return a row of the file that is exported, by the names of its columns. */
function exportedRow(list, i, filter) {
  const [best, sets, effect, writes] = [filter.best(i), list.sets(i), list.effect(i), list.writes(i)];
  return {
    neuron: list.address(list.flat(i)),
    layer: list.layer(i),
    index: list.index(i),
    massive: list.massive(i),
    mean_activation: list.activation(i),
    kinds: kindsOf(list, i).join(" "),
    ...Object.fromEntries(Object.entries(sets).map(([kind, n]) => [`n_${kind}`, n])),
    relations: JSON.stringify(each(list, i, "relation")),
    languages: JSON.stringify(each(list, i, "language")),
    rank: best && best.rank + 1,
    rank_kind: best?.kind,
    rank_relation: best?.relation,
    rank_language: best?.language,
    best_relation: list.bestRelation(i),
    best_language: list.bestLanguage(i),
    promoted: JSON.stringify(list.shown(i)),
    effect: effect.effect,
    effect_low: effect.low,
    effect_high: effect.high,
    effect_relation: effect.relation,
    writes_relation: writes.relation,
    writes_auc: writes.auc,
    writes_random: writes.random,
    writes_p_value: writes.p_value,
  };
}

function badges(list, i) {
  const found = list.sets(i);
  return make(
    "span",
    { class: "badges" },
    kindsOf(list, i).map((kind) =>
      make("span", { class: `badge ${kind}` }, KINDS[kind], " ", make("b", {}, String(found[kind]))),
    ),
  );
}

/** Show where a neuron ranks best, of the sets that pass: from 1, and in which set. */
function bestRankShown(list, i, filter) {
  const best = filter.best(i);
  if (!best) return NONE;
  const named = best.relation === null ? [] : [relationName(best.relation), " "];
  const kind = best.kind === "relation" ? "" : `, ${KINDS[best.kind]}`;
  const where = make(
    "span",
    { class: "soft" },
    named,
    best.language === null ? "" : languageName(best.language),
    kind,
  );
  return make("span", {}, make("b", {}, String(best.rank + 1)), " ", where);
}

/** Show the tokens that a neuron promotes most, and those that were looked for. */
function promotes(list, i, filter) {
  const wanted = new Set(filter.found(i));
  const most = list.shown(i).slice(0, TOKENS);
  if (!most.length && !wanted.size) return make("span", { class: "soft" }, "not measured");
  const further = [...wanted].filter((text) => !most.includes(text)).slice(0, FURTHER);
  return make(
    "span",
    { class: "tokens" },
    [...most, ...further].map((text) => [token(text, wanted.has(text)), " "]),
  );
}

function size(list, i) {
  const value = number(list.activation(i));
  return list.massive(i)
    ? make("span", {}, value, make("span", { class: "badge massive" }, "massive"))
    : value;
}

/** Keep a text from being run as a formula by a spreadsheet. */
function plainCell(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" && /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : String(value);
}

/** Return a number per neuron by which a column is sorted; NaN where it has none. */
function keys({ list, filter }, column) {
  const found =
    column.keys ?? Float64Array.from({ length: list.size }, (_, i) => column.value(list, i, filter) ?? NaN);
  if (!column.isFiltered) column.keys = found;
  return found;
}

/** Return the positions of the neurons that pass, in an order; those without a value come last. */
function ordered(shown, column, isDown) {
  const by = keys(shown, column);
  const [known, missing] = [[], []];
  for (let i = 0; i < shown.list.size; i += 1) {
    if (shown.filter.accepts(i)) (Number.isNaN(by[i]) ? missing : known).push(i);
  }
  const sign = isDown ? -1 : 1;
  known.sort((a, b) => sign * (by[a] - by[b]) || a - b);
  return known.concat(missing);
}

/** Give DataTables the rows of a page; filter and sort anew when what they go by has changed. */
function pageOf(shown, { draw, start, length, order: [first] }, done) {
  const by = { filter: shown.filter, ...first };
  if (!shown.by || Object.keys(by).some((key) => by[key] !== shown.by[key])) {
    Object.assign(shown, { by, rows: ordered(shown, COLUMNS[first.column], first.dir === "desc") });
  }
  const data = shown.rows.slice(start, start + length).map((i) => ({ i }));
  done({ draw, recordsTotal: shown.list.size, recordsFiltered: shown.rows.length, data });
}

/** Make the table of `shown.list`; `shown.filter` says which rows pass and what is marked in them. */
function neuronTable(shown, element) {
  const { list } = shown;
  const columns = COLUMNS.map(({ name, title, className, orderable, show, isDown }) => ({
    ...{ name, title, className, orderable, orderSequence: isDown ? ["desc", "asc"] : ["asc", "desc"] },
    data: ({ i }) => i,
    render: (i) => asElement(show(list, i, shown.filter)),
  }));
  const DataTable = openDataTables();
  return new DataTable(element, {
    columns,
    serverSide: true, // the rows come from `ajax`, a page at a time, and stay in this page
    ajax: (request, done) => pageOf(shown, request, done),
    order: order(FIRST_ORDER),
    createdRow: (row, { i }) => {
      row.dataset.neuron = list.flat(i);
    },
    ...settings(shown),
  });
}

/** Return a cell's content as an element: DataTables takes a text for HTML. */
function asElement(content) {
  return content instanceof Element ? content : make("span", {}, content);
}

/** Put what is exported in place of the page's rows: all that pass, with columns of their own. */
function exported({ list, rows, filter }, data) {
  const all = rows.map((i) => exportedRow(list, i, filter));
  const names = list.size ? Object.keys(exportedRow(list, 0, filter)) : [];
  data.body = [names, ...all.map((row) => names.map((name) => plainCell(row[name])))];
}

function settings(shown) {
  const csv = {
    extend: "csv",
    text: "Download as CSV",
    filename: "neurons",
    bom: true,
    header: false, // it is the first row of the body
    exportOptions: {
      columns: [0],
      format: { body: () => "" },
      customizeData: (data) => exported(shown, data),
    },
  };
  return {
    ...{ autoWidth: false, orderClasses: false, orderMulti: false, pageLength: PAGE },
    layout: { topStart: "info", topEnd: { buttons: [csv] }, bottomStart: "pageLength", bottomEnd: "paging" },
    language: {
      info: "_START_ to _END_ of _TOTAL_ neurons",
      infoEmpty: "No neuron",
      infoFiltered: "(of _MAX_)",
      lengthMenu: "_MENU_ per page",
      zeroRecords: "No neuron passes these filters.",
      emptyTable: "No neuron is in any set.",
    },
  };
}
