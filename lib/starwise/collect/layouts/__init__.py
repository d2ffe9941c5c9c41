"""What a page of each site looks like, one layout a site.

layout = layout_of("practice")
page = layout.review_page(html, url)
"""

from starwise.collect.errors import CollectError
from starwise.collect.layouts.page import Card, CompanyList, Layout, ReviewPage, SubCategory
from starwise.collect.layouts.practice import PracticeLayout
from starwise.collect.layouts.trustpilot import TrustpilotLayout
from starwise.collect.layouts.trustpilot_2019 import Pages2019

__all__ = ["Card", "CompanyList", "Layout", "ReviewPage", "SubCategory", "layout_of"]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        PracticeLayout(),
        TrustpilotLayout(),  # pages of every year
        TrustpilotLayout("trustpilot-2019", (Pages2019(),)),  # saved pages of that year only
    )
}


def layout_of(site: str) -> Layout:
    """Return the layout of a site by its name; raise CollectError for one that is not known."""
    if site not in LAYOUTS:
        raise CollectError(f"The site {site!r} is not known; known are {', '.join(LAYOUTS)}.")
    return LAYOUTS[site]
