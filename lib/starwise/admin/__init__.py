"""The administrator's pages at /admin: rendered here, behind STARWISE_ADMIN_TOKEN, without scripts.

app.mount("/admin", make_admin(store, token))

`sessions` says who is in, `questions` asks the database, `charts` draws, `export` makes the CSV,
and `pages` puts them on a page.
"""

from starwise.admin.pages import make_admin

__all__ = ["make_admin"]
