# 1. A filter of your own
answer = slide(quantize("ood"), quantize("good food, bad mood"))
print(answer.astype(int), "answers 3", (answer == 3).sum(), "times")
# It cannot tell "good" from "food" and "mood": to find "good", a filter must see the "g" as well.

# 2. Order matters
for sentence in ["not bad, good", "not good, bad"]:
    print(sentence, round(scorer.score(sentence).sentiment, 2))

# 3. From scratch: in a terminal, from the project's folder,
#    ./run_all.sh --from 3 --to 3 -p 03_train.start_from scratch -p 03_train.run scratch-0
