// A neuron's card: every section says what it means, and where nothing was measured, that.

const MEASURED_BY = new Map([
  ["degenerate_neurons", "search for degenerate neurons"],
  ["attribution_methods", "attribution methods"],
]);
const SETS_OF = { ...KINDS, relation: "of relations", fact: "of facts" };
const POOLED = "pooled";
const ONE_PAGE = 12; // rows of a list that is open from the start

/** Return a card's sections. `rows` are its rows of each table of the cards. */
function cardSections(list, i, rows) {
  return [
    summary(list, i, rows),
    section("What it writes", writes(rows)),
    section("Does it write what it detects?", writesDetected(rows.writes)),
    section("What it detects", detects(rows.scores)),
    section("Prompts on which it is strongest and weakest", prompts(list, rows.prompts)),
    section("What breaks without it alone", effects(list, rows.effects)),
    section("Partners", partners(list, rows.partners)),
    section("Sets it is in", memberships(list, rows.memberships)),
  ];
}

function section(heading, content) {
  return make("section", {}, make("h4", {}, heading), content);
}

function note(...text) {
  return make("p", { class: "note" }, ...text);
}

function notMeasured(what) {
  return make("p", { class: "missing" }, `Not measured: ${what}.`);
}

/**
 * Return a table that scrolls where it is too wide, without the columns that hold nothing.
 * `kinds` marks columns of numbers by "n".
 */
function grid(name, allHeadings, allRows, allKinds = "") {
  const used = allHeadings.map((_, j) => j === 0 || allRows.some((row) => row[j] !== NONE));
  const keep = (cells) => [...cells].filter((_, j) => used[j]);
  const [headings, body, kinds] = [keep(allHeadings), allRows.map(keep), keep(allKinds)];
  const cell = (tag, content, j, scope) =>
    make(tag, { scope, class: kinds[j] === "n" ? "n" : null }, content);
  const head = make(
    "tr",
    {},
    headings.map((heading, j) => cell("th", heading, j, "col")),
  );
  const lines = body.map((row) =>
    make(
      "tr",
      {},
      row.map((content, j) => (j === 0 ? cell("th", content, j, "row") : cell("td", content, j, null))),
    ),
  );
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, lines));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, table);
}

function summary(list, i, rows) {
  const found = list.sets(i);
  const parts = Object.keys(KINDS)
    .filter((kind) => found[kind])
    .map((kind) => `${found[kind]} ${SETS_OF[kind]}`);
  const sentences = [`It is in ${plural(list.nSets(i), "set")}: ${parts.join(", ")}.`];
  sentences.push(bestRank(list, i, rows.scores), " ", alone(list.effect(i)));
  const massive = list.massive(i)
    ? make("p", { class: "warning" }, make("b", {}, "Massive activation."), " ", MEANINGS.massive)
    : null;
  const isMassive = list.massive(i) ? "" : " It is not a massive one.";
  const size = note(`Mean size of its activation: ${number(list.activation(i))}.${isMassive}`);
  return make("div", { class: "summary" }, make("p", {}, sentences), massive, size);
}

function precision(scores, relation, language) {
  const row = scores.find((one) => one.relation === relation && one.language === language);
  return row && row.average_precision !== null ? ` (average precision ${number(row.average_precision)})` : "";
}

/** Say for which relation the neuron ranks best, among sets of relations or else of facts. */
function bestRank(list, i, scores) {
  const [relation, language] = [list.bestRelation(i), list.bestLanguage(i)];
  if (relation === null) return "";
  const where = language === null ? "" : `, ${languageName(language)}`;
  const begin = list.sets(i).relation
    ? " Among sets of relations it ranks best in that of "
    : " It is in no relation’s set; among facts it ranks best for one of ";
  return [begin, make("b", {}, relationName(relation)), `${where}${precision(scores, relation, language)}.`];
}

/** Say what the effect of the neuron alone on a relation is. */
function alone({ relation, effect, low, high }) {
  if (effect === null) return "Its effect alone was not measured over a relation’s prompts.";
  const change = [
    "Without it alone, the right answer’s log-probability changes by ",
    make("b", {}, signed(effect)),
    " nats",
  ];
  if (low === null || high === null) return [change, " on ", relationName(relation), "."];
  const word = low > 0 || high < 0 ? "an effect beyond 0" : "no effect that can be told from 0";
  return [change, ` [${signed(low)}, ${signed(high)}] on `, relationName(relation), `: ${word}.`];
}

function writesDetected(rows) {
  if (!rows.length)
    return notMeasured(
      "this neuron is in no set of a relation whose answers’ first tokens tell relations apart",
    );
  const meaning = note(MEANINGS.writesDetected);
  const body = rows.map((row) => [
    relationName(row.relation),
    languageName(row.language),
    number(row.auc),
    number(row.random),
    chance(row.p_value),
  ]);
  return [
    meaning,
    grid(
      "Does it write what it detects",
      ["Relation", "Language", "Chance", "Random neurons", "p"],
      body,
      "..nnn",
    ),
  ];
}

function detects(rows) {
  if (!rows.length) return notMeasured("this neuron has no scores");
  const relations = [...new Set(rows.map((row) => row.relation))];
  const languages = [...new Set(rows.map((row) => row.language))];
  languages.sort((a, b) => (b === POOLED) - (a === POOLED));
  const meaning = note(MEANINGS.detects);
  const body = languages.map((language) => [
    capital(languageName(language)),
    ...relations.map((relation) =>
      score(rows.find((row) => row.language === language && row.relation === relation)),
    ),
  ]);
  const table = grid(
    "Scores by language and relation",
    ["Language", ...relations.map(relationName)],
    body,
    `.${"n".repeat(relations.length)}`,
  );
  table.classList.add("heat");
  return [meaning, table];
}

function score(row) {
  if (!row || row.average_precision === null) return NONE;
  const means = make("span", { class: "means" }, `${number(row.mean, 1)} | ${number(row.elsewhere, 1)}`);
  const cell = make("span", { class: "score" }, make("b", {}, number(row.average_precision)), means);
  cell.style.setProperty("--heat", `${Math.round(45 * Math.max(0, Math.min(1, row.average_precision)))}%`);
  return cell;
}

function prompts(list, rows) {
  if (!rows.length) return notMeasured("no value of this neuron on a prompt was recorded");
  const meaning = note(MEANINGS.prompts);
  const tables = [
    ["strongest", "Strongest"],
    ["weakest", "Weakest"],
  ].map(([end, name]) => {
    const body = rows
      .filter((row) => row.end === end)
      .map((row) => [
        number(row.value, 2),
        make("bdi", { dir: "auto", class: "prompt" }, row.prompt),
        label(row.answer),
        relationName(row.relation),
        languageName(row.language),
      ]);
    return [
      make("h5", {}, name),
      body.length
        ? grid(`${name} prompts`, ["Value", "Prompt", "Answer", "Relation", "Language"], body, "n....")
        : note("None recorded."),
    ];
  });
  return [meaning, tables.flat()];
}

function effects(list, rows) {
  if (!rows.length) return notMeasured("no stage switched off this neuron alone");
  const meaning = note(MEANINGS.effects);
  const weight = (row) => (row.measured_by === "cards" ? Infinity : Math.abs(row.effect ?? 0));
  const sorted = rows.toSorted((a, b) => weight(b) - weight(a) || 0);
  const body = sorted.map((row) => [
    row.fact === null ? "several facts" : factName(list, row.fact),
    relationName(row.relation),
    row.language === null ? "several" : languageName(row.language),
    interval(row),
    row.n_prompts.toLocaleString("en"),
    measuredBy(row),
  ]);
  return [
    meaning,
    grid(
      "Effect of this neuron alone",
      ["Asked", "Relation", "Language", "Effect, nats", "Prompts", "Measured by"],
      body,
      "...nn.",
    ),
  ];
}

function factName(list, fact) {
  return label(list.facts.get(fact) ?? fact);
}

/** Name what measured an effect, with its unit where that is another than the column's. */
function measuredBy({ measured_by: name, unit }) {
  const rest = (unit ?? "").replace(/^nats(, )?/, "");
  return [MEASURED_BY.get(name) ?? name, ...(rest ? [rest] : [])].join(", ");
}

function partners(list, rows) {
  if (!rows.length) return note(MEANINGS.noPartners);
  const meaning = note(MEANINGS.partners);
  const body = rows.map((row) => [
    cardLink(list, row.partner),
    row.kind === "degenerate" ? "degenerate" : "co-selected",
    row.count.toLocaleString("en"),
    number(row.expected, 1),
    signed(row.interaction),
    row.fact === null ? NONE : factName(list, row.fact),
    languageName(row.language),
  ]);
  return [
    meaning,
    grid(
      "Partners",
      ["Neuron", "Kind", "In common", "By chance", "Interaction, nats", "Fact", "Language"],
      body,
      "..nnn..",
    ),
  ];
}

function memberships(list, rows) {
  if (!rows.length) return notMeasured("it is in no set");
  const meaning = note(MEANINGS.memberships);
  const groups = Object.keys(KINDS)
    .map((kind) => [kind, rows.filter((row) => row.kind === kind)])
    .filter(([, own]) => own.length);
  const tables = groups.map(([kind, own]) =>
    make(
      "details",
      own.length <= ONE_PAGE ? { open: "" } : {},
      make("summary", {}, `${KINDS[kind]}: ${plural(own.length, "set")}`),
      note("Score: ", SCORES[kind]),
      grid(
        `Sets: ${KINDS[kind]}`,
        ["Set", "Relation", "Language", "Rank", "Score"],
        own.map((row) => [
          kind === "language_specific" ? languageName(row.name) : label(row.label),
          relationName(row.relation),
          languageName(row.language),
          row.rank === null ? NONE : String(row.rank + 1),
          number(row.score, 3),
        ]),
        "...nn",
      ),
    ),
  );
  return [meaning, tables];
}
