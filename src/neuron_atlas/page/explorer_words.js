// How the explorer writes numbers, languages and tokens. Text is always set as text, never as HTML.

const NONE = "–";
const languageNames = new Intl.DisplayNames(["en"], { type: "language", fallback: "none" });

/** Make an element; what is no element among its children becomes text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null));
  return element;
}

function number(value, digits = 2) {
  if (value === null) return NONE;
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/** Write a number with its sign, with four decimals if it is nearly 0. */
function signed(value, digits = value !== null && Math.abs(value) < 0.05 && value !== 0 ? 4 : 2) {
  return value === null ? NONE : (value > 0 ? "+" : "") + number(value, digits);
}

function digitsOf(values) {
  const largest = Math.max(0, ...values.filter((value) => value !== null).map(Math.abs));
  return largest > 0 && largest < 0.05 ? 4 : 2;
}

/** Write an effect with its interval, both with as many decimals as they need. */
function interval({ effect, low, high }) {
  if (effect === null) return NONE;
  const digits = digitsOf([effect, low, high]);
  if (low === null || high === null) return signed(effect, digits);
  const range = `[${signed(low, digits)}, ${signed(high, digits)}]`;
  return [signed(effect, digits), " ", make("span", { class: "interval" }, range)];
}

function chance(p) {
  if (p === null) return NONE;
  return p < 0.001 ? "< 0.001" : Number(p.toPrecision(2)).toString();
}

function share(value) {
  return value === null ? NONE : `${Math.round(100 * value)} %`;
}

/** Write a figure with about three digits. */
function short(value) {
  return signed(value, value !== null && Math.abs(value) >= 100 ? 0 : 1);
}

function plural(n, one, many = `${one}s`) {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

/** Name a language for people: the name in English, else the code. */
function languageName(code) {
  if (code === null) return NONE;
  if (code === "pooled") return "all languages";
  try {
    return languageNames.of(code) ?? code;
  } catch {
    return code;
  }
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Write what a user named, such as a label, in its own direction. */
function label(text) {
  return make("bdi", { dir: "auto" }, text ?? NONE);
}

/** Write a relation's name in words. */
function relationName(text) {
  return label(text?.replaceAll("_", " "));
}

/** Show a character that cannot be seen: a space, a control character, a mark of direction. */
function seen(character) {
  const code = character.codePointAt(0);
  if (character === " ") return "␣";
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "␡";
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

const UNSEEN = /([\p{C}\p{Z}\u{FE00}-\u{FE0F}\u{115F}\u{1160}\u{3164}\u{FFA0}\u{2800}])/u;

/** Write a token as it is, with what cannot be seen made visible. */
function token(text, isWanted = false) {
  const parts = text
    .split(UNSEEN)
    .filter((part) => part !== "")
    .map((part) => (UNSEEN.test(part) ? make("span", { class: "glyph" }, seen(part)) : part));
  if (typeof parts[0] === "string" && /^\p{M}/u.test(parts[0])) parts.unshift("◌");
  if (!parts.length) parts.push(make("span", { class: "glyph" }, "empty"));
  return make(isWanted ? "mark" : "bdi", { class: "token", dir: "auto" }, parts);
}

/** Link to a neuron's card, if it has one. */
function cardLink(list, flat) {
  const address = list.address(flat);
  if (list.position(flat) < 0) return make("span", { class: "address" }, address);
  return make(
    "a",
    { href: `#n=${address.replace(":", ".")}`, "data-neuron": flat, class: "address" },
    address,
  );
}
