# 1. The road behind the road
with serve(companies=40, reviews=400) as small:
    home = bs4.BeautifulSoup(requests.get(f"{small.url}/categories", timeout=10).text, "lxml")
    slugs = [link["href"].rsplit("/", 1)[1] for link in home.select("a.sub-category")]
    names = set()
    for slug in slugs:
        page = pages = 1
        while page <= pages:
            query = {"sub_category": slug, "page": page}
            answer = requests.get(f"{small.url}/api/companies", query, timeout=10).json()
            names |= {company["name"] for company in answer["companies"]}
            page, pages = page + 1, answer["pages"]
print(f"{len(names)} of 40 companies, without a browser")

# 2. Shuffled by silence: the silent review at place 0, 5, 10, ... of a page of 20
stars = table["rating"].head(20).tolist()
for silent in range(0, len(stars), 5):
    texts_of = [place for place in range(len(stars)) if place != silent]
    wrong = sum(stars[place] != given for place, given in zip(texts_of, stars, strict=False))
    print(f"silent at {silent:2}: {wrong} of {len(texts_of)} texts get wrong stars")
# Only the texts after the silent review shift, so an early silence does more harm. And a shift is
# only seen where two neighbours differ: among five-star reviews nobody notices.


# 3. A bad day
def collect_small(faults, **options):
    with (
        serve(companies=12, reviews=300, faults=faults) as small,
        tempfile.TemporaryDirectory() as to,
    ):
        visitor = Guest("practice", small.url)
        lists = read_categories(visitor)
        few = find_companies(visitor, lists).companies
        return collect_reviews(visitor, few, Path(to, "reviews.csv"), **options)


for faults in ("", "429,drop"):
    day = collect_small(faults)
    print(f"faults {faults!r}: {day.reviews} reviews in {day.seconds:.1f} s")
day = collect_small("500-always", min_coverage=0.3)
print(f"faults for ever: {day.coverage:.0%} of the reviews, {day.tally.given_up} pages given up")

# 4. The plug: the second call finds the journal of the first
with serve(companies=12, reviews=300) as small, tempfile.TemporaryDirectory() as to:
    visitor, to = Guest("practice", small.url), Path(to, "reviews.csv")
    few = find_companies(visitor, read_categories(visitor)).companies
    try:
        collect_reviews(visitor, few, to, max_pages=10)
    except Exception as error:
        print(error)
    whole = collect_reviews(visitor, few, to)
print(f"{whole.tally.kept_pages} pages were kept, {whole.tally.pages} are there now")
