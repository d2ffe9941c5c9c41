// Draws the list of companies from a JSON call. Text goes in as text, never as markup.
const list = document.getElementById("companies");
const page = new URLSearchParams(location.search).get("page") || "1";
const words = { 1: "Bad", 2: "Poor", 3: "Average", 4: "Great", 5: "Excellent" };

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function image(className, source, alt, width, height) {
  const made = element("img", className);
  Object.assign(made, { src: source, alt, width, height });
  return made;
}

function card(company) {
  const link = element("a", "company-card");
  link.href = company.url;
  const text = element("span", "company-words");
  const standing = element("span", "company-standing");
  if (company.stars) {
    const alt = `${company.stars} stars: ${words[company.stars]}`;
    standing.append(image("stars", `/static/stars-${company.stars}.svg`, alt, 104, 20));
    standing.append(` ${company.mean.toFixed(1)} `);
  }
  standing.append(element("span", "quiet", `· ${company.reviews.toLocaleString("en")} reviews`));
  text.append(
    element("span", "company-name", company.name),
    element("span", "company-tagline", company.tagline),
    standing,
  );
  link.append(image("logo", company.logo, "", 48, 48), text);
  const item = element("li");
  item.append(link);
  return item;
}

function pages(number, last) {
  const nav = element("nav", "pages");
  nav.setAttribute("aria-label", "Pages of companies");
  const link = (className, relation, target, text) => {
    const made = element("a", className, text);
    made.rel = relation;
    made.href = `${location.pathname}?page=${target}`;
    nav.append(made);
  };
  if (number > 1) link("previous-page", "prev", number - 1, "← Previous page");
  nav.append(element("span", "quiet", `Page ${number} of ${last}`));
  if (number < last) link("next-page", "next", number + 1, "Next page →");
  return nav;
}

async function draw() {
  const query = new URLSearchParams({ sub_category: list.dataset.subCategory, page });
  const answer = await fetch(`/api/companies?${query}`);
  if (!answer.ok) throw new Error(`the list answered ${answer.status}`);
  const found = await answer.json();
  const cards = element("ul", "cards");
  cards.append(...found.companies.map(card));
  list.replaceChildren(
    found.companies.length ? cards : element("p", "note", "No company is listed here yet."),
    pages(found.page, found.pages),
  );
  list.dataset.state = "ready";
}

draw().catch((error) => {
  list.replaceChildren(element("p", "note", `The companies could not be fetched: ${error.message}.`));
  list.dataset.state = "failed";
});
