# 1. Stars in the toy
def drawn_stars(text):
    found = scorer.score(text)
    return "★" * found.stars + "☆" * (5 - found.stars) if found else ""


row = widgets.Label()
row_link = widgets.dlink((box, "value"), (row, "value"), drawn_stars)
display(widgets.VBox([box, bar, row]))
for words in ("Rude, slow and broken. Never again!", "Lovely people, I will be back!"):
    box.value = words
    print(row.value, words)

# 2. A client of your own
from starwise.dashboard.view import DashboardView


class HalfClient(SlowClient):
    def predict(self, text):
        return Reading(0.5, 3, "average")


display(DashboardView(HalfClient(), brands).box)

# 3. Change of mind
async def change_of_mind():
    client = SlowClient()
    visit = Visit(client, brands)
    visit.write("First words.")
    client.answers_get_lost = True
    await visit.submit()
    client.answers_get_lost = False
    visit.write("Second thoughts.")
    await visit.submit()
    print([row["review"] for row in client.table.values()], "|", visit.message)


task = asyncio.ensure_future(change_of_mind())
