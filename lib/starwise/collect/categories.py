"""Finding the categories of a site: one page, read with requests and BeautifulSoup.

sub_categories = read_categories(guest)
"""

import pandas as pd

from starwise.collect.guest import Guest


def read_categories(guest: Guest) -> pd.DataFrame:
    """Return all sub-categories of the site, in its order.

    Columns: category, sub_category, url. Raises CollectError when robots.txt forbids the page or
    it cannot be had, and LayoutError when it is not a page of categories.
    """
    url = guest.layout.categories_url(guest.url)
    html = guest.fetch(url)
    found = guest.layout.sub_categories(html, url)
    guest.pages.put(url, html)
    rows = [(one.category, one.name, one.url) for one in found]
    return pd.DataFrame(rows, columns=["category", "sub_category", "url"])
