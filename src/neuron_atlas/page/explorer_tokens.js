// The part of a card that says what the neuron writes: tokens that it promotes and suppresses.

const ALL = "all"; // scripts
const SCRIPTS = new Map([
  [ALL, "All scripts"],
  ["none", "No script (signs, digits)"],
]);
const N_COLOURS = 6; // the last is for all scripts beyond the five most frequent

function writes({ tokens, scripts }) {
  if (!tokens.length) return notMeasured("no token of this neuron’s was recorded");
  const meaning = note(MEANINGS.writes);
  const colours = colourOfScripts(scripts);
  const sides = ["promoted", "suppressed"].map((direction) =>
    side(
      direction,
      tokens.filter((row) => row.direction === direction),
      scripts.filter((row) => row.direction === direction).sort((a, b) => b.share - a.share),
      colours,
    ),
  );
  return [meaning, make("div", { class: "sides" }, sides)];
}

function side(direction, tokens, scripts, colours) {
  const place = (script) => [ALL, ...scripts.map((row) => row.script), script].indexOf(script);
  const named = [...new Set(tokens.map((row) => row.script))].sort((a, b) => place(a) - place(b));
  const lists = named.map((script) =>
    tokenList(
      script,
      tokens.filter((row) => row.script === script),
      scripts.find((row) => row.script === script),
    ),
  );
  const title = make("h5", {}, direction === "promoted" ? "Promoted" : "Suppressed");
  return make(
    "div",
    {},
    title,
    lists.length ? [shares(direction, scripts, colours), lists] : note("None recorded."),
  );
}

function tokenList(script, tokens, found) {
  const items = tokens.map((row) =>
    make("li", {}, token(row.token), " ", make("span", { class: "interval" }, short(row.logit))),
  );
  const part = found ? `, ${share(found.share)} of those counted` : "";
  const name = `${scriptName(script)}${part}`;
  const content = [make("summary", {}, name), make("ol", { class: "tokens" }, items)];
  return make("details", script === ALL ? { open: "" } : {}, content);
}

function scriptName(script) {
  return SCRIPTS.get(script) ?? script;
}

/** Give the scripts with the largest shares colours of their own, the same on both sides. */
function colourOfScripts(rows) {
  const sums = new Map();
  for (const { script, share: part } of rows) sums.set(script, (sums.get(script) ?? 0) + part);
  const sorted = [...sums].sort(([, a], [, b]) => b - a);
  return new Map(sorted.map(([script], k) => [script, Math.min(k, N_COLOURS - 1)]));
}

/** Draw the share of each script as one bar; the lists below it say the same in figures. */
function shares(direction, scripts, colours) {
  const known = scripts.filter((row) => row.share > 0);
  if (!known.length) return note("Shares by script were not measured.");
  const text = known.map((row) => `${scriptName(row.script)} ${share(row.share)}`).join(", ");
  const colour = (row) => make("span", { class: `part part-${colours.get(row.script)}` });
  const parts = known.map((row) => {
    const part = colour(row);
    part.style.flexGrow = row.share;
    return part;
  });
  const bar = make(
    "div",
    { class: "bar", role: "img", "aria-label": `Tokens ${direction} by script: ${text}` },
    parts,
  );
  const keys = known.map((row) =>
    make("span", { class: "key" }, colour(row), `${scriptName(row.script)} ${share(row.share)}`),
  );
  return [bar, make("p", { class: "keys", "aria-hidden": "true" }, keys)];
}
