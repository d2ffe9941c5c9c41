// A bar from bad to good with its number and its label.

const PAUSE = 900; // ms without news until a screen reader is told the score
const NEAR = 4; // points, of 100, that the bar moves by in one step
const LABELS = { bad: "Reads as bad", average: "Reads as average", good: "Reads as good" };

function makeGauge() {
  const el = element("div", "sw-gauge");
  const words = element("div", "sw-words");
  const label = element("span", "sw-label");
  const number = element("span", "sw-number");
  const bar = element("div", "sw-bar", {
    role: "meter",
    "aria-label": "Sentiment of your text",
    "aria-valuemin": "0",
    "aria-valuemax": "100",
  });
  const aloud = element("div", "sw-aloud", { role: "status" });
  const fill = element("div", "sw-fill");
  // Their text is changed and not exchanged, which spares the browser to style it anew.
  const labelled = label.appendChild(new Text());
  const numbered = number.appendChild(new Text());
  words.append(label, number);
  bar.append(fill);
  el.append(words, bar, aloud);

  let timer = 0;
  let shown = null; // points, of the score before
  let told = null;
  const draw = (reading, hint) => {
    const points = reading ? Math.round(100 * reading.sentiment) : 0;
    const said = reading ? `${points} of 100, ${LABELS[reading.label]}` : hint;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (aloud.textContent !== said) aloud.textContent = said;
    }, PAUSE);
    if (said === told) return; // as every third letter
    told = said;
    el.classList.toggle("sw-empty", !reading);
    // A movement is seven frames to draw, and most letters move the bar by next to nothing. The
    // first score has nowhere to come from: not from bad, where the bar begins.
    const far = shown !== null && Math.abs(points - shown) > NEAR;
    fill.classList.toggle("sw-far", far && reading !== null);
    shown = reading ? points : null;
    fill.style.transform = `translateX(${points - 100}%)`;
    // Where the mixture of the two nearest of the three colours stands, in percent: in steps too
    // small to be seen, since each new colour is painted.
    const tone = 5 * Math.round(points / 5);
    fill.style.setProperty("--sw-low", `${Math.max(0, 100 - 2 * tone)}%`);
    fill.style.setProperty("--sw-high", `${Math.max(0, 2 * tone - 100)}%`);
    numbered.data = reading ? String(points) : "";
    labelled.data = reading ? LABELS[reading.label] : hint;
    bar.setAttribute("aria-valuenow", String(points));
    bar.setAttribute("aria-valuetext", said);
  };
  return { el, draw, stop: () => clearTimeout(timer) };
}
