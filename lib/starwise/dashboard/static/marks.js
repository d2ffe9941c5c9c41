// The words that moved the score: which way by colour and by an arrow, how far by a number.

function makeMarks() {
  const el = element("div", "sw-marks");
  const title = element("p", "sw-legend", { id: unique("sw-marks") });
  const list = element("ul", "", { "aria-labelledby": title.id });
  const better = element("span", "sw-up");
  const worse = element("span", "sw-down");
  better.textContent = "▲ raises the score";
  worse.textContent = "▼ lowers it";
  title.append("The words that count: ", better, " ", worse);
  el.append(title, list);

  const item = ([word, effect]) => {
    const up = effect > 0;
    const points = Math.max(1, Math.round(100 * Math.abs(effect)));
    const made = element("li", up ? "sw-up" : "sw-down");
    const arrow = element("span", "", { "aria-hidden": "true" });
    arrow.textContent = up ? "▲" : "▼";
    const text = element("bdi");
    text.textContent = word;
    const amount = element("small");
    amount.textContent = `${up ? "+" : "−"}${points}`;
    const aloud = element("span", "sw-aloud");
    aloud.textContent = up ? " raises the score by" : " lowers the score by";
    made.append(arrow, text, aloud, amount);
    return made;
  };
  let drawn = "";
  return {
    el,
    /** `current` says whether the marks belong to the text as it stands. */
    draw: (marks, current) => {
      el.classList.toggle("sw-stale", !current);
      el.classList.toggle("sw-none", !marks.length);
      const now = JSON.stringify(marks);
      if (now !== drawn) list.replaceChildren(...marks.map(item));
      drawn = now;
    },
  };
}
