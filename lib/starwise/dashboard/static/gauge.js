// A bar from bad to good with its number and its label (see Gauge in controls.py).

const PAUSE = 900; // ms without news until a screen reader is told the score

function render({ model, el }) {
  el.classList.add("sw-gauge");
  const bar = document.createElement("div");
  bar.className = "sw-bar";
  bar.setAttribute("role", "meter");
  bar.setAttribute("aria-label", "Sentiment of your text");
  bar.setAttribute("aria-valuemin", "0");
  bar.setAttribute("aria-valuemax", "100");
  const fill = document.createElement("div");
  fill.className = "sw-fill";
  bar.append(fill);
  const words = document.createElement("div");
  words.className = "sw-words";
  const label = document.createElement("span");
  label.className = "sw-label";
  const number = document.createElement("span");
  number.className = "sw-number";
  words.append(label, number);
  const aloud = document.createElement("div");
  aloud.className = "sw-aloud";
  aloud.setAttribute("role", "status");
  el.append(words, bar, aloud);

  let timer = 0;
  const draw = () => {
    const sentiment = model.get("sentiment");
    const scored = sentiment !== null;
    const points = scored ? Math.round(100 * sentiment) : 0;
    el.classList.toggle("sw-empty", !scored);
    el.style.setProperty("--sw-sentiment", scored ? sentiment : 0);
    el.style.setProperty("--sw-points", points);
    // Where the mixture of the two nearest of the three colours stands, in percent.
    el.style.setProperty("--sw-low", `${Math.max(0, 100 - 2 * points)}%`);
    el.style.setProperty("--sw-high", `${Math.max(0, 2 * points - 100)}%`);
    number.textContent = scored ? String(points) : "";
    label.textContent = scored ? model.get("label") : model.get("hint");
    bar.setAttribute("aria-valuenow", String(points));
    const said = scored ? `${points} of 100, ${model.get("label")}` : model.get("hint");
    bar.setAttribute("aria-valuetext", said);
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (aloud.textContent !== said) aloud.textContent = said;
    }, PAUSE);
  };
  model.on("change:sentiment change:label change:hint", draw);
  draw();
  return () => clearTimeout(timer);
}

export default { render };
