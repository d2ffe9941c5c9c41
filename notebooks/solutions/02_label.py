# 1. Without the three-star reviews
two_classes = frame[frame["label"] != "average"]
print(f"{len(two_classes):,} rows; always 'good': {(two_classes['label'] == 'good').mean():.3f}")

# 2. Another seed, another test split
for other in range(5):
    again = label.split_by_company(frame, validation_share, test_share, other).frame
    test = again[again["split"] == "test"]
    print(f"seed {other}: {len(test):,} test reviews, {(test['label'] == 'bad').mean():.1%} bad")

# 3. Two readers, and you
mine, _ = label.apply_labels(frame, outputs.labels)
mine = mine[mine["label_source"] == "person"]
stars_say = mine["rating"].map(CLASS_OF_STARS)
print(f"{len(mine)} labels of yours")
print(f"you and the stars: {(mine['label'] == stars_say).mean():.0%}")
print(f"you and the quick reader: {(mine['label'] == mine['expected']).mean():.0%}")
alone = (mine["label"] != stars_say) & (mine["label"] != mine["expected"])
display(mine.loc[alone, ["rating", "label", "text"]].head(1))
