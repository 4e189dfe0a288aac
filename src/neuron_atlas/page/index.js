// Open what a link points into, and mark in the contents which section is in view.
function open() {
  const name = named(location.hash);
  const target = document.getElementById(name);
  const isExplorers = name.includes("=") && document.getElementById("explorer-neurons");
  const isKnown = !name || target || isExplorers;
  const notice = document.getElementById("unknown-address");
  notice.textContent = isKnown ? "" : `This page has nothing at “#${name}”. Its parts are in the contents above.`;
  if (!isKnown) notice.scrollIntoView({ block: "center" });
  for (let one = target; one; one = one.parentElement) {
    if (one.tagName === "DETAILS") one.open = true;
  }
  target?.scrollIntoView();
}

/** Return what an address names, as it is where it is no valid encoding. */
function named(hash) {
  try {
    return decodeURIComponent(hash.slice(1));
  } catch {
    return hash.slice(1);
  }
}

addEventListener("hashchange", open);
open();

const links = new Map(
  [...document.querySelectorAll("nav a")].map((link) => [decodeURIComponent(link.hash.slice(1)), link]),
);
const watch = new IntersectionObserver((entries) => {
  for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
    links.forEach((link) => link.removeAttribute("aria-current"));
    const link = links.get(target.getAttribute("aria-labelledby"));
    if (!link) continue;
    link.setAttribute("aria-current", "true");
    const list = link.closest("ol");
    list.scrollLeft = link.offsetLeft - list.clientWidth / 3;
  }
}, { rootMargin: "-20% 0px -75% 0px" });
document.querySelectorAll("main > section").forEach((section) => watch.observe(section));

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll(".relation, .claims details")) details.open = true;
});
