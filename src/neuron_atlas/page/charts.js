// Draw each chart of the page when it comes near the view, in the colours of the page's theme.
//
// <div data-chart="ID"> is filled from the Vega-Lite specification in the JSON block ID; the chart's
// choices, if it has any, go into the element ID-choices.
const dark = matchMedia("(prefers-color-scheme: dark)");
const charts = [...document.querySelectorAll("[data-chart]")];

function theme(narrow) { // a narrow chart's legend ends where the chart ends, to have the labels' room
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const colours = (name) => colour(name).split(/\s*,\s*/);
  const text = { labelColor: colour("text"), titleColor: colour("soft"), labelLimit: 0, titleLimit: 0,
    labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
  return {
    aria: false,
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: { ...text, gridColor: colour("line"), domainColor: colour("soft"), tickColor: colour("soft") },
    legend: { ...text, layout: { top: { anchor: narrow ? "end" : "start" } } },
    range: { category: colours("series"), diverging: colours("diverging"), heatmap: colours("ramp") },
    style: {
      tile: { stroke: colour("back"), strokeWidth: 1 },
      outline: { stroke: colour("text"), strokeWidth: 1.8 },
      reference: { stroke: colour("text"), strokeWidth: 1.3, strokeDash: [4, 3] },
    },
  };
}

async function draw(place) {
  const id = place.dataset.chart;
  place.dataset.drawn = "drawing";
  try {
    const spec = JSON.parse(document.getElementById(id).textContent);
    const { view } = await window.atlasVega.embed(place, spec, {
      ast: true, // interpreted: the page's policy allows no eval
      actions: false,
      bind: document.getElementById(`${id}-choices`) ?? undefined,
      config: theme(place.clientWidth < 560),
      renderer: "svg",
      tooltip: { theme: dark.matches ? "dark" : "light" },
    });
    place.view = view;
    place.setAttribute("role", "img"); // one picture with one description, also to a screen reader
    place.setAttribute("aria-label", spec.description);
    place.querySelector("svg").setAttribute("aria-hidden", "true");
    place.dataset.drawn = dark.matches ? "dark" : "light";
  } catch (error) {
    place.textContent = "This chart could not be drawn; its numbers are in the table below it.";
    place.dataset.drawn = "failed";
    console.error(id, error);
  }
}

function drawAgain() {
  for (const place of charts.filter((one) => "drawn" in one.dataset)) {
    place.view?.finalize();
    document.getElementById(`${place.dataset.chart}-choices`)?.replaceChildren();
    draw(place);
  }
}

const watch = new IntersectionObserver((entries) => {
  for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
    watch.unobserve(target);
    draw(target);
  }
}, { rootMargin: "800px 0px" });
charts.forEach((place) => watch.observe(place));
dark.addEventListener("change", drawAgain);
addEventListener("beforeprint", () => charts.filter((one) => !("drawn" in one.dataset)).forEach(draw));
