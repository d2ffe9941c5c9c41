# 1. Cheaper mistakes
found = probabilities["network"]
for threshold in [0.5, 0.35, 0.2, 0.1]:
    answer = found.copy()
    answer[found[:, 0] > threshold, 0] = 2.0  # surer than any probability
    counts = evaluate.confusion(test["label"], answer)
    print(f"t = {threshold}: {counts[0, 2]} bad as good, {counts[2, 0]} good as bad")

# 2. A harder sentence
for sentence in [
    "I expected to hate it.",
    "Good luck getting your money back.",
    "The only thing that worked was the off switch.",
]:
    print(sentence, network.score(sentence).label)

# 3. Short and long
short = test["text"].str.len() < test["text"].str.len().median()
for name, rows_of in [("short", short), ("long", ~short)]:
    measured = evaluate.measures(test[rows_of]["label"], found[rows_of.to_numpy()])
    print(name, round(measured["balanced_accuracy"], 3))
