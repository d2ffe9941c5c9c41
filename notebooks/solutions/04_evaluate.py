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

# 3. Enough luck?
for count in [100, 400]:
    few = test.sample(count, random_state=seed)
    places = test.index.get_indexer(few.index)
    low, high = chance.intervals(few["label"], found[places])["balanced_accuracy"]
    print(f"{count} reviews: {low:.3f} to {high:.3f}, {high - low:.3f} wide")

# 4. Mislead the explanation
text = "Awful, terrible, horrible, disgusting and rude. Never again. The worst."
print(f"sentiment {network.score(text).sentiment:.3f}")
for effect in explain.explain(network, text):
    print(f"{text[effect.start : effect.end]:<12}{effect.effect:+.3f}")
# Each word is backed by the others: one would have to hide several at once.
